"""Validation: a logged episode is played again, and must come out the same."""

from dataclasses import dataclass

import numpy as np

from codegym.envs.episodes import Episodes
from codegym.episode import Written
from codegym.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Validation:
    """What a replay found.

    Attributes:
        differences: What differs from the log, a sentence each; empty if nothing does.
    """

    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the replay came out as it was logged."""
        return not self.differences


def validate(episodes: Episodes, logged: Trajectory) -> Validation:
    """Play a logged episode again: same prompt, same program, same verdict, same rewards.

    Args:
        episodes: Tasks, tokenizer, reward and grader of an env: ``env.unwrapped.episodes``.
        logged: The episode.

    Raises:
        TaskError: There is no task of that id.
        SandboxError: The program could not be judged.
    """
    task = episodes.source.find(logged.task_id)
    found: list[str] = []
    opening = episodes.open_task(task)
    prompt = opening.prompt.tolist()
    if prompt != logged.prompt.tolist():
        found.append(f"the prompt of task {task.task_id!r} reads {prompt}, not {logged.prompt}")
    written = Written(opening, logged.actions.tolist(), logged.finished)
    (ending,) = episodes.close([episodes.read(written)[0]])
    if ending.program != logged.program:
        found.append(f"the tokens spell {ending.program!r}, not {logged.program!r}")
    if logged.verdict is not None and ending.verdict != logged.verdict:
        found.append(f"the verdict is {ending.verdict}, not {logged.verdict}")
    if logged.feedback is not None and ending.feedback != logged.feedback:
        found.append(f"the feedback is {ending.feedback}, not {logged.feedback}")
    if ending.reward != logged.reward:
        found.append(f"the reward is {ending.reward}, not {logged.reward}")
    if not np.array_equal(ending.credit, logged.credit):
        found.append(f"the credit is {ending.credit}, not {logged.credit}")
    return Validation(tuple(found))
