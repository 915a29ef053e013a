"""Draft: a program on its way from a policy, or a reference solution, to a judged trajectory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codegym.grading.judge import Judge
from codegym.grading.verdict import Verdict
from codegym.rewards.credit import price_spans
from codegym.rewards.reward import Reward
from codegym.tasks.answers import start_of
from codegym.tasks.task import Task
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Trajectory


@dataclass(slots=True)
class Draft:
    """One program.

    Attributes:
        task: What it is for.
        prompt: Ids of the prompt, what was given of the program included.
        actions, log_probs, values, finished: As in the Trajectory.
        text: The program's text.
        given: How many of the prompt's last tokens are the beginning of the program.
        demonstration: Whether it is a reference solution.
        greedy: Whether the most probable token was taken throughout.
        masks: As in the Trajectory.
        verdict: None until it is graded.
    """

    task: Task
    prompt: list[int]
    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    finished: bool
    text: str
    given: int = 0
    demonstration: bool = False
    greedy: bool = False
    masks: NDArray[np.uint8] | None = None
    verdict: Verdict | None = None


def await_verdicts(judge: Judge, tickets: dict[int, int], drafts: Sequence[Draft]) -> None:
    """Wait until every ticket, which says whose verdict it is, has been redeemed.

    Raises:
        SandboxError: The sandbox broke.
    """
    while tickets:
        for ticket, verdict in judge.collect():
            drafts[tickets.pop(ticket)].verdict = verdict


def finish(draft: Draft, tokenizer: Tokenizer, reward: Reward, version: int) -> Trajectory:
    """Price a graded program that weights of the given version wrote."""
    assert draft.verdict is not None
    ids = [*draft.prompt[len(draft.prompt) - draft.given :], *draft.actions.tolist()]
    priced = price_spans(
        draft.task,
        draft.text,
        spans=tokenizer.spans(ids)[draft.given :],
        start=start_of(draft.text, tokenizer.decode(ids)),
        finished=draft.finished,
        verdict=draft.verdict,
        reward=reward,
    )
    return Trajectory(
        task_id=draft.task.task_id,
        prompt=np.array(draft.prompt, dtype=np.int64),
        actions=draft.actions,
        log_probs=draft.log_probs,
        values=draft.values,
        reward=priced.reward,
        token_rewards=priced.token_rewards,
        finished=draft.finished,
        program=draft.text,
        verdict=priced.verdict,
        feedback=priced.feedback,
        policy_version=version,
        given=draft.given,
        demonstration=draft.demonstration,
        greedy=draft.greedy,
        masks=draft.masks,
    )
