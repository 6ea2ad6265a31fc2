"""Settling a task: the layers, where values come from, and what is refused."""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hero_engine.errors import InputError
from hero_engine.run import yamlfile
from hero_engine.run.folder import RunFolder
from hero_engine.run.judges import why_no_oracle
from hero_engine.run.resolve import (
    load_frozen,
    remarks,
    resolve,
    setting_values,
    shipped_tasks,
)
from tests.mangling import SCALARS, mangled, refusal

MINIMAL = "name: small\nprompts: [a cat]\ncriteria: [a cat is seen]\n"
FIELDS = [field for field, _ in setting_values(resolve("hand").task)]


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(MINIMAL)
    return path


def write(path: Path, more: str) -> str:
    path.write_text(MINIMAL + more)
    return str(path)


# -- layers ----------------------------------------------------------------------------------


def test_later_layers_win_and_say_so(task_file: Path) -> None:
    name = write(task_file, "model: embedded\nupdate: {k: 3}\n")
    resolved = resolve(name, seed=7, overrides=["noise.s=0.2"])
    task, origins = resolved.task, resolved.origins
    assert (task.noise.best_ratio, origins["noise.best_ratio"]) == (
        0.5,
        "default: paper, Sec. 4.3",
    )
    assert task.update.steps == "first"
    assert origins["update.steps"].startswith("profile embedded: ")
    assert (task.update.k, origins["update.k"]) == (3, "task file small.yaml")
    assert (task.noise.s, origins["noise.s"]) == (0.2, "command line")
    assert (task.seed, origins["seed"]) == (7, "command line")


def test_the_task_file_wins_over_the_profile_and_the_command_line_over_both(
    task_file: Path,
) -> None:
    name = write(task_file, "model: embedded\nupdate: {steps: spread}\n")
    assert resolve(name).task.update.steps == "spread"
    assert resolve(name, overrides=["update.steps=all"]).task.update.steps == "all"


def test_a_model_on_this_machine_is_found_from_every_folder(
    task_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "one.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    where = str(tmp_path / "models")
    assert resolve(str(task_file), model="models").task.model == where
    assert resolve(write(task_file, "model: ./models\n")).task.model == where
    assert resolve(write(task_file, "model: ~/models\n")).task.model == where
    task = resolve(str(task_file), model="one.safetensors", overrides=["config=models"]).task
    assert (task.model, task.config) == (str(tmp_path / "one.safetensors"), where)
    assert resolve(str(task_file), model="owner/name").task.model == "owner/name"


@pytest.mark.parametrize("model", ["./nothing", "/nothing", "~/nothing", "one.safetensors"])
def test_a_path_to_nothing_is_refused_before_any_engine(task_file: Path, model: str) -> None:
    with pytest.raises(InputError, match="there is no such file or folder"):
        resolve(str(task_file), model=model)


@pytest.mark.parametrize("model", ["./nowhere", "~nobody-of-this-name/model"])
def test_a_file_that_names_nothing_is_named(task_file: Path, model: str) -> None:
    with pytest.raises(InputError, match=r"\.yaml: model .*: there is no such file or folder"):
        resolve(write(task_file, f"model: {model}\n"))


def test_the_profile_is_that_of_the_model_that_is_used(task_file: Path) -> None:
    assert resolve(str(task_file)).task.update.steps == "last"
    assert resolve(str(task_file), model="embedded").task.update.steps == "first"
    name = write(task_file, "model: embedded\n")
    assert resolve(name, model="other/model").task.update.steps == "last"


def test_every_field_has_an_origin() -> None:
    resolved = resolve("mountain", model="embedded")
    assert [field for field, _ in setting_values(resolved.task)] == list(resolved.origins)


def test_a_frozen_task_is_read_back_without_layers(tmp_path: Path) -> None:
    for name in shipped_tasks():
        for model in (None, "embedded"):
            task = resolve(name, model=model).task
            (tmp_path / "task.yaml").write_text(yamlfile.dump(task.model_dump(mode="json")))
            assert load_frozen(tmp_path / "task.yaml") == task


def test_reserved_names_win_over_files_of_that_name(
    task_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "embedded").mkdir()
    (tmp_path / "black-cat").write_text(MINIMAL)
    assert resolve(str(task_file), model="embedded").task.model == "embedded"
    assert resolve(write(task_file, "model: embedded\n")).task.model == "embedded"
    there = resolve(str(task_file), model="./embedded").task
    assert (there.model, there.update.steps) == (str(tmp_path / "embedded"), "last")
    assert resolve("black-cat").task.name == "black-cat"
    assert resolve("./black-cat").task.name == "small"


def test_weights_of_words_are_remarked_on(task_file: Path) -> None:
    assert remarks(resolve(str(task_file)).task) == []
    for prompt in ("a (black:1.3) cat", "a cat <lora:cat:1>", "((black)) cat", "a [[cat]]"):
        overrides = [f"prompts=['{prompt}']"]
        (remark,) = remarks(resolve(str(task_file), overrides=overrides).task)
        assert "read letter by letter" in remark
    assert remarks(resolve(str(task_file), overrides=["negative_prompt=(blurry:1.2)"]).task)
    assert not remarks(
        resolve(str(task_file), overrides=["prompts=['a cat (9:30, indoors)']"]).task
    )


# -- what is refused, and how ----------------------------------------------------------------


def test_k_steps_are_asked_for_only_where_they_are_learned_from(task_file: Path) -> None:
    few = write(task_file, "sampling: {steps: 4}\nupdate: {k: 5, objective: nft}\n")
    assert resolve(few).task.sampling.steps == 4


@pytest.mark.parametrize(
    ("more", "field", "expected"),
    [
        ("colour: blue\n", "colour", "there is no such field"),
        ("sampling: {steps: 0}\n", "sampling.steps", "greater than or equal to 1, found 0"),
        ("sampling: {steps: many}\n", "sampling.steps", "found 'many'"),
        ("sampling: {steps: yes}\n", "sampling", "'steps' is yes"),
        ("noise: {s: .nan}\n", "noise.s", "finite"),
        ("sampling:\n", "sampling", "found None"),
        ("sampling: {steps: 4}\nupdate: {k: 5}\n", "update.k", "at most sampling.steps"),
        ("seed: -1\n", "seed", "greater than or equal to 0"),
        ("oracle: blak-cat\n", "oracle", "did you mean 'black-cat'? expected one of black-cat, "),
        ("oracle: unicorn\n", "oracle", "there is no oracle 'unicorn'; expected one of"),
        ("transfer_prompts: a cat\n", "transfer_prompts", "expected a list, such as ['a cat']"),
        ("embedding: {channels: 3}\n", "embedding.channels", "expected a list, such as [3]"),
        ("embedding: {channels: [0, 2, 4]}\n", "embedding.channels", "greater than or equal to 1"),
        ("embedding: {head: [-1]}\n", "embedding.head", "greater than or equal to 1, found -1"),
        ("update: {betas: [1.0, 0.9]}\n", "update.betas", "less than 1, found 1.0"),
        ("evaluation: {images: 100000}\n", "evaluation.images", "expected at most 2000"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_field(
    task_file: Path, more: str, field: str, expected: str
) -> None:
    with pytest.raises(InputError) as refused:
        resolve(write(task_file, more))
    assert str(refused.value).startswith(str(task_file))
    assert field in str(refused.value)
    assert expected in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("reward: {name: function, function: 'no_such:f'}\n", "there is no module no_such"),
        ("reward: {name: function, function: 'no_such.at_all:f'}\n", "cannot import no_such"),
        ("update: {objective: 'no_such:Mine'}\n", "update.objective no_such:Mine: there is no"),
    ],
)
def test_a_function_whose_module_is_not_there_is_named(
    task_file: Path, more: str, expected: str
) -> None:
    before = list(sys.path)
    with pytest.raises(InputError, match=expected):
        resolve(write(task_file, more))
    assert sys.path == before


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected a mapping"),
        (b"- a\n", "expected a mapping"),
        (b"name: [", "line 1"),
        (b"name: a\nname: b\n", "line 2: 'name' is given twice"),
        (b"name: &x a\n", "anchors are not allowed"),
        (b"name: *x\n", "anchors are not allowed"),
        (b"name: !!python/object/apply:os.system [ls]\n", "tags are not allowed"),
        (b"1: a\n", "expected a name as key, found 1"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "not valid YAML"),
        (b" " * (1 << 21), "too large"),
    ],
)
def test_a_file_that_is_not_plain_yaml_is_refused(
    task_file: Path, content: bytes, expected: str
) -> None:
    task_file.write_bytes(content)
    with pytest.raises(InputError) as refused:
        resolve(str(task_file))
    assert str(task_file) in str(refused.value)
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["sampling.steps", "steps=20", "sampling=20", "=", "sampling.steps=[", "sampling.steps=*a"],
)
def test_a_wrong_override_is_named(text: str, task_file: Path) -> None:
    with pytest.raises(InputError, match="--set") as refused:
        resolve(str(task_file), overrides=[text])
    assert text in str(refused.value)


@pytest.mark.parametrize(("name", "one", "other"), [("method", "hero", "hero+"), ("seed", 1, 2)])
def test_what_is_said_twice_must_be_the_same(
    name: str, one: Any, other: Any, task_file: Path
) -> None:
    with pytest.raises(
        InputError, match=rf"--{name} {one} and --set {name}={re.escape(str(other))}"
    ):
        resolve(str(task_file), **{name: one}, overrides=[f"{name}={other}"])
    resolve(str(task_file), **{name: one}, overrides=[f"{name}={one}"])


@pytest.mark.parametrize("name", ["no-such-task", "x" * 5000, "a/b/c.yaml", "", ".", "\x00"])
def test_an_unknown_task_lists_the_shipped_ones(name: str) -> None:
    with pytest.raises(InputError, match="black-cat, blue-rose, hand"):
        resolve(name)


def test_an_oracle_of_the_command_line_is_checked_too(task_file: Path) -> None:
    with pytest.raises(InputError, match=r"command line: oracle: .* mean 'mountain'"):
        resolve(str(task_file), overrides=["oracle=mountains"])


def test_a_run_with_an_oracle_that_there_is_not_can_still_be_read(tmp_path: Path) -> None:
    frozen = tmp_path / "task.yaml"
    frozen.write_text(MINIMAL + "oracle: blak-cat\nmodel: embedded\n")
    task = load_frozen(frozen)
    assert "does not exist" in str(why_no_oracle(task))


def test_more_prompts_than_a_round_has_pictures_are_refused_with_both_numbers(
    task_file: Path,
) -> None:
    task_file.write_text("name: small\nprompts: [a, b, c]\ncriteria: [a cat is seen]\n")
    assert resolve(str(task_file), overrides=["feedback.batch_size=3"]).task.prompts[2] == "c"
    with pytest.raises(
        InputError, match=r"small\.yaml.*: feedback\.batch_size: .* at least 3, .* found 2$"
    ):
        resolve(str(task_file), overrides=["feedback.batch_size=2"])


def test_a_run_of_more_prompts_than_a_round_has_pictures_can_still_be_opened(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path)
    folder.task_file.write_text(
        "name: small\nprompts: [a, b, c]\ncriteria: [c]\nfeedback: {batch_size: 2}\n"
    )
    task = folder.task()
    assert (len(task.prompts), task.feedback.batch_size) == (3, 2)


def test_infinite_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too large"):
        yamlfile.read_mapping(Path("/dev/zero"))
    with pytest.raises(InputError, match="no such file"):
        yamlfile.read_mapping(tmp_path / "missing")
    with pytest.raises(InputError, match="cannot be read"):
        yamlfile.read_mapping(tmp_path)


# -- whatever a file says --------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=mangled(resolve("hand", model="embedded").task.model_dump(mode="json")))
def test_any_mangled_task_loads_or_is_refused_by_name(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mangled.yaml"
        path.write_bytes(data)
        refused = refusal(lambda: resolve(str(path)))
        if refused is not None:
            assert "mangled.yaml" in refused
            return
        task = resolve(str(path)).task
        frozen = RunFolder(Path(folder)).task_file
        frozen.write_text(yamlfile.dump(task.model_dump(mode="json")), "utf-8")
        assert load_frozen(frozen) == task


@settings(max_examples=150, deadline=None)
@given(
    field=st.sampled_from(FIELDS) | st.text(max_size=20),
    value=st.text(max_size=20) | SCALARS.map(lambda value: yaml.dump(value).split("\n")[0]),
)
def test_any_override_is_taken_or_refused_by_name(field: str, value: str) -> None:
    text = f"{field}={value}"
    refused = refusal(lambda: resolve("hand", overrides=[text]))
    assert refused is None or text in refused or "command line" in refused
