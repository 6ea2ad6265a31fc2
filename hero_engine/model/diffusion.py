"""A pipeline as the method needs it: denoiser with a LoRA, VAE, encoded prompts."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from torch import Tensor, nn

from hero_engine.errors import EngineError
from hero_engine.model import seeds
from hero_engine.model.conditioning import Conditioning
from hero_engine.model.family import Family, family_of
from hero_engine.model.finite import not_finite
from hero_engine.model.memory import Sizes
from hero_engine.model.pretrained import load_pipeline
from hero_engine.model.schedule import Schedule
from hero_engine.run.task import Precision, Task

log = logging.getLogger(__name__)


@dataclass
class Model:
    """What sampling and training share.

    Attributes:
        pipeline: diffusers' own, with the LoRA in its denoiser.
        prompts: what the denoiser is conditioned on, for each of the task's `all_prompts`.
        negative: the same of the unconditional half of guidance, one row.
        latent_shape: (C, H, W).
        dtype: of the frozen weights; latents, means and log-probs are float32 whatever it is.
        sizes: how much goes through the network at once.
        offload: the VAE and the text encoders are on the accelerator only while they work.
    """

    pipeline: Any
    schedule: Schedule
    prompts: Conditioning
    negative: Conditioning
    latent_shape: tuple[int, int, int]
    accelerator: Accelerator
    dtype: torch.dtype
    sizes: Sizes
    offload: bool = False

    @property
    def family(self) -> Family:
        return family_of(self.pipeline)

    @property
    def denoiser(self) -> Any:
        """The UNet or the transformer, which is taught."""
        # `components` would look at signatures, at each of a million steps.
        return getattr(self.pipeline, self.family.denoiser)

    @property
    def vae(self) -> Any:
        return self.pipeline.vae

    @property
    def device(self) -> torch.device:
        return self.accelerator.device  # type: ignore[no-any-return]

    def compile(self) -> None:
        """Compiles the blocks that the denoiser repeats, one of each kind, on a CUDA GPU.

        A chunk or micro-batch of another size is compiled for again; rounding changes.
        """
        if self.device.type == "cuda":
            self.denoiser.compile_repeated_blocks()
        else:
            log.info("--compile does nothing: there is no CUDA GPU")

    @property
    def text_encoders(self) -> list[nn.Module]:
        """One, the two of SDXL, or the three of Stable Diffusion 3."""
        parts = self.pipeline.components
        return [
            parts[name] for name in sorted(parts)
            if name.startswith("text_encoder") and parts[name] is not None
        ]  # fmt: skip

    @property
    def resident(self) -> list[nn.Module]:
        """The parts that are on the accelerator all the time."""
        return [self.denoiser] if self.offload else [self.denoiser, self.vae, *self.text_encoders]

    def set_offload(self, offload: bool) -> None:
        """Has the VAE and the text encoders wait off the accelerator, or stay on it."""
        self.offload = offload
        for part in (self.vae, *self.text_encoders):
            part.to("cpu" if offload else self.device)

    @contextmanager
    def at_work(self, *parts: nn.Module) -> Iterator[None]:
        """Has `parts` on the accelerator, which with `offload` wait off it before and after."""
        moved = parts if self.offload else ()
        for part in moved:
            part.to(self.device)
        try:
            yield
        finally:
            for part in moved:
                part.to("cpu")

    def lora(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name, in a fixed order."""
        return {n: p for n, p in sorted(self.denoiser.named_parameters()) if p.requires_grad}

    @property
    def is_untaught(self) -> bool:
        """Whether the LoRA changes nothing yet: its B is zero."""
        return not any(p.any() for name, p in self.lora().items() if "lora_B" in name)

    @contextmanager
    def adapter_off(self) -> Iterator[None]:
        """The pretrained model, without its LoRA, while the block runs."""
        self.denoiser.disable_adapters()
        try:
            yield
        finally:
            self.denoiser.enable_adapters()

    def predict(self, z_t: Tensor, i: Tensor, prompts: Tensor, guidance_scale: float) -> Tensor:
        """The network's output under classifier-free guidance, float32.

        Args:
            z_t: [B, C, H, W], float32.
            i: the step of each, [B], int64.
            prompts: which of the task's `all_prompts` each picture has, [B], int64.
            guidance_scale: 1 leaves the unconditional half out.
        """
        timesteps = self.schedule.levels.timesteps
        return self.predict_at(z_t, timesteps[i.to(timesteps.device)], prompts, guidance_scale)

    def predict_at(
        self, z_t: Tensor, timesteps: Tensor, prompts: Tensor, guidance_scale: float
    ) -> Tensor:
        """`predict` at `timesteps` [B], of those that the model was trained at."""
        timesteps = timesteps.to(self.device)
        latents, conditioning = z_t, self.prompts.rows(prompts)
        if guidance_scale != 1:
            latents, timesteps = torch.cat([z_t, z_t]), torch.cat([timesteps, timesteps])
            conditioning = self.negative.rows(torch.zeros_like(prompts)).then(conditioning)
        latents = latents.to(self.dtype)
        output = self.family.denoise(self.denoiser, latents, timesteps, conditioning).float()
        if guidance_scale != 1:
            unconditional, conditional = output.chunk(2)
            output = unconditional + guidance_scale * (conditional - unconditional)
        return output

    def decode(self, z_0: Tensor) -> Tensor:
        """Pictures of clean latents [B, C, H, W]: uint8 [B, height, width, 3] on the CPU.

        A VAE that overflows in half precision decodes in float32 from then on.

        Raises:
            EngineError: latents or pictures are not finite; it says what to change.
        """
        if not z_0.isfinite().all():
            encoders = {f"text encoder {n}": e for n, e in enumerate(self.text_encoders, start=1)}
            part = "UNet" if self.family.denoiser == "unet" else "transformer"
            raise not_finite(f"{part}'s output", {part: self.denoiser, **encoders}, self.dtype)
        pictures = self.decode_on_device(z_0)
        if not pictures.isfinite().all() and self.vae.dtype != torch.float32:
            log.warning(
                "the VAE overflows in %s: it decodes in float32 from now on", self.vae.dtype
            )
            self.vae.to(torch.float32)
            pictures = self.decode_on_device(z_0)
        if not pictures.isfinite().all():
            raise not_finite("VAE's picture", {"VAE": self.vae}, self.vae.dtype)
        pictures = ((pictures / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        return pictures.permute(0, 2, 3, 1).cpu()

    def decode_on_device(self, z_0: Tensor) -> Tensor:
        """What the VAE makes of clean latents: float32 [B, 3, height, width], about -1 to 1."""
        with self.at_work(self.vae):
            latents = self.family.for_vae(self.vae, z_0).to(self.vae.dtype)
            pictures = self.vae.decode(latents, return_dict=False)[0]
        return pictures.float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Clean latents of pictures, uint8 [B, height, width, 3]: float32 [B, C, H, W] on the CPU.

        The mode of the VAE's posterior, so that a picture always has the same latent. A VAE that
        overflows in half precision encodes in float32 from then on, and decodes, too.

        Raises:
            EngineError: the pictures are not of the model's size, or latents are not finite.
        """
        values = (pictures.permute(0, 3, 1, 2).float() / 127.5 - 1).to(self.device)
        z_0 = self.encode_on_device(values)
        if not z_0.isfinite().all() and self.vae.dtype != torch.float32:
            log.warning("the VAE overflows in %s: it is used in float32 from now on",
                        self.vae.dtype)  # fmt: skip
            self.vae.to(torch.float32)
            z_0 = self.encode_on_device(values)
        if not z_0.isfinite().all():
            raise not_finite("VAE's latent", {"VAE": self.vae}, self.vae.dtype)
        if z_0.shape[1:] != self.latent_shape:
            height, width = pictures.shape[1:3]
            raise EngineError(
                f"pictures of {width}x{height} have latents {tuple(z_0.shape[1:])}, expected "
                f"{self.latent_shape}: the model draws pictures of another size"
            )
        return z_0.cpu()

    def encode_on_device(self, pictures: Tensor) -> Tensor:
        """The inverse of `decode_on_device`."""
        with self.at_work(self.vae):
            latents = self.vae.encode(pictures.to(self.vae.dtype)).latent_dist.mode()
            return self.family.from_vae(self.vae, latents.float())


def load(task: Task, offload: bool = False) -> Model:
    """The task's model with a new LoRA, whose B is zero: it draws as the pretrained model does.

    Args:
        offload: the denoiser comes to the accelerator after the other parts have left it.

    Raises:
        InputError: the model cannot be found or read, or is of no family that can be taught;
            or a prompt is longer than the text encoder reads.
        EngineError: there is not enough memory.
    """
    accelerator = Accelerator()
    dtype = choose_dtype(task.precision, accelerator.device)
    if dtype == torch.float32:
        # With TF32's ten bits, convolutions of other batch shapes fail the check of the ratios.
        torch.backends.cudnn.allow_tf32 = False
    # Measured on an AVX-512 CPU: with so few channels a group, GroupNorm in bfloat16 and channels
    # last takes 30 times as long, and the fused attention's backward pass is slower than none.
    half_on_cpu = accelerator.device.type == "cpu" and dtype != torch.float32
    layout = torch.contiguous_format if half_on_cpu else torch.channels_last
    pipeline = load_pipeline(task, dtype)
    family = family_of(pipeline)
    denoiser, latent_shape = pipeline.components[family.denoiser], family.latent_shape(pipeline)
    for name, module in pipeline.components.items():
        if isinstance(module, nn.Module):
            module.requires_grad_(False)
            module.eval()
            waits = offload and module is denoiser
            device = torch.device("cpu") if waits else accelerator.device
            _move(module, device, layout, f"{task.model}: {name}")
    if half_on_cpu and family.denoiser == "unet":
        denoiser.set_attn_processor(AttnProcessor())
    add_lora(denoiser, family.lora_targets, task.update.lora_rank, task.seed)
    prompts, negative = family.encode(
        pipeline, task.all_prompts, task.negative_prompt, task.long_prompts == "cut"
    )
    model = Model(
        pipeline=pipeline,
        schedule=family.schedule(pipeline, task.sampling.steps, task.sampling.eta).to(
            accelerator.device
        ),
        prompts=prompts,
        negative=negative,
        latent_shape=latent_shape,
        accelerator=accelerator,
        dtype=dtype,
        sizes=Sizes(task.sampling.chunk_size, task.update.micro_batch_size),
    )
    if offload:
        model.set_offload(True)
        _move(denoiser, accelerator.device, layout, f"{task.model}: {family.denoiser}")
    return model


def _move(module: Any, device: torch.device, layout: torch.memory_format, name: str) -> None:
    try:
        module.to(device, memory_format=layout)
    except torch.OutOfMemoryError as error:
        free, total = torch.cuda.mem_get_info(device)
        raise EngineError(
            f"model {name}: {device} has not enough memory for it ({free / 1e9:.1f} of "
            f"{total / 1e9:.1f} GB were free); close other programs on it, or take a smaller model"
        ) from error


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The frozen weights' dtype.

    `auto` takes bfloat16 where `device` has instructions for it, else float16 on CUDA.
    """
    if precision == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if native else "fp16"
        else:
            native = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
            precision = "bf16" if native else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def add_lora(denoiser: Any, targets: Sequence[str] | str, rank: int, seed: int) -> None:
    """Adds a LoRA (alpha = rank, in float32) whose A is drawn from `seed` as peft draws it.

    Args:
        targets: the layers that get one (`Family.lora_targets`).
    """
    denoiser.add_adapter(
        LoraConfig(
            r=rank,
            lora_alpha=rank,
            target_modules=targets if isinstance(targets, str) else list(targets),
        )
    )
    cast_training_params(denoiser, torch.float32)
    generator = seeds.generator(seed, "lora")
    for name, parameter in sorted(denoiser.named_parameters()):
        if "lora_A" in name:
            drawn = torch.empty(parameter.shape)
            nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
            parameter.data.copy_(drawn)
