"""Validation: a logged episode is played again, and must come out the same."""

from dataclasses import dataclass

import numpy as np

from codegym.envs.episodes import Played, Setting
from codegym.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Validation:
    """What a replay found.

    Attributes:
        differences: What is not as it was logged, one sentence each; empty where all is.
    """

    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the replay came out as it was logged."""
        return not self.differences


def validate(setting: Setting, logged: Trajectory) -> Validation:
    """Play a logged episode again: same prompt, same program, same verdict, same rewards.

    Args:
        setting: Tasks, tokenizer, reward and grader of an env: ``env.unwrapped.setting``.
        logged: The episode.

    Raises:
        TaskError: The setting has no task of that id.
        SandboxError: The program could not be judged.
    """
    task = setting.source.find(logged.task_id)
    found: list[str] = []
    prompt = setting.tokenizer.encode(task.prompt)
    if prompt != logged.prompt.tolist():
        found.append(f"the prompt of task {task.task_id!r} reads {prompt}, not {logged.prompt}")
    played = Played(task, logged.actions.tolist(), logged.finished)
    (ending,) = setting.close([played])
    info = ending.info
    if info["program"] != logged.program:
        found.append(f"the tokens spell {info['program']!r}, not {logged.program!r}")
    if logged.verdict is not None and info["verdict"] != logged.verdict:
        found.append(f"the verdict is {info['verdict']}, not {logged.verdict}")
    if logged.feedback is not None and info["feedback"] != logged.feedback:
        found.append(f"the feedback is {info['feedback']}, not {logged.feedback}")
    if ending.reward != logged.reward:
        found.append(f"the reward is {ending.reward}, not {logged.reward}")
    credit = np.array(info["token_rewards"], dtype=np.float32)
    if not np.array_equal(credit, logged.token_rewards):
        found.append(f"the token rewards are {credit}, not {logged.token_rewards}")
    return Validation(tuple(found))
