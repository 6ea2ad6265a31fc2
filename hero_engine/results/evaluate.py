"""`hero-tui evaluate`: draws the pictures that a run is judged by, and measures them.

What is there is neither drawn nor measured again, so that it can be interrupted at any time. Who
judges the pictures, and what comes of it, is not the engine's: `run/verdict.py`.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hero_engine.errors import EngineError
from hero_engine.method import state
from hero_engine.model import diffusion
from hero_engine.results.bar import PictureBar
from hero_engine.results.evaluation import draw
from hero_engine.results.scorers import Scorer, Unavailable, load_scorer
from hero_engine.run import rollback
from hero_engine.run.diversity import cosine_diversity, diversity
from hero_engine.run.evaluation_request import EvaluationRequest
from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.pictures import read_picture
from hero_engine.run.record import Record
from hero_engine.run.record.evaluations import Source
from hero_engine.run.sources import SOURCES, TRANSFERRED, UNTAUGHT, Evaluated, evaluated, prompts_of


def evaluate(folder: RunFolder, request: EvaluationRequest) -> None:
    """Draws and measures what is asked for; a scorer whose weights are missing is named on stderr.

    Raises:
        InputError: the round is not trained, or an engine is at work on the run.
        EngineError: a file cannot be read or written, or there is not enough memory.
    """
    with engine_lock(folder), closing(folder.open_record()) as record:
        rollback.complete(folder, record)
        what = evaluated(folder, request.round, request.images)
        try:
            if what.missing(request.sources):
                _draw(what, request.sources)
            _measure(record, what, [each for each in request.sources if each in SOURCES])
            for name in request.scorers:
                _score(record, what, request.sources, name)
        except OSError as error:
            where = error.filename or folder.path
            raise EngineError(f"{where}: {error.strerror or error}") from error


def _draw(what: Evaluated, sources: Sequence[Source]) -> None:
    task = what.task
    model = diffusion.load(task)
    pool = None
    if what.round != UNTAUGHT:
        pool = state.load_result(model, what.folder.checkpoint(what.round))
    chunk = task.sampling.chunk_size
    total = 0
    for source in sources:
        paths = [what.path(source, image) for image in what.numbers(source)]
        chunks = [paths[first : first + chunk] for first in range(0, len(paths), chunk)]
        total += sum(len(each) for each in chunks if not all(path.is_file() for path in each))
    with PictureBar(total) as bar:

        def drawn(pictures: int, made: bool) -> None:
            if made:
                bar.advance(pictures)

        for source in sources:
            images = what.numbers(source)
            if not images:
                continue
            prompts = prompts_of(task, source)
            drawn_of, conditioned = task.model_copy(update={"prompts": prompts}), model
            if source in TRANSFERRED:
                with model.at_work(*model.text_encoders):
                    encoded, _ = model.family.encode(
                        model.pipeline, prompts, task.negative_prompt, task.long_prompts == "cut"
                    )
                conditioned = replace(model, prompts=encoded)
            paths = [what.path(source, image) for image in images]
            draw(conditioned, drawn_of, pool, source, images, paths, drawn)


def _read(what: Evaluated, source: Source) -> NDArray[np.uint8]:
    return np.stack([read_picture(what.path(source, image)) for image in what.numbers(source)])


def _measure(record: Record, what: Evaluated, sources: Sequence[Source]) -> None:
    """In-batch diversity: by pixels, and by CLIP's features where its weights are."""
    done = record.evaluations.measured(what.round, what.count)
    if all({"diversity", "clip_diversity"} <= done.get(source, {}).keys() for source in sources):
        return
    try:
        clip: Scorer | None = load_scorer("clip")
    except Unavailable:
        clip = None
    for source in sources:
        known = done.get(source, {})
        if "diversity" not in known or (clip is not None and "clip_diversity" not in known):
            pictures = _read(what, source)
            found = {"diversity": diversity(pictures)}
            if clip is not None:
                found["clip_diversity"] = cosine_diversity(clip.features(list(pictures)))
            for name, value in found.items():
                record.evaluations.add_measured(what.round, source, what.count, name, value)


def _score(record: Record, what: Evaluated, sources: Sequence[Source], name: str) -> None:
    known = record.evaluations.scores(what.round)
    wanted: dict[Source, Sequence[int]] = {
        source: [n for n in what.numbers(source) if n not in known.get((name, source), {})]
        for source in sources
    }
    if not any(wanted.values()):
        return
    try:
        scorer = load_scorer(name)
    except Unavailable as why:
        print(why, file=sys.stderr, flush=True)
        return
    for source, images in wanted.items():
        if images:
            pictures = [read_picture(what.path(source, image)) for image in images]
            scores = scorer(pictures, [what.prompt(source, image) for image in images])
            record.evaluations.add_scores(
                what.round, source, name, dict(zip(images, scores, strict=True))
            )
