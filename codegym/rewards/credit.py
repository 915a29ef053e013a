"""Pricing: a judged episode becomes feedback, a reward and credit over its tokens.

The environment and the rollout without an environment both price here, so that their numbers are
the same. Nothing is run and nothing is judged.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegym.grading.feedback import Feedback, find_fault, locate
from codegym.grading.verdict import Verdict
from codegym.rewards.reward import Reward
from codegym.tasks.task import Task
from codegym.tokenizers.tokenizer import Tokenizer


class Priced(NamedTuple):
    """What one judged episode is worth; a named tuple, since as many are made as programs.

    Attributes:
        verdict: The verdict, marked as cut where the policy did not finish.
        feedback: Where the fault lies.
        reward: Of the whole program.
        token_rewards: (T,) float32, received after each action; see ``Reward.tokens``.
    """

    verdict: Verdict
    feedback: Feedback
    reward: float
    token_rewards: NDArray[np.float32]


def program_of(task: Task, written: str) -> str:
    """Return the whole program of an episode whose tokens decode to ``written``.

    Where the prompt is code the tokens continue it; else they are the program.
    """
    return task.prompt + written if task.prompt_is_code else written


def price(
    task: Task,
    actions: Sequence[int] | NDArray[np.integer[Any]],
    *,
    finished: bool,
    verdict: Verdict,
    tokenizer: Tokenizer,
    reward: Reward,
    program: str | None = None,
    given: Sequence[int] = (),
) -> Priced:
    """Price one judged episode.

    Args:
        task: The task that was played.
        actions: (T,) ids the policy chose, the end token included where it was chosen.
        finished: Whether the policy ended the program itself; False if the budget cut it.
        verdict: Of ``program_of(task, tokenizer.decode(given + actions))``.
        tokenizer: What the ids mean.
        reward: What the verdict is worth.
        program: That text, where the caller has it already.
        given: Ids the program began with before the policy's first action; they earn nothing.
    """
    if program is None:
        program = program_of(task, tokenizer.decode(_ids(given, actions)))
    verdict = verdict if finished else verdict.as_cut()
    fault = find_fault(verdict, program)
    # Where no line is at fault nobody asks where the tokens stand.
    if fault.line is None:
        return _priced(task, program, verdict, fault.in_tokens(len(actions)), reward)
    spans = tokenizer.spans(_ids(given, actions))[len(given) :]
    start = len(task.prompt) if task.prompt_is_code else 0
    return _priced(task, program, verdict, fault.among(spans, start), reward)


def _ids(given: Sequence[int], actions: Sequence[int] | NDArray[np.integer[Any]]) -> list[int]:
    return [*given, *(actions.tolist() if isinstance(actions, np.ndarray) else actions)]


def price_spans(
    task: Task,
    program: str,
    *,
    spans: NDArray[np.int64],
    start: int,
    finished: bool,
    verdict: Verdict,
    reward: Reward,
) -> Priced:
    """Price a judged episode whose actions are pieces of text of any size.

    Args:
        task: The task that was played.
        program: The whole program.
        spans: (T, 2) where each action stands in the text that was written.
        start: Where in the program that text begins.
        finished: Whether the policy ended the program itself.
        verdict: Of the program.
        reward: What the verdict is worth.
    """
    verdict = verdict if finished else verdict.as_cut()
    feedback = locate(verdict, program, spans=spans, program_start=start)
    return _priced(task, program, verdict, feedback, reward)


def _priced(
    task: Task, program: str, verdict: Verdict, feedback: Feedback, reward: Reward
) -> Priced:
    bound = reward.bind(task, program)
    return Priced(
        verdict=verdict,
        feedback=feedback,
        reward=bound(verdict, feedback),
        token_rewards=bound.tokens(verdict, feedback),
    )
