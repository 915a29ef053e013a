"""Dialogue: an episode in plain strings, for agents that read and write text.

No spaces and no vector form: a task is shown, texts come back, the last one is priced. ``TextEnv``
is this with Gymnasium's face.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codegym.envs.arguments import (
    check_choice,
    check_isolation,
    check_positive,
    checked_names,
)
from codegym.envs.episodes import open_source
from codegym.envs.grading import Grader, Verdicts
from codegym.errors import EpisodeOverError, InvalidActionError, SandboxError
from codegym.grading.verdict import Outcome, Verdict
from codegym.rewards import Reward, make_reward
from codegym.rewards.credit import price_spans
from codegym.sources import TaskSource
from codegym.tasks.answers import start_of, whole_program
from codegym.tasks.task import Task

Granularity = Literal["line", "program"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back for a text.

    Attributes:
        text: What the agent sees now: the prompt and all that followed.
        reward: 0 until the end.
        done: Whether the episode is over.
        info: ``task_id`` and ``turn``; after a whole program also ``program, verdict, feedback,
            token_rewards`` (one float per text of this turn) and ``cut``.
    """

    text: str
    reward: float
    done: bool
    info: dict[str, Any]


@dataclass(slots=True)
class _Episode:
    task: Task
    turn: int = 1
    written: list[str] = field(default_factory=list)
    said: str = ""


class Dialogue:
    r"""Plays tasks in plain strings.

    With granularity ``program`` each text is a whole program, or continues the prompt where that
    is code. With ``line`` each text is one line; the empty text ends the program. A program that
    fails is answered with its verdict's message while turns are left, and may be written again;
    the last program earns the reward.

    Args:
        tasks: Task URI, or a source.
        reward: Reward expression.
        granularity: ``program`` or ``line``.
        turns: Programs that may be written for one task.
        max_lines: Most lines of a program (granularity ``line``).
        max_chars: Most characters of one text, and of what the agent is shown: earlier programs
            are left out of it where it would be longer.
        isolation: Which isolation the grader asks for.
        judge: Grades programs instead of the sandbox; for tests.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.

    Example::

        dialogue = Dialogue(tasks="humaneval", turns=3)
        text = dialogue.start(task_id="HumanEval/0")
        while not (reply := dialogue.reply(my_agent(text))).done:
            text = reply.text
    """

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
        judge: Verdicts | None = None,
    ) -> None:
        check_choice("granularity", granularity, ("line", "program"))
        check_isolation(isolation)
        for name, value in (("turns", turns), ("max_lines", max_lines), ("max_chars", max_chars)):
            check_positive(name, value)
        self.source = open_source(tasks)
        self.reward = make_reward(reward)
        self.granularity, self.turns = granularity, turns
        self.max_lines, self.max_chars = max_lines, max_chars
        self._grader = Grader(isolation, judge=judge)
        self._episode: _Episode | None = None

    @property
    def task(self) -> Task | None:
        """The task being played."""
        return self._episode.task if self._episode else None

    def start(self, *, task_id: str | None = None, rng: np.random.Generator | None = None) -> str:
        """Show a task: the one that is named, or a random one.

        Raises:
            TaskError: No task has that id.
        """
        if task_id is None:
            rng = np.random.default_rng() if rng is None else rng
            task = self.source[int(rng.integers(len(self.source)))]
        else:
            task = self.source.find(task_id)
        self._episode = _Episode(task)
        return self.text()

    def text(self) -> str:
        """Return what the agent sees now.

        Raises:
            EpisodeOverError: No episode is under way.
        """
        episode = self._under_way()
        shown = episode.said + "".join(episode.written)
        room = self.max_chars - len(episode.task.prompt)
        return episode.task.prompt + (shown[-room:] if room > 0 else "")

    def reply(self, text: str) -> Reply:
        """Take a text of the agent and answer it.

        Raises:
            InvalidActionError: Not a text, too long, or of several lines where one is due.
            EpisodeOverError: No episode is under way.
            SandboxError: The program could not be judged. Never a reward of zero.
        """
        episode = self._under_way()
        self._check(text)
        if self.granularity == "program":
            episode.written = [text]
            return self._end_of_program(episode, finished=True)
        if text:
            episode.written.append(text + "\n")
        if text and len(episode.written) < self.max_lines:
            info = {"task_id": episode.task.task_id, "turn": episode.turn}
            return Reply(self.text(), 0.0, False, info)
        return self._end_of_program(episode, finished=not text)

    def _end_of_program(self, episode: _Episode, *, finished: bool) -> Reply:
        task, written = episode.task, "".join(episode.written)
        program = (
            whole_program(task, written)
            if self.granularity == "program"
            else (task.prompt + written if task.prompt_is_code else written)
        )
        (verdict,) = self._grader.grade([(program, task)])
        if isinstance(verdict, SandboxError):
            raise verdict
        pieces = episode.written + [""] * (self.granularity == "line" and finished)
        priced = price_spans(
            task,
            program,
            spans=_spans(pieces),
            start=start_of(program, written),
            finished=finished,
            verdict=verdict,
            reward=self.reward,
        )
        info = {
            "task_id": task.task_id,
            "turn": episode.turn,
            "program": program,
            "verdict": priced.verdict,
            "feedback": priced.feedback,
            "token_rewards": tuple(priced.token_rewards.tolist()),
            "cut": not finished,
        }
        done = verdict.passed or episode.turn >= self.turns
        episode.said += written + ("" if done else describe(priced.verdict))
        episode.written = []
        episode.turn += 1
        text = self.text()
        if done:
            self._episode = None
        return Reply(text, priced.reward if done else 0.0, done, info)

    def _under_way(self) -> _Episode:
        if self._episode is None:
            raise EpisodeOverError("no episode is under way", cure="call start() or reset() first")
        return self._episode

    def _check(self, text: object) -> None:
        if not isinstance(text, str) or len(text) > self.max_chars:
            raise InvalidActionError(
                "an action outside the space",
                value=text,
                expected=f"a text of at most {self.max_chars} characters",
            )
        if self.granularity == "line" and ("\n" in text or "\r" in text):
            raise InvalidActionError(
                "an action of several lines",
                value=text,
                expected="one line without its end; the empty text ends the program",
            )


def describe(verdict: Verdict) -> str:
    """Say in a comment what is wrong with a program, without giving its tests away."""
    passed = sum(case.passed for case in verdict.cases)
    where = f" on line {verdict.error_line}" if verdict.error_line else ""
    what = verdict.outcome.value.replace("_", " ")
    if verdict.outcome is Outcome.FAILED:
        what = "wrong answer"
    reason = ": ".join(part for part in (verdict.error_type, verdict.error_message) if part)
    text = f"{what}{where}{': ' if reason else ''}{reason}"
    return (
        f"\n# The program above is not right: {' '.join(text.split())}\n"
        f"# {passed} of {len(verdict.cases)} tests passed. Write it again.\n"
    )


def _spans(pieces: Sequence[str]) -> NDArray[np.int64]:
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    return np.stack([ends - [len(piece) for piece in pieces], ends], axis=1).astype(np.int64)
