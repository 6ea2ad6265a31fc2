"""Loading pipelines: what is refused, what the LoRA starts as, prompts that are too long."""

from collections.abc import Callable

import pytest
import torch

from hero_engine.errors import EngineError, InputError
from hero_engine.method import rollout
from hero_engine.model import diffusion, seeds
from hero_engine.run.task import Task


def test_a_new_lora_changes_nothing_and_is_the_same_for_the_same_seed(
    tiny_task: Callable[..., Task],
) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    first = model.lora()
    z_t = torch.randn(2, *model.latent_shape)
    step, prompts = torch.tensor([0, 3]), torch.zeros(2, dtype=torch.int64)
    with torch.no_grad():
        with_lora = model.predict(z_t, step, prompts, 5.0)
        model.denoiser.disable_adapters()
        assert torch.equal(model.predict(z_t, step, prompts, 5.0), with_lora)
    torch.manual_seed(123)
    again = diffusion.load(task).lora()
    assert all(torch.equal(p, again[name]) for name, p in first.items())
    other = diffusion.load(tiny_task(seed=1)).lora()
    assert any(not torch.equal(p, other[name]) for name, p in first.items())


def test_only_the_lora_of_the_attention_projections_is_trained(
    tiny_task: Callable[..., Task],
) -> None:
    names = diffusion.load(tiny_task()).lora()
    assert names
    assert all("lora_" in name and "attn" in name for name in names)
    assert {p.dtype for p in names.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("device", "native", "dtype"),
    [
        ("cpu", True, torch.bfloat16),
        ("cpu", False, torch.float32),
        ("cuda", True, torch.bfloat16),
        ("cuda", False, torch.float16),
    ],
)
def test_automatic_precision_is_what_the_processor_multiplies_in(
    device: str, native: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert diffusion.choose_dtype("auto", torch.device(device)) == dtype
    assert diffusion.choose_dtype("fp32", torch.device(device)) == torch.float32
    assert diffusion.choose_dtype("bf16", torch.device(device)) == torch.bfloat16
    assert diffusion.choose_dtype("fp16", torch.device(device)) == torch.float16


def test_guidance_is_the_pipelines(tiny_task: Callable[..., Task]) -> None:
    model = diffusion.load(tiny_task(negative_prompt="a dog"))
    z_t, step = torch.randn(2, *model.latent_shape), torch.tensor([1, 1])
    prompts = torch.zeros(2, dtype=torch.int64)
    t = model.schedule.levels.timesteps[1]
    with torch.no_grad():
        negative = model.denoiser(z_t, t, model.negative.states.expand(2, -1, -1)).sample
        positive = model.denoiser(z_t, t, model.prompts.states[[0, 0]]).sample
        expected = negative + 7.5 * (positive - negative)
        torch.testing.assert_close(model.predict(z_t, step, prompts, 7.5), expected)
        torch.testing.assert_close(model.predict(z_t, step, prompts, 1), positive)


# -- what is not finite ------------------------------------------------------------------------

Scale = dict[str, float]


def scaled(model: diffusion.Model, part: str, factors: Scale) -> None:
    """Multiplies weights of a part of the pipeline."""
    for name, factor in factors.items():
        module = getattr(model.pipeline, part).get_submodule(name)
        module.weight.data.mul_(factor)
        module.bias.data.mul_(factor)


OVERFLOWS: Scale = {"conv_in": 1e5}
VAE_OVERFLOWS: Scale = {"decoder.conv_in": 1e5}
"""Beyond float16's 65,504 in the first layer; what follows is normalised."""


def sampled(model: diffusion.Model, task: Task) -> list[torch.Tensor]:
    """The pictures that a round would offer for labels."""
    offered: list[torch.Tensor] = []
    z_T = seeds.normal(0, "z_T", 0, range(2), model.latent_shape)
    rollout.sample(model, task, z_T, 0, lambda images, z_0, drawn: offered.append(drawn))
    return offered


@pytest.mark.parametrize(
    ("precision", "factors", "said"),
    [
        ("fp16", OVERFLOWS, "float16: .*`precision: bf16` or `precision: fp32` .*precision=fp32"),
        ("bf16", {"conv_in": 1e38}, "bfloat16: .*write `precision: fp32` in"),
        ("fp32", {"conv_in": 1e38}, "float32, where nothing wider is left"),
    ],
)
def test_latents_that_are_not_finite_are_refused_with_the_precision_that_would_do(
    precision: str, factors: Scale, said: str, tiny_task: Callable[..., Task]
) -> None:
    task = tiny_task(precision=precision)
    model = diffusion.load(task)
    scaled(model, "unet", factors)
    with pytest.raises(EngineError, match=f"the UNet's output is not finite .*{said}"):
        sampled(model, task)


def test_a_model_that_overflows_in_float16_draws_in_what_is_named(
    tiny_task: Callable[..., Task],
) -> None:
    for precision in ("bf16", "fp32"):
        task = tiny_task(precision=precision)
        model = diffusion.load(task)
        scaled(model, "unet", OVERFLOWS)
        assert len(sampled(model, task)) == 2


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    ("part", "weight", "said"),
    [
        ("unet", "conv_norm_out.weight", "the UNet's weights"),
        ("text_encoder", "final_layer_norm.weight", "the text encoder 1's weights"),
        ("vae", "decoder.conv_norm_out.weight", "the VAE's weights"),
    ],
)
def test_a_weight_that_is_no_number_is_named(
    precision: str, part: str, weight: str, said: str, tiny_task: Callable[..., Task]
) -> None:
    task = tiny_task(precision=precision)
    model = diffusion.load(task)
    module = getattr(model.pipeline, part)
    (broken,) = [p for name, p in module.named_parameters() if name.endswith(weight)]
    broken.data[(0,) * broken.ndim] = float("nan")
    model.prompts, model.negative = model.family.encode(model.pipeline, task.prompts, "", False)
    with pytest.raises(EngineError, match=rf"{said} are not all numbers \(.*{weight}\), in any"):
        sampled(model, task)


def test_a_lora_that_is_not_finite_is_not_taken_for_the_models_fault(
    tiny_task: Callable[..., Task],
) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    next(iter(model.lora().values())).data.fill_(float("nan"))
    with pytest.raises(EngineError, match="the LoRA that was taught is not finite"):
        sampled(model, task)


def test_a_lora_that_has_grown_too_large_is_not_taken_for_the_models_fault(
    tiny_task: Callable[..., Task],
) -> None:
    task = tiny_task(precision="fp32")
    model = diffusion.load(task)
    for parameter in model.lora().values():
        parameter.data.fill_(1e30)
    with pytest.raises(EngineError, match="nothing wider is left to try: its update went too far"):
        sampled(model, task)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_vae_that_overflows_in_float16_decodes_in_float32(
    precision: str, tiny_task: Callable[..., Task], caplog: pytest.LogCaptureFixture
) -> None:
    model = diffusion.load(tiny_task(precision=precision))
    whole = diffusion.load(tiny_task())
    scaled(model, "vae", VAE_OVERFLOWS)
    scaled(whole, "vae", VAE_OVERFLOWS)
    z_0 = torch.randn(2, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        drawn = model.decode(z_0)
        assert (drawn.int() - whole.decode(z_0).int()).abs().max() <= 2
    assert model.vae.dtype == torch.float32
    said = [r for r in caplog.records if "decodes in float32 from now on" in r.message]
    assert len(said) == (precision == "fp16")


def test_a_prompt_beyond_the_text_encoder_is_refused_and_not_cut(
    tiny_task: Callable[..., Task],
) -> None:
    with pytest.raises(InputError, match="102 tokens, this model reads at most 77"):
        diffusion.load(tiny_task(prompts=["a" + " cat" * 33]))
