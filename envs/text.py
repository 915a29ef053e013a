"""TextEnv: whole programs or lines as actions, text as observation, repair in several turns."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from codegym.envs.arguments import check_choice, check_options, check_positive, checked_names
from codegym.envs.dialogue import Conversation
from codegym.envs.episodes import Episodes, Granularity
from codegym.envs.rendering import check_mode
from codegym.errors import EpisodeOverError
from codegym.grading.judge import Judge, Verdicts
from codegym.grading.verdict import Verdict
from codegym.rewards import Reward
from codegym.sources import TaskSource
from codegym.tasks.task import Task
from codegym.tokenizers import Tokenizer

RENDER_MODES = ("ansi",)


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
        on_sandbox_error: ``raise``, or ``truncate`` the episode, as of ``SynthesisEnv``.
        tokenizer, max_tokens, budget, answers, encode_prompt: As of ``SynthesisEnv``; they are
            used where a policy writes the texts in tokens.
        render_mode: See ``metadata["render_modes"]``.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.

    Example:
        >>> import gymnasium as gym
        >>> env = gym.make("codegym:CodeGym/Repair-v0", tasks="atoms")  # doctest: +SKIP
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012

    @checked_names
    def __init__(
        self,
        *,
        tasks: str | TaskSource | Sequence[Task] = "composites",
        reward: str | Reward | Callable[[Verdict], float] = "binary",
        granularity: Granularity = "program",
        turns: int = 1,
        max_lines: int = 64,
        max_chars: int = 1 << 16,
        isolation: str = "auto",
        on_sandbox_error: str = "raise",
        tokenizer: str | Tokenizer = "lexemes",
        max_tokens: int = 1024,
        budget: int | None = None,
        answers: bool = False,
        encode_prompt: Callable[[str], Sequence[int]] | None = None,
        render_mode: str | None = None,
        judge: Judge | Verdicts | None = None,
    ) -> None:
        check_choice("granularity", granularity, ("line", "program"))
        check_positive("max_chars", max_chars)
        self.episodes = Episodes(
            tasks=tasks,
            reward=reward,
            tokenizer=tokenizer,
            max_tokens=max_tokens,
            budget=budget,
            granularity=granularity,
            turns=turns,
            max_lines=max_lines,
            isolation=isolation,
            on_sandbox_error=on_sandbox_error,
            answers=answers,
            encode_prompt=encode_prompt,
            judge=judge,
        )
        self.tokenizer, self._max_chars = self.episodes.tokenizer, max_chars
        self.render_mode = check_mode(render_mode, RENDER_MODES)
        self.observation_space = AnyText(max_chars, min_length=0)
        self.action_space = AnyText(max_chars, min_length=0, charset=charset_of(granularity))
        self._conversation: Conversation | None = None
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
        source = self.episodes.source
        if chosen is None:
            task = source[int(self.np_random.integers(len(source)))]
        else:
            task = source.find(chosen)
        self._conversation = Conversation(self.episodes, task, max_chars=self._max_chars)
        self._shown = self._conversation.text()
        return self._shown, {"task_id": task.task_id, "prompt": task.prompt, "turn": 1}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take a text.

        Raises:
            InvalidActionError: Not a text, too long, or of several lines where a line is due.
            EpisodeOverError: The episode has ended, or was never started.
            SandboxError: The program could not be judged. Never a reward of zero.
        """
        conversation = self._conversation
        if conversation is None:
            raise EpisodeOverError("no episode is under way", cure="call reset() first")
        program = conversation.take(action)
        if program is None:
            reply = conversation.waiting()
        else:
            reply = conversation.answer(self.episodes.close([program])[0])
        if reply.done:
            self._conversation = None
        self._shown = reply.text
        over = reply.done and reply.judged
        return reply.text, reply.reward, over, not reply.judged, reply.info

    def render(self) -> str | None:
        """Return what the agent sees (mode ``ansi``)."""
        return self._shown if self.render_mode == "ansi" else None


def charset_of(granularity: Granularity) -> str:
    """Return the characters that samples of an action space are made of."""
    printable = "".join(map(chr, range(32, 127)))
    return printable if granularity == "line" else printable + "\n"
