"""Loading pipelines: what is refused, what the LoRA starts as, prompts that are too long."""

from collections.abc import Callable

import pytest
import torch

from hero_engine.errors import InputError
from hero_engine.model import diffusion
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
        model.unet.disable_adapters()
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
    t = model.schedule.timesteps[1]
    with torch.no_grad():
        negative = model.unet(z_t, t, model.negative.states.expand(2, -1, -1)).sample
        positive = model.unet(z_t, t, model.prompts.states[[0, 0]]).sample
        expected = negative + 7.5 * (positive - negative)
        torch.testing.assert_close(model.predict(z_t, step, prompts, 7.5), expected)
        torch.testing.assert_close(model.predict(z_t, step, prompts, 1), positive)


def test_a_prompt_beyond_the_text_encoder_is_refused_and_not_cut(
    tiny_task: Callable[..., Task],
) -> None:
    with pytest.raises(InputError, match="102 tokens, this model reads at most 77"):
        diffusion.load(tiny_task(prompts=["a" + " cat" * 33]))
