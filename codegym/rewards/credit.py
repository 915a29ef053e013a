"""Credit: a judged program becomes feedback, a reward, and the reward received after each action.

This is the only place where programs are priced. Nothing is run and nothing is judged here.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegym.grading.feedback import Feedback, find_fault
from codegym.grading.verdict import Verdict
from codegym.rewards.reward import Reward
from codegym.tasks.task import Task


class Priced(NamedTuple):
    """What a judged program is worth; a named tuple, since as many are made as programs.

    Attributes:
        verdict: The verdict, marked as cut where the program was cut.
        feedback: Where the fault lies.
        reward: Reward of the whole program.
        credit: (T,) float32, the reward received after each action; see ``Reward.credit``.
    """

    verdict: Verdict
    feedback: Feedback
    reward: float
    credit: NDArray[np.float32]


def price(
    task: Task,
    program: str,
    verdict: Verdict,
    reward: Reward,
    *,
    count: int,
    spans: Callable[[], NDArray[np.int64]],
    start: int,
    finished: bool,
) -> Priced:
    """Price a judged program.

    Args:
        task: The task.
        program: The whole program that was judged.
        verdict: The verdict on it.
        reward: Gives the verdict its value.
        count: Number T of actions that wrote the program: tokens, lines, or one text.
        spans: Returns (T, 2) the place of each action in the text that was written; called only
            where a line is at fault.
        start: Where in the program that text begins.
        finished: Whether the author ended the program; False where a budget cut it.
    """
    verdict = verdict if finished else verdict.as_cut()
    fault = find_fault(verdict, program)
    feedback = fault.in_tokens(count) if fault.line is None else fault.among(spans(), start)
    bound = reward.bind(task, program)
    return Priced(
        verdict=verdict,
        feedback=feedback,
        reward=bound(verdict, feedback),
        credit=bound.credit(verdict, feedback),
    )
