"""TextEnv: whole programs or lines as actions, text as observation, repair in several turns."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from codegym.envs.arguments import checked_names
from codegym.envs.dialogue import Dialogue, Granularity
from codegym.envs.episodes import check_options
from codegym.envs.grading import Verdicts
from codegym.envs.rendering import check_mode
from codegym.rewards import Reward
from codegym.sources import TaskSource


class AnyText(spaces.Text):
    """Any text up to a length: Gymnasium's Text, without a list of the characters allowed."""

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a text of at most ``max_length`` characters."""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length


class TextEnv(gym.Env[str, str]):
    """Write a program as text.

    **Observation**: the prompt and all that was written since, with the verdict's message after
    each program that failed. **Action**: a whole program (or what continues the prompt, where that
    is code), or one line; the empty line ends the program. **Reward**: 0 until the last program,
    then that of its verdict. ``info`` is that of ``Reply``.

    Args:
        tasks, reward, granularity, turns, max_lines, max_chars, isolation, judge: As of
            ``codegym.envs.dialogue.Dialogue``.
        render_mode: See ``metadata["render_modes"]``.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.

    Example:
        >>> import gymnasium as gym
        >>> env = gym.make("codegym:CodeGym/Repair-v0", tasks="atoms")  # doctest: +SKIP
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012

    @checked_names
    def __init__(
        self,
        *,
        tasks: str | TaskSource = "composites",
        reward: str | Reward = "binary",
        granularity: Granularity = "program",
        turns: int = 1,
        max_lines: int = 64,
        max_chars: int = 1 << 16,
        isolation: str = "auto",
        render_mode: str | None = None,
        judge: Verdicts | None = None,
    ) -> None:
        self.dialogue = Dialogue(
            tasks=tasks,
            reward=reward,
            granularity=granularity,
            turns=turns,
            max_lines=max_lines,
            max_chars=max_chars,
            isolation=isolation,
            judge=judge,
        )
        self.render_mode = check_mode(render_mode, self.metadata["render_modes"])
        self.observation_space = AnyText(max_chars, min_length=0)
        self.action_space = AnyText(max_chars, min_length=0, charset=_charset(granularity))
        self._shown = ""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode of a random task, or of ``options["task_id"]``.

        Raises:
            UnknownNameError: An option of another name.
            TaskError: No task has that id.
        """
        super().reset(seed=int(seed) if isinstance(seed, np.integer) else seed)
        chosen = check_options(options, ("task_id",)).get("task_id")
        self._shown = self.dialogue.start(task_id=chosen, rng=self.np_random)
        task = self.dialogue.task
        assert task is not None
        return self._shown, {"task_id": task.task_id, "prompt": task.prompt, "turn": 1}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take a text.

        Raises:
            InvalidActionError: Not a text, too long, or of several lines where one is due.
            EpisodeOverError: The episode has ended, or was never started.
            SandboxError: The program could not be judged. Never a reward of zero.
        """
        reply = self.dialogue.reply(action)
        self._shown = reply.text
        return reply.text, reply.reward, reply.done, False, reply.info

    def render(self) -> str | None:
        """Return what the agent sees (mode ``ansi``)."""
        return self._shown if self.render_mode == "ansi" else None


def _charset(granularity: str) -> str:
    printable = "".join(map(chr, range(32, 127)))
    return printable if granularity == "line" else printable + "\n"
