"""Who can judge what a task asks for: the one place that knows."""

from hero_engine.cartoons import SUBJECTS, is_embedded
from hero_engine.run.task import Task


def why_no_oracle(task: Task) -> str | None:
    """Why no oracle can judge the pictures of the task's model; None: its oracle can."""
    if task.oracle is None:
        return f"the task '{task.name}' names no oracle; label the pictures yourself"
    if task.oracle not in SUBJECTS:
        return (
            f"the task '{task.name}' names the oracle '{task.oracle}', which does not exist; "
            f"expected one of {', '.join(SUBJECTS)}"
        )
    if not is_embedded(task.model):
        return (
            f"it can only judge the cartoons of the embedded model, this run's model is "
            f"'{task.model}'; add --model embedded, or label the pictures yourself"
        )
    return None


def judges_transfer(task: Task) -> bool:
    """Whether the oracle's criterion holds for the transfer prompts as well as for the task's own.

    That there is no reserved mark can be told of any picture; a train's window, of one prompt's.
    """
    return why_no_oracle(task) is None and task.oracle == "safety"


def is_evaluated(task: Task) -> bool:
    """Whether the final model's pictures are drawn and judged when the run ends."""
    return why_no_oracle(task) is None and task.evaluation.images > 0
