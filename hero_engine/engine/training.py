"""The two trainings, of the embedding and of the LoRA: how far they are, and that they can stop."""

from collections.abc import Mapping

from torch import Tensor

from hero_engine.engine.context import Run
from hero_engine.method import embedding
from hero_engine.method.lesson import Lesson
from hero_engine.method.state import TrainingState


def train_embedding(
    run: Run, learned: TrainingState, good_z_0: Tensor, bad_z_0: Tensor, round_number: int
) -> None:
    """Trains E_theta and its head by triplets around the reigning best."""
    settings, device = run.task.embedding, learned.model.device
    run.record.set_progress("training the embedding", 0, settings.steps)

    def report(step: int, loss: float) -> None:
        if step % 10 == 0:
            run.record.add_metrics(round_number, step, {"embedding_loss": loss})
            run.record.set_progress("training the embedding", step, settings.steps)
            run.interrupts.check_stop()

    assert learned.best_z_0 is not None
    embedding.train(
        learned.embedder,
        learned.embedder_optimizer,
        learned.best_z_0.to(device),
        good_z_0.to(device),
        bad_z_0.to(device),
        settings,
        report,
    )


def train_lora(run: Run, learned: TrainingState, lesson: Lesson) -> None:
    """Updates the LoRA by the task's objective."""
    run.record.set_progress("training the LoRA", 0, 1)

    def report(step: int, total: int, metrics: Mapping[str, float]) -> None:
        run.record.add_metrics(lesson.round_number, step, metrics)
        phase = "training the LoRA" + learned.model.sizes.remark("micro_batch")
        run.record.set_progress(phase, step, total)
        run.interrupts.check_stop()

    run.team.update(lesson, learned.model, learned.lora_optimizer, report)
