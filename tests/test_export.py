"""What a run leaves behind, read back as its user would."""

import ast
import errno
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from hero_engine.errors import EngineError, InputError
from hero_engine.method import state
from hero_engine.method.rollout import Rollout
from hero_engine.model import diffusion
from hero_engine.model.lora import LoraBase
from hero_engine.results.export import export
from hero_engine.results.generate import generate
from hero_engine.results.modelcard import _literal, markdown, use
from hero_engine.run.folder import RunFolder, write_complete
from hero_engine.run.labels import Labels
from hero_engine.run.picture_request import PictureRequest
from hero_engine.run.resolve import resolve
from hero_engine.run.task import Task
from tests.engine_runs import new_run, run_here, tiny_task_of

ROOT = Path(__file__).parents[1]
SCRIPT = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2)]
EVIL = "a `cat` </b> | [x](y) \x1b[31m \u202e *bold*\n---\n# no heading\n```"


@pytest.fixture(scope="module")
def run(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of two rounds whose task's text is as bad as can be."""
    task = tiny_task_of(
        tiny_pipeline,
        prompts=[EVIL],
        criteria=["1. " + EVIL, "- a cat is seen"],
        feedback={"rounds": 2},
        update={"learning_rate": 0.1},
    )
    folder = new_run(tmp_path_factory.mktemp("run"), task)
    record = run_here(folder, SCRIPT)
    record.set_figures("pi", {"images": 20, "good": 19, "diversity": 0.2})
    record.set_figures("fresh", {"images": 20, "good": 12, "diversity": 0.3})
    export(folder, folder.exports)
    return folder


def sections(card: str) -> dict[str, str]:
    """The card's parts by their headings."""
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", card, re.DOTALL | re.MULTILINE))


def test_only_an_earlier_export_is_replaced(run: RunFolder, tmp_path: Path) -> None:
    mine = {"README.md": b"# My project\n", "pytorch_lora_weights.safetensors": b"my own"}
    for name, content in mine.items():
        place = tmp_path / name.partition(".")[0]
        place.mkdir()
        (place / name).write_bytes(content)
        with pytest.raises(InputError, match=f"there is {name} of another origin"):
            export(run, place)
        assert [each.read_bytes() for each in place.iterdir()] == [content]
    place = tmp_path / "loras"
    place.mkdir()
    (place / "another.safetensors").write_bytes(b"stays")
    export(run, place)
    export(run, place)
    assert (place / "another.safetensors").read_bytes() == b"stays"


def test_an_export_that_was_cut_short_is_made_again(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def full(path: Path, write: Callable[[Path], None]) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_complete(path, write)
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr("hero_engine.results.export.write_complete", full)
        with pytest.raises(EngineError, match="No space left"):
            export(run, tmp_path / "out")
    assert written
    assert len(export(run, tmp_path / "out")) == 4


def test_a_file_is_no_folder_to_write_to(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="out: it is no folder"):
        export(run, tmp_path / "out")
    with pytest.raises(InputError, match="out: it is no folder"):
        generate(run, PictureRequest(), tmp_path / "out")


@pytest.mark.parametrize("file", ["pytorch_lora_weights", "tiny"])
def test_a_lora_predicts_what_the_engine_does(file: str, run: RunFolder) -> None:
    task = run.task()
    pipeline = StableDiffusionPipeline.from_pretrained(task.model, safety_checker=None)
    pipeline.load_lora_weights(run.exports, weight_name=f"{file}.safetensors")
    engine = diffusion.load(task)
    state.load_lora(engine, run.checkpoint(1))

    z_t, t = torch.randn(2, 4, 8, 8), torch.tensor(500)
    embeds = torch.randn(2, 77, 16)
    with torch.no_grad():
        theirs = pipeline.unet(z_t, t, embeds).sample
        ours = engine.denoiser(z_t, t, embeds).sample
        pipeline.unet.disable_lora()
        base = pipeline.unet(z_t, t, embeds).sample
    torch.testing.assert_close(theirs, ours)
    assert not torch.allclose(theirs, base, atol=1e-3)


def test_the_noise_pool_is_the_last_rounds_and_says_how_to_draw(run: RunFolder) -> None:
    drawn = Rollout.load(run.rollout(1))
    with safe_open(run.exports / "noise_pool.safetensors", "pt") as pool:
        assert torch.equal(pool.get_tensor("best_z_T"), drawn.z_T[2])
        assert torch.equal(pool.get_tensor("good_z_T"), drawn.z_T[[1, 6]])
        drawing = json.loads(pool.metadata()["hero_tui"])
        assert set(drawing["shapes"]) == set(pool.keys())
    assert drawing["noise"] == {"pool": "variance-preserving", "s": 0.1, "best_ratio": 0.5}
    assert drawing["draw"] == "z_T = sqrt(1 - s^2) mu + s epsilon"
    assert drawing["scheduler"] == "DDIMScheduler"
    assert drawing["prompts"] == list(run.task().prompts)
    assert drawing["round"] == 1


def test_the_kohya_files_header_has_the_runs_facts(run: RunFolder) -> None:
    with safe_open(run.exports / "tiny.safetensors", "pt") as file:
        said = file.metadata()
    (_, last) = run.open_record().rounds()
    assert last.trained is not None
    assert said["modelspec.trigger_phrase"] == run.task().prompts[0]
    assert said["modelspec.title"] == said["ss_output_name"] == "tiny"
    assert said["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert said["modelspec.resolution"] == "16x16"
    assert said["modelspec.date"].endswith("+00:00")
    assert said["ss_training_finished_at"] == str(last.trained)
    assert said["ss_num_train_images"] == "16"
    assert json.loads(said["ss_tag_frequency"]) == {"tiny": {run.task().prompts[0]: 16}}


def test_the_same_run_is_exported_in_the_same_bytes(run: RunFolder, tmp_path: Path) -> None:
    first, second = (export(run, tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in first] == [
        "pytorch_lora_weights.safetensors", "tiny.safetensors", "noise_pool.safetensors",
        "README.md",
    ]  # fmt: skip
    assert {p.name for p in (tmp_path / "one").iterdir()} == {path.name for path in first}
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_an_earlier_round_is_exported_as_it_was(run: RunFolder, tmp_path: Path) -> None:
    export(run, tmp_path, 0)
    drawn = Rollout.load(run.rollout(0))
    assert torch.equal(load_file(tmp_path / "noise_pool.safetensors")["best_z_T"], drawn.z_T[3])
    with safe_open(tmp_path / "tiny-round-0.safetensors", "pt") as file:
        assert file.metadata()["ss_output_name"] == "tiny-round-0"
        assert file.metadata()["ss_num_train_images"] == "8"
    success = sections((tmp_path / "README.md").read_text())["Success"]
    assert success.strip().splitlines()[2:] == [
        "| before | fresh, N(0, I) | 8 | 2 | 25% | 7% to 59% |",
        "| after 1 round | the noise pool | 8 | 3 | 38% | 14% to 69% |",
    ]
    with pytest.raises(InputError, match="--round 2: expected a trained round of run, 0 to 1"):
        export(run, tmp_path, 2)


def test_the_model_card_says_what_was_taught_and_how_well(run: RunFolder) -> None:
    card = (run.exports / "README.md").read_text("utf-8")
    _, front, body = card.split("---\n", 2)
    found = yaml.safe_load(front)
    assert found["instance_prompt"] == run.task().prompts[0]
    assert {"text-to-image", "lora", "diffusers"} <= set(found["tags"])
    assert "base_model" not in found  # a folder, which the hub would not know
    assert "16 labels in 2 rounds" in body
    parts = sections(body)
    assert parts["Success"].strip().splitlines()[2:] == [
        "| before | fresh, N(0, I) | 8 | 2 | 25% | 7% to 59% |",
        "| after 1 round | the noise pool | 8 | 3 | 38% | 14% to 69% |",
        "| final evaluation | the noise pool | 20 | 19 | 95% | 76% to 99% |",
        "| final evaluation | fresh, N(0, I) | 20 | 12 | 60% | 39% to 78% |",
        "",
        "The evaluation's pictures were judged by: oracle.",
    ]
    files = dict(re.findall(r"\| `(\S+)` \| `([0-9a-f]{64})` \|", parts["Files"]))
    assert set(files) == {p.name for p in run.exports.glob("*.safetensors")}
    made = parts["How it was made"]
    (written,) = re.findall(r"````yaml\n(.*)````", made, re.DOTALL)
    assert Task.model_validate(yaml.safe_load(written)) == run.task()


def test_text_of_the_task_is_shown_on_the_card_and_not_obeyed(run: RunFolder) -> None:
    card = (run.exports / "README.md").read_text("utf-8")
    assert "\x1b" not in card
    assert "\u202e" not in sections(card)["What it was taught"]
    assert not re.search(r"^ *# no heading|^ *- - a cat|^ *- 1\. a", card, re.MULTILINE)
    taught = sections(card)["What it was taught"]
    assert r"  - 1\. a \`cat\` \</b\> \| \[x\](y) \\x1b\[31m" in taught
    assert r"  - \- a cat is seen" in taught
    assert markdown("2 cats, #1 & *two*") == r"2 cats, #1 \& \*two\*"


@pytest.mark.parametrize(
    "text", ["a \U0001f469\u200d\U0001f680 waves", '\u3000\u202e\x1b\n"\\', "猫"]
)
def test_text_in_the_cards_lines_is_what_it_was_and_nothing_in_it_is_hidden(text: str) -> None:
    line = _literal(text)
    assert ast.literal_eval(line) == text
    assert line.isprintable()


def test_a_name_on_the_hub_is_the_cards_base_model(tmp_path: Path) -> None:
    from hero_engine.results.modelcard import front_matter

    task = resolve("black-cat").task
    found = front_matter(task)
    assert found["base_model"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert "license" not in found


def test_the_cards_lines_draw_a_picture(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path.name: path.read_bytes() for path in export(run, tmp_path)}
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)\n```\n", files["README.md"].decode(), re.DOTALL)
    exec(code, {})  # noqa: S102, lines of our own
    with Image.open(tmp_path / "tiny.png") as picture:
        assert picture.size == (16, 16)


def test_the_example_has_the_lines_of_a_card(tmp_path: Path) -> None:
    code = (ROOT / "examples" / "use_lora.py").read_text("utf-8")
    lines = use(resolve("black-cat").task, LoraBase("v1", "epsilon", 512, 512), "exports", True)
    assert code.split('"""\n\n', 1)[1] == lines
    compile(code, "use_lora.py", "exec")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"noise": {"pool": "additive", "s": 0.3}}, "z_T = mu + 0.3 * torch.randn("),
        ({"noise": {"pool": "none"}}, "z_T = torch.randn(mu.shape"),
        ({"model": "a.safetensors"}, "StableDiffusionXLPipeline.from_single_file(BASE)"),
        (
            {"revision": "v2", "variant": "fp16"},
            'from_pretrained(\n    BASE,\n    revision="v2",\n    variant="fp16",\n',
        ),
        ({"model": "a.safetensors", "config": "b"}, 'from_single_file(BASE, config="b")'),
        ({"model": "embedded"}, "import WEIGHTS as BASE"),
        ({"negative_prompt": 'a "dog"'}, r'negative_prompt="a \"dog\"",'),
    ],
)
def test_the_lines_are_those_of_the_run(changes: dict[str, Any], expected: str) -> None:
    task = Task.model_validate({"name": "t", "prompts": ["a"], "criteria": ["b"], **changes})
    code = use(task, LoraBase("xl", "epsilon", 1024, 1024), ".", with_pool=True)
    assert expected in code
    compile(code, "card", "exec")


def test_the_lines_of_a_single_file_say_what_its_loader_does_not_know() -> None:
    task = Task.model_validate(
        {"name": "t", "prompts": ["a"], "criteria": ["b"], "model": "a.safetensors"}
    )
    base = LoraBase("xl", "v_prediction", 1024, 1024, zero_snr=True, spacing="trailing")
    code = use(task, base, ".", with_pool=False)
    assert (
        'clip_sample=False, prediction_type="v_prediction", rescale_betas_zero_snr=True, '
        'timestep_spacing="trailing")'
    ) in code
    assert "eta=0.999999,  # " in code
    compile(code, "card", "exec")


def test_a_run_without_a_trained_round_has_nothing_to_export(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task())
    with pytest.raises(InputError, match="no round is trained yet"):
        export(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_good_picture_there_is_a_lora_and_an_empty_pool(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 1}))
    run_here(folder, [Labels.of([])])
    assert load_file(folder.exports / "noise_pool.safetensors") == {}
    card = (folder.exports / "README.md").read_text()
    assert "none: no picture was good" in card
    assert "z_T = " not in card


def test_a_place_that_cannot_be_written_is_named(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="out: cannot export"):
        export(run, tmp_path / "file" / "out")
