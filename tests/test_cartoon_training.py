"""Training the embedded model: every stage in small, continuing after a kill, the weights."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from hero_engine.cartoons import WEIGHTS
from hero_engine.cartoons import pipeline as parts
from hero_engine.cartoons import stage as stages
from hero_engine.cartoons import train as training
from hero_engine.cartoons.drawing import CAPTIONS, PROMPTS
from hero_engine.cartoons.stage import Stage, run
from hero_engine.cartoons.train import Training, train

pytestmark = pytest.mark.slow

TINY = Training(pictures=12, vae_steps=3, vae_batch=2, unet_steps=3, unet_batch=2)
STAGES = ("vae", "diffusion")


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return parts.build_tokenizer(CAPTIONS)


def narrow_vae() -> AutoencoderKL:
    """As `parts.build_vae`, with fewer channels."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
    )


def narrow_unet() -> UNet2DConditionModel:
    """As `parts.build_unet`, with fewer channels."""
    return UNet2DConditionModel(
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def make_stage(name: str, settings: Training = TINY) -> Stage:
    """A fresh stage, always with the same initial weights."""
    torch.manual_seed(0)
    if name == "vae":
        return training.vae_stage(narrow_vae(), training.drawings(settings)[0], settings)
    tokens = parts.build_tokenizer(CAPTIONS)
    model = nn.ModuleDict({"unet": narrow_unet(), "text_encoder": parts.build_text_encoder(tokens)})
    latents = training.Latents(
        mean=torch.randn(12, 4, 16, 16).half(),
        std=torch.full((12, 4, 16, 16), 0.1).half(),
        caption=torch.arange(12),
    )
    return training.diffusion_stage(model, latents, training.token_table(tokens), settings)


def killed_at(stage: Stage, step: int) -> Stage:
    def loss(number: int) -> Tensor:
        if number == step:
            raise Killed
        return stage.loss(number)

    return replace(stage, loss=loss)


def losses(out: Path) -> list[tuple[int, float]]:
    return [(entry["step"], entry["loss"]) for entry in stages.read_log(out / "log.jsonl")]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_learns_a_batch_by_heart(name: str, tmp_path: Path) -> None:
    stage = make_stage(name)
    run(replace(stage, loss=lambda step: stage.loss(0), steps=12, lr=1e-3), tmp_path, save_every=99)
    with torch.no_grad():
        after = stage.loss(0).item()
    before = make_stage(name).loss(0).item()
    assert after < 0.9 * before


@pytest.mark.parametrize("name", STAGES)
def test_killed_and_continued_equals_uninterrupted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "LOG_EVERY", 2)
    (tmp_path / "whole").mkdir()
    run(replace(make_stage(name), steps=5), tmp_path / "whole", save_every=0)
    whole = load_file(tmp_path / "whole" / f"{name}.safetensors")
    for kill in (1, 4):
        folder = tmp_path / f"cut-{kill}"
        folder.mkdir()
        with pytest.raises(Killed):
            run(killed_at(replace(make_stage(name), steps=5), kill), folder, save_every=0)
        run(replace(make_stage(name), steps=5), folder, save_every=0)

        cut = load_file(folder / f"{name}.safetensors")
        assert whole.keys() == cut.keys()
        assert [key for key in whole if not torch.equal(whole[key], cut[key])] == []
        assert losses(tmp_path / "whole") == losses(folder)


def test_stopped_on_the_way_equals_the_whole_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "LOG_EVERY", 1)
    for folder, stop in (("whole", None), ("part", 3)):
        (tmp_path / folder).mkdir()
        stage = replace(make_stage("diffusion"), steps=5, stop=stop)
        run(stage, tmp_path / folder, save_every=99)
    assert losses(tmp_path / "part") == losses(tmp_path / "whole")[:3]


def test_a_write_that_is_cut_short_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    path = tmp_path / "vae.safetensors"
    stages.write_tensors(path, {"weight": torch.ones(1)}, {"seed": 0}, step=1)

    def half_written(new: Path) -> None:
        new.write_bytes(b"half")
        raise Killed

    with pytest.raises(Killed):
        stages.replace(path, half_written)
    tensors, notes = stages.read_tensors(path, {"seed": 0})
    assert tensors["weight"].item() == 1
    assert notes["step"] == 1


@pytest.fixture
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """For whole trainings; the stages above learn in bfloat16, slow where a processor has none."""
    monkeypatch.setattr(training, "autocast", nullcontext)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a whole training of the embedded model's own parts leaves."""
    out = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "autocast", nullcontext)
        assert train(TINY, out) == out / "pipeline"
    return out


def test_all_stages_end_in_a_pipeline_that_diffusers_loads(trained: Path) -> None:
    folder = trained / "pipeline"
    record = json.loads((folder / "training.json").read_text())["trainings"][0]
    assert record["settings"]["seed"] == TINY.seed
    assert {name: stage["steps"] for name, stage in record["stages"].items()} == {
        "vae": 3,
        "diffusion": 3,
    }
    assert "torch" in record["versions"]
    assert_loads(folder)


def test_the_same_command_again_changes_nothing(trained: Path, tmp_path: Path) -> None:
    out = shutil.copytree(trained, tmp_path / "again")
    weights = out / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors"
    before = weights.read_bytes()
    train(TINY, out)
    assert weights.read_bytes() == before


@pytest.mark.usefixtures("single_precision")
def test_a_second_training_begins_from_a_pipeline_and_adds_its_record(
    trained: Path, tmp_path: Path
) -> None:
    first = trained / "pipeline"
    tuned = replace(TINY, init=str(first), right_share={"mountain": 0.1}, unet_steps=1)
    second = train(tuned, tmp_path)
    records = json.loads((second / "training.json").read_text())["trainings"]
    assert [set(record["stages"]) for record in records] == [set(STAGES), {"diffusion"}]
    assert records[1]["settings"]["right_share"] == {"mountain": 0.1}
    vae = "vae/diffusion_pytorch_model.safetensors"
    assert (second / vae).read_bytes() == (first / vae).read_bytes()


def test_other_settings_do_not_continue_a_stage(trained: Path, tmp_path: Path) -> None:
    out = shutil.copytree(trained, tmp_path / "other")
    with pytest.raises(ValueError, match=r"latents\.safetensors.*pictures 12"):
        train(replace(TINY, pictures=18), out)
    with pytest.raises(ValueError, match=r"diffusion\.safetensors.*unet_lr 0\.001"):
        train(replace(TINY, unet_lr=1.0), out)


@pytest.mark.parametrize("share", ["cow=.2", "mountain=2", "mountain=half", "mountain"])
def test_a_bad_share_is_refused(
    share: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        training.main(["--out", str(tmp_path), "--right-share", share])
    assert stop.value.code == 2
    assert repr(share) in capsys.readouterr().err


def test_a_share_changes_the_subject_named_and_no_other() -> None:
    plain = replace(TINY, pictures=60)
    images, captions = training.drawings(plain)
    other, others = training.drawings(replace(plain, right_share={"hand": 1.0}))
    assert torch.equal(captions, others)
    changed = {CAPTIONS[captions[i]] for i in range(60) if not torch.equal(images[i], other[i])}
    assert changed == {PROMPTS["hand"]}


def test_standardised_latents_decode_to_the_same_pictures() -> None:
    torch.manual_seed(0)
    vae = parts.build_vae().eval().requires_grad_(False)
    pictures = torch.rand(4, 3, 64, 64) * 2 - 1
    before = vae.encode(pictures).latent_dist
    decoded = vae.decode(before.mean).sample
    mean, std = before.mean.mean((0, 2, 3)), before.mean.std((0, 2, 3))
    training.standardise(vae, mean, std)
    after = vae.encode(pictures).latent_dist
    torch.testing.assert_close(after.mean.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.mean.std((0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.std, before.std / std.view(1, -1, 1, 1))
    torch.testing.assert_close(vae.decode(after.mean).sample, decoded, atol=1e-4, rtol=1e-3)


def test_learning_rate_warms_up_and_falls() -> None:
    shares = [stages.lr_share(step, 1000) for step in range(1000)]
    assert shares[0] < 0.02
    assert max(shares) == shares[stages.WARM_UP_STEPS - 1]
    assert shares[-1] == pytest.approx(stages.FINAL_LR_SHARE, abs=1e-3)


def test_every_word_of_the_captions_is_one_token(tokenizer: CLIPTokenizer) -> None:
    for caption in CAPTIONS:
        tokens = tokenizer.tokenize(caption)
        assert all(token.endswith("</w>") for token in tokens), caption
        text = tokenizer.decode(tokenizer(caption)["input_ids"], skip_special_tokens=True)
        assert text.replace(" ", "") == caption.replace(" ", "")


@pytest.mark.parametrize("text", ["zebra crossing", "日本 42!", "", "<|unknown|>", "  Ünïcode\n"])
def test_any_text_tokenizes_without_unknown_tokens(tokenizer: CLIPTokenizer, text: str) -> None:
    start, *body, end = tokenizer(text)["input_ids"]
    assert start == tokenizer.bos_token_id
    assert end == tokenizer.eos_token_id
    assert end not in body


def test_prompts_are_padded_and_cut_to_the_length_of_stable_diffusion(
    tokenizer: CLIPTokenizer,
) -> None:
    table = training.token_table(tokenizer)
    assert table.shape == (1 + len(CAPTIONS), 77)
    assert table[0].tolist() == [tokenizer.bos_token_id] + [tokenizer.eos_token_id] * 76


def test_the_shipped_weights_load_and_stay_small() -> None:
    if not (WEIGHTS / "model_index.json").exists():
        pytest.skip("no weights yet")
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 16e6
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"}]
    record = json.loads((WEIGHTS / "training.json").read_text())["trainings"]
    assert all(entry["command"] and entry["stages"] for entry in record)
    assert_loads(WEIGHTS)


def assert_loads(folder: Path) -> None:
    """The folder is what diffusers expects, key by key, and makes a picture."""
    for part, build in (("unet", parts.build_unet), ("vae", parts.build_vae)):
        stored = load_file(folder / part / "diffusion_pytorch_model.safetensors")
        assert stored.keys() == build().state_dict().keys()
    pipe = StableDiffusionPipeline.from_pretrained(
        folder, use_safetensors=True, local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    made = pipe("1 hand", num_inference_steps=2, eta=1.0, output_type="np").images
    assert made.shape == (1, 64, 64, 3)
    assert pipe.tokenizer.tokenize("1 hand") == ["1</w>", "hand</w>"]
    assert pipe.tokenizer.model_max_length == 77
