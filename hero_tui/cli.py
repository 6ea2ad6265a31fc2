"""The `hero-tui` command: reads the arguments, and leaves the work to one module a command.

Modules are imported within the commands, so that `hero-tui --help` is there at once.
"""

import os
import sys
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hero_engine.errors import HeroError, InputError
from hero_engine.run.options import EngineOptions, memory_of
from hero_engine.run.text import plain
from hero_tui import completion
from hero_tui.output import message, table
from hero_tui.preview.terminal import Images, Keep
from hero_tui.streams import keep_numbers, plain_streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_engine.run.folder import RunFolder
    from hero_engine.run.labels import Labels
    from hero_engine.run.startpictures import StartPictures
    from hero_engine.run.task import Task
    from hero_tui.headless.labelers import Labeler

app = typer.Typer(
    help="Teach a text-to-image model by labeling its pictures in a terminal.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
tasks_app = typer.Typer(help="The tasks: what can be taught.", no_args_is_help=True)
app.add_typer(tasks_app, name="tasks")

Run = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="A run's folder, its name, or a unique start of it; else the latest.",
        autocompletion=completion.runs,
    ),
]
RunsDir = Annotated[
    Path,
    typer.Option(
        "--runs-dir",
        envvar="HERO_TUI_RUNS_DIR",
        help="The folder that the runs are in.",
        is_eager=True,  # known by when a run's name is completed
    ),
]
LabelsFile = Annotated[Path | None, typer.Option("--labels", help="Label as this file says.")]
Oracle = Annotated[bool, typer.Option("--oracle", help="Let the task's oracle label.")]
Function = Annotated[
    str | None, typer.Option("--labeler", help="Label by a function, as module:function.")
]
Round = Annotated[
    int | None, typer.Option("--round", help="After which round's training; else the latest.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Go on in the background.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="'embedded', a folder, or a name on the hub.",
        autocompletion=completion.models,
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="The system that learns: hero, hero+, noise-only, dreambooth, d3po, ddpo, ...",
        autocompletion=completion.methods,
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Every random draw comes from it.")]
Processes = Annotated[
    int,
    typer.Option(
        "--num-processes",
        min=1,
        metavar="N",
        help="Processes of the engine, one for each GPU, if it is started now.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, such as sampling.steps=20.",
        autocompletion=completion.settings,
    ),
]
ShowImages = Annotated[
    Images | None, typer.Option("--images", help="How pictures are shown in the terminal.")
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="8|12|16|24|48|auto",
        help="Work within so many GiB, or within what is free; else as the task says.",
    ),
]
IdleOffload = Annotated[
    float | None,
    typer.Option(
        "--idle-offload",
        metavar="MINUTES",
        min=0,
        help="Free the GPU's memory when nobody has labelled for so long.",
    ),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the UNet's blocks (CUDA): pays in long runs.")
]
Page = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE.html", help="The file to write."),
]
StartFrom = Annotated[
    list[Path] | None,
    typer.Option(
        "--start-from",
        metavar="FOLDER",
        help="Begin with pictures that are labelled already: good/ and bad/, or a run.",
    ),
]
RUNS_DIR = Path("runs")
MANY_PICTURES = 100
"""Large photos of so many take seconds to look at."""
PROGRAM = "hero-tui"


def main() -> None:
    """Runs the command line; errors of hero-tui become a message and their exit code."""
    if completion.VARIABLE in os.environ:
        app(prog_name=PROGRAM)  # a shell reads what it says, and no person
    keep_numbers()
    with plain_streams():
        try:
            app(prog_name=PROGRAM)
        except HeroError as error:
            message(str(error))
            sys.exit(error.exit_code)
        except OSError as error:
            # What no command foresaw, such as a full disk behind stdout.
            message(f"hero-tui: {error}")
            sys.exit(HeroError.exit_code)
        except Exception:
            # A bug. Python's own report would not go through the plain streams.
            traceback.print_exc()
            sys.exit(HeroError.exit_code)


def _version(wanted: bool) -> None:
    if wanted:
        from hero_engine import __version__

        print(f"hero-tui {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        _choose_run(context)


def _choose_run(context: typer.Context) -> None:
    """With no command: the runs screen where there are runs and a terminal, else the help."""
    from hero_engine.run.folder import list_runs
    from hero_tui import start

    runs_dir = Path(os.environ.get("HERO_TUI_RUNS_DIR") or RUNS_DIR)
    if not (start.has_terminal() and list_runs(runs_dir)):
        message(context.get_help())
        raise typer.Exit(InputError.exit_code)
    raise typer.Exit(start.choose_and_label(runs_dir))


# -- runs ------------------------------------------------------------------------------------


@app.command()
def run(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="A task file or a shipped task.",
            autocompletion=completion.tasks,
        ),
    ],
    model: Model = None,
    method: Method = None,
    seed: Seed = None,
    overrides: Overrides = None,
    start_from: StartFrom = None,
    runs_dir: RunsDir = RUNS_DIR,
    name: Annotated[str | None, typer.Option("--name", help="The run's name.")] = None,
    labels: LabelsFile = None,
    oracle: Oracle = False,
    labeler: Function = None,
    detach: Detach = False,
    images: ShowImages = None,
    num_processes: Processes = 1,
    memory: MemoryLimit = None,
    idle_offload: IdleOffload = None,
    compiled: Compile = False,
) -> None:
    """Start a run, and label it in the terminal; or let a file, the oracle or a function label."""
    from hero_engine.run.folder import create_run
    from hero_engine.run.modelfiles import check_local_model
    from hero_engine.run.resolve import resolve
    from hero_tui import start

    options = _engine_options(memory, idle_offload, compiled, num_processes)
    resolved = resolve(task, model=model, method=method, seed=seed, overrides=overrides or ()).task
    check_local_model(resolved.model, resolved.config, resolved.variant)
    begin_with = _start_pictures(start_from, resolved, runs_dir) if start_from else None
    has_best = begin_with is not None and begin_with.best is not None
    chosen = _labeler(resolved, labels, oracle, labeler, has_best=has_best)
    needs_labels = resolved.labels_budget > 0
    if needs_labels and chosen is None and not detach:
        start.require_terminal("run")
    create = partial(create_run, runs_dir, resolved, name)
    if begin_with is not None:
        create = partial(create, fill=begin_with.fill)
    if detach:
        _start_in_background(create(), labels, oracle, labeler, options)
    elif needs_labels and chosen is None:
        raise typer.Exit(start.label(create, images, options))
    else:
        _drive(create(), chosen, options)


@app.command()
def attach(
    run: Run = None,
    runs_dir: RunsDir = RUNS_DIR,
    images: ShowImages = None,
    num_processes: Processes = 1,
    memory: MemoryLimit = None,
    idle_offload: IdleOffload = None,
    compiled: Compile = False,
) -> None:
    """Show a run in the terminal, starting its engine if none is running."""
    from hero_engine.run.folder import find_run
    from hero_tui import start

    options = _engine_options(memory, idle_offload, compiled, num_processes)
    folder = find_run(run, runs_dir)
    start.require_terminal("attach")
    raise typer.Exit(start.label(lambda: folder, images, options))


@app.command()
def resume(
    run: Run = None,
    runs_dir: RunsDir = RUNS_DIR,
    labels: LabelsFile = None,
    oracle: Oracle = False,
    labeler: Function = None,
    detach: Detach = False,
    num_processes: Processes = 1,
    memory: MemoryLimit = None,
    idle_offload: IdleOffload = None,
    compiled: Compile = False,
) -> None:
    """Continue a run without a terminal."""
    from contextlib import closing

    from hero_engine.run.folder import check_no_engine_elsewhere, find_run
    from hero_engine.run.labelfile import submitted_labels
    from hero_tui.headless.drive import summary

    options = _engine_options(memory, idle_offload, compiled, num_processes)
    folder = find_run(run, runs_dir)
    check_no_engine_elsewhere(folder)
    task = folder.task()
    with closing(folder.open_record()) as record:
        if record.state()[0] == "finished":
            message(f"{folder.name} is finished: no more is learned, and no labels are used.")
            message(summary(folder, record))
            return
        submitted = submitted_labels(record)
        ending = record.is_pending("finish")
        has_best = record.reigning_best(0) is not None
    chosen = _labeler(task, labels, oracle, labeler, submitted, has_best)
    to_label = task.labels_budget and len(submitted) < task.feedback.rounds
    if chosen is None and not ending and to_label and not detach:
        raise InputError(
            f"{folder.path}: {len(submitted)} of {task.feedback.rounds} rounds are labelled; say "
            "who labels the others with --labels FILE, --oracle or --labeler module:function, or "
            "label them yourself with `hero-tui attach`"
        )
    if detach:
        _start_in_background(folder, labels, oracle, labeler, options)
    else:
        _drive(folder, chosen, options)


@app.command()
def runs(runs_dir: RunsDir = RUNS_DIR) -> None:
    """List the runs."""
    from hero_tui.runlist import read_runs

    listed = read_runs(runs_dir)
    if not listed:
        message(f"{runs_dir}: there are no runs yet; start one with `hero-tui run`")
        return
    rows = []
    for each in listed:
        name, found, success = each.folder.name, each.status, each.success_rate
        if found is None:
            rows.append([name, "", "", f"unreadable: {each.problem}", "", ""])
            continue
        rounds = f"{len(found['history'])}/{found['rounds']}"
        rate = "" if success is None else f"{success:.0%}"
        rows.append([name, found["task"], found["model"], found["state"], rounds, rate])
    table(["run", "task", "model", "state", "labelled", "success"], rows)


@app.command()
def stop(run: Run = None, runs_dir: RunsDir = RUNS_DIR) -> None:
    """Stop a run's engine once it has finished the write it is in; nothing is lost."""
    from hero_engine.run.folder import find_run
    from hero_engine.run.process import STOP_SECONDS, stop_engine

    folder = find_run(run, runs_dir)
    if stop_engine(folder, seconds=STOP_SECONDS):
        message(f"Stopped {folder.name}. Continue with `hero-tui attach {folder.reference}`.")
    else:
        message(f"{folder.name}: no engine is running, nothing to stop.")


@app.command()
def rollback(
    run: Run = None,
    number: Annotated[
        int, typer.Option("--round", metavar="N", help="Go on from the state after its training.")
    ] = ...,  # type: ignore[assignment]
    overrides: Overrides = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Of the draws to come; else new ones. The old: same pictures."),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Make an earlier round's model the current one; the rounds after it are kept as a run."""
    from hero_engine.run import rollback as rolling
    from hero_engine.run.folder import find_run, trained_round
    from hero_engine.run.process import STOP_SECONDS, stop_engine
    from hero_engine.run.record import Record
    from hero_engine.run.resolve import with_changes
    from hero_engine.run.task import Task

    def changed(task: Task, record: Record) -> Task:
        task = with_changes(task, overrides or (), seed)
        return task if seed is not None else rolling.with_next_seed(task, record)

    folder = find_run(run, runs_dir)
    # What is wrong with the request is said before an engine is stopped for it.
    trained_round(folder, number)
    with_changes(folder.task(), overrides or (), seed)
    if stop_engine(folder, seconds=STOP_SECONDS):
        message("The engine was stopped.")
    left = rolling.roll_back(folder, number, changed)
    message(
        f"{folder.name} is as it was after round {number}, and paused. The rounds after it are a "
        f"run of their own now: {left.reference}\n"
        f"Go on with `hero-tui attach {folder.reference}`, or without a terminal with `hero-tui "
        f"resume {folder.reference}` and --labels FILE, --oracle or --labeler module:function."
    )


@app.command()
def status(
    run: Run = None,
    runs_dir: RunsDir = RUNS_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say where a run stands."""
    import json
    from contextlib import closing

    from hero_engine.run.folder import find_run
    from hero_engine.run.status import status as status_of
    from hero_tui.statusview import show

    folder = find_run(run, runs_dir)
    found = status_of(folder)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    with closing(folder.open_record()) as record:
        show(found, folder.task(), error=record.state()[1], run=folder.reference)


@app.command()
def labels(
    run: Run = None,
    runs_dir: RunsDir = RUNS_DIR,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write this file.")] = None,
) -> None:
    """Write a run's submitted labels as a label file."""
    from contextlib import closing

    from hero_engine.run.folder import find_run
    from hero_engine.run.labelfile import dump, submitted_labels

    folder = find_run(run, runs_dir)
    with closing(folder.open_record()) as record:
        text = dump(folder.task().name, submitted_labels(record))
        if record.start() is not None:
            begun = f"--start-from {plain(folder.reference)}/start"
            text = f"# Begun with pictures that were labelled before; to replay: {begun}\n{text}"
    if output is None:
        print(text, end="")
        return
    try:
        there = output.read_text("utf-8", "replace") if output.is_file() else ""
        if not text.startswith(there.replace("rounds: []", "rounds:")):
            raise InputError(
                f"{output}: there is something in it that is not of this run's labels, and would "
                "be lost; name another with -o, or remove it"
            )
        output.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}") from None


@app.command()
def keys() -> None:
    """List the keys, with the names by which the preferences file can change them."""
    from hero_tui.config import config_file, load_config
    from hero_tui.keymap import check_keys, commands

    problem, file = None, config_file()
    try:
        mine = load_config(file).keys
        check_keys(mine, file)
    except InputError as error:
        mine, problem = {}, error
    table(
        ["where", "binding", "keys", "meaning"],
        [
            [command.where, command.id, ",".join(command.keys), command.meaning]
            for command in commands(mine)
        ],
    )
    if problem is not None:
        raise problem


@app.command()
def export(
    run: Run = None,
    runs_dir: RunsDir = RUNS_DIR,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The folder to write; else exports/ in the run's."),
    ] = None,
    number: Round = None,
) -> None:
    """Write a run's LoRA, for diffusers and for ComfyUI and the like, noise pool and model card."""
    from hero_engine.run.folder import find_run, trained_round

    folder = find_run(run, runs_dir)
    target = output or folder.exports
    if number is not None:
        trained_round(folder, number)
        target = output or folder.exports / f"round-{number:03d}"
    chosen = [] if number is None else [str(number)]
    _engine("export", str(folder.path), str(target.absolute()), *chosen)


@app.command()
def generate(
    run: Run = None,
    runs_dir: RunsDir = RUNS_DIR,
    images: Annotated[int | None, typer.Option("-n", "--images", help="How many; else 64.")] = None,
    number: Round = None,
    prompt: Annotated[str | None, typer.Option(help="Else the task's prompts.")] = None,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="The task's transfer prompts, never trained on.")
    ] = False,
    negative_prompt: Annotated[str | None, typer.Option(help="Else the task's.")] = None,
    noise: Annotated[
        str | None, typer.Option(metavar="pi|fresh", help="Initial noise: the run's pool, or new.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="NAME", help="ddim (as in the run), euler, dpm++, ...")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; else the run's.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Else the run's; 1: none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Else the run's.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A new folder; else the next in generated/."),
    ] = None,
) -> None:
    """Draw pictures with a run's model; the run may go on meanwhile."""
    from hero_engine.run.folder import find_run, trained_round
    from hero_engine.run.picture_request import picture_request, requested_prompts

    request = picture_request(
        {
            "images": images,
            "round": number,
            "prompt": prompt,
            "transfer": transfer,
            "negative_prompt": negative_prompt,
            "noise": noise,
            "scheduler": scheduler,
            "steps": steps,
            "guidance": guidance,
            "seed": seed,
        }
    )
    folder = find_run(run, runs_dir)
    trained_round(folder, request.round)
    requested_prompts(folder.task(), request)
    place = [] if output is None else [str(output.absolute())]
    _engine("generate", str(folder.path), request.model_dump_json(), *place)


@app.command()
def report(run: Run = None, runs_dir: RunsDir = RUNS_DIR, output: Page = None) -> None:
    """Write a page that shows what a run learned: success, pictures, labels, curves, settings."""
    from hero_engine.run.folder import find_run

    folder = find_run(run, runs_dir)
    page = output or folder.exports / "report.html"
    _engine("report", str(page.absolute()), str(folder.path))


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Two runs or more.", autocompletion=completion.runs),
    ],
    runs_dir: RunsDir = RUNS_DIR,
    output: Page = None,
) -> None:
    """Write a page that puts runs side by side: figures, curves, pictures from the same noise."""
    from hero_engine.run.folder import find_run

    folders = [find_run(run, runs_dir) for run in runs]
    page = output or folders[0].path.parent / "compare.html"
    _engine("compare", str(page.absolute()), *(str(folder.path) for folder in folders))


@app.command()
def evaluate(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            help="Runs' folders, names, or unique starts of them; else the latest.",
            autocompletion=completion.runs,
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    number: Round = None,
    images: Annotated[
        int | None,
        typer.Option("-n", "--images", help="Of each kind; else as the task says, 64 for you."),
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Two side by side: which is better, or neither.")
    ] = False,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="You judge the pictures of the transfer prompts.")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Judge as this label file says.")
    ] = None,
    oracle: Annotated[bool, typer.Option("--oracle", help="Let the task's oracle judge.")] = False,
    labeler: Annotated[
        str | None, typer.Option("--labeler", help="Judge by a function, as module:function.")
    ] = None,
    scorers: Annotated[
        list[str] | None,
        typer.Option("--scorer", metavar="NAME", help="pickscore, clip, blip-itm or all."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="You judge anew what you have judged.")
    ] = False,
    shown_as: Annotated[
        Images | None, typer.Option("--show", help="How pictures are shown in the terminal.")
    ] = None,
) -> None:
    """Judge base against taught model, and its pool against fresh noise; you do so blind."""
    from hero_engine.run.evaluation_request import checked_scorers
    from hero_engine.run.folder import find_run
    from hero_tui import start
    from hero_tui.evaluate import Asked
    from hero_tui.evaluate import evaluate as evaluate_runs

    _check_one_labels(labels, oracle, labeler)
    if (pairs or transfer) and (labels is not None or oracle or labeler is not None or scorers):
        raise InputError(
            "--pairs, --transfer: they are for a person; a label file says itself what it is about"
        )
    chosen = checked_scorers(scorers or ())
    asked = Asked(number, images, oracle, labeler, labels, chosen, pairs, transfer, again, shown_as)
    folders = [find_run(each, runs_dir) for each in runs] if runs else [find_run(None, runs_dir)]
    raise typer.Exit(evaluate_runs(folders, asked, start.has_terminal()))


@app.command()
def bench(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="table-2 to table-5, figure-3, figure-5, transfer, label-noise, raters, "
            "hero-plus or over-training.",
            autocompletion=completion.experiments,
        ),
    ],
    seeds: Annotated[
        list[str] | None, typer.Option("--seeds", metavar="0,1,2", help="Else 0,1,2.")
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks",
            metavar="TASK,...",
            help="Else those of the paper.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option("--rows", metavar="ROW,...", help="Run only these of the table's rows now."),
    ] = None,
    model: Model = None,
    labeler: Function = None,
    overrides: Overrides = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", min=1, help="Runs at a time; else one for each core."),
    ] = None,
    runs_dir: Annotated[
        Path | None,
        typer.Option("--runs-dir", help="The folder that the runs are in; else runs/bench."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The results' folder; else benchmarks/results."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which runs, and about how long.")
    ] = False,
) -> None:
    """Rerun a table or a figure of the paper; what is finished is kept, and not run again."""
    from hero_engine.cartoons import EMBEDDED
    from hero_tui.bench import command

    asked = command.Asked(
        name,
        tuple(seeds or ()),
        tuple(tasks or ()),
        tuple(rows or ()),
        model or EMBEDDED,
        labeler,
        tuple(overrides or ()),
        jobs,
        runs_dir or command.RUNS,
        output or command.RESULTS,
    )
    raise typer.Exit(command.bench(asked, dry_run))


@app.command()
def doctor(
    model: Annotated[
        str | None, typer.Option("--model", help="The model to be taught; else the tasks' own.")
    ] = None,
    images: ShowImages = None,
    keep: Annotated[
        Keep | None,
        typer.Option(
            "--keep", help="How pictures are drawn as text in this terminal, from now on."
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Say what works here and what to change: the terminal, the processor, memory, the model."""
    from hero_engine.run.task import Task
    from hero_tui.doctor import examine

    examine(images, runs_dir, keep=keep)
    print("\nThe engine", flush=True)
    _engine("doctor", model or Task.model_fields["model"].default)


# -- tasks -----------------------------------------------------------------------------------


@tasks_app.command("list")
def tasks_list() -> None:
    """List the shipped tasks."""
    from hero_engine.run.resolve import load_frozen, shipped_tasks

    table(
        ["task", "prompt"],
        [[name, load_frozen(path).prompts[0]] for name, path in shipped_tasks().items()],
    )


@tasks_app.command("show")
def tasks_show(
    task: Annotated[str, typer.Argument(metavar="TASK", autocompletion=completion.tasks)],
    model: Model = None,
    method: Method = None,
    seed: Seed = None,
    overrides: Overrides = None,
) -> None:
    """Show every setting of a task, and where each came from."""
    from hero_engine.run.resolve import resolve, setting_values

    resolved = resolve(task, model=model, method=method, seed=seed, overrides=overrides or ())
    table(
        ["field", "value", "from"],
        [
            [field, _shown(value), resolved.origins[field]]
            for field, value in setting_values(resolved.task)
        ],
    )


@tasks_app.command("check")
def tasks_check(
    files: Annotated[list[str], typer.Argument(metavar="FILE", autocompletion=completion.tasks)],
) -> None:
    """Check task files."""
    from hero_engine.run.resolve import remarks, resolve

    problems = []
    for file in files:
        try:
            task = resolve(file).task
        except InputError as error:
            problems.append(str(error))
        else:
            print(f"{plain(file)}: ok")
            for remark in remarks(task):
                print(f"{plain(file)}: {plain(remark)}")
    if problems:
        raise InputError("\n".join(problems))


@tasks_app.command("schema")
def tasks_schema() -> None:
    """Print the JSON Schema of task files, for editors."""
    import json

    from hero_engine.run.task import Task

    print(json.dumps(Task.model_json_schema(), indent=2))


# -- shared by commands ----------------------------------------------------------------------


def _engine(*arguments: str) -> None:
    """Ends as the engine ends: what needs torch is done in a process of its own."""
    from hero_tui.enginecommand import run_engine_command

    raise typer.Exit(run_engine_command(*arguments))


def _engine_options(
    memory: str | None, idle_offload: float | None, compiled: bool, num_processes: int
) -> EngineOptions:
    return EngineOptions(memory_of(memory), idle_offload, compiled, num_processes)


def _check_one_labels(labels: Path | None, oracle: bool, function: str | None) -> None:
    if (labels is not None) + oracle + (function is not None) > 1:
        raise InputError("--labels, --oracle and --labeler: expected one of them, found several")


def _labeler(
    task: "Task",
    labels: Path | None,
    oracle: bool,
    function: str | None,
    submitted: "Sequence[Labels]" = (),
    has_best: bool = False,
) -> "Labeler | None":
    from hero_tui.headless import labelers

    _check_one_labels(labels, oracle, function)
    if labels is not None:
        return labelers.from_file(labels, task, submitted, has_best)
    if oracle:
        return labelers.from_oracle(task)
    if function is not None:
        return labelers.from_function(function)
    return None


def _start_pictures(folders: list[Path], task: "Task", runs_dir: Path) -> "StartPictures":
    from hero_engine.run.folder import find_run
    from hero_engine.run.startpictures import start_pictures, what_they_teach

    def tell(count: int) -> None:
        if count >= MANY_PICTURES:
            message(f"Looking at {count} labelled pictures ...")

    def place(named: Path) -> Path:
        if not named.exists():
            with suppress(InputError):  # there is no such run either
                return find_run(str(named), runs_dir).path
        return named

    found = start_pictures([place(each) for each in folders], task, tell)
    for remark in found.remarks:
        message(remark)
    has_best = found.best is not None
    message(f"Begins with {found.words}. {what_they_teach(task, has_best)}")
    return found


def _drive(folder: "RunFolder", labeler: "Labeler | None", options: EngineOptions) -> None:
    from hero_tui.headless.drive import drive

    raise typer.Exit(drive(folder, labeler, options))


def _start_in_background(
    folder: "RunFolder",
    labels: Path | None,
    oracle: bool,
    function: str | None,
    options: EngineOptions,
) -> None:
    from hero_engine.run.process import start_engine, wait_until_running
    from hero_tui.headless.drive import log_of, start_in_background

    # Before it runs, `hero-tui stop` would find nothing to stop.
    if labels is None and not oracle and function is None:
        wait_until_running(folder, start_engine(folder, options))
    else:
        labeler = start_in_background(folder, labels, oracle, function, options)
        wait_until_running(folder, labeler, log_of(folder))
    print(plain(folder.name))
    message(f"Running. Look at it with `hero-tui attach {folder.reference}`.")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)
