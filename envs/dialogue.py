"""Dialogue: an episode in plain strings, for agents that read and write text.

The agent sees a task and answers in texts; the last program earns the reward. ``Conversation`` is
the state of an episode; ``Dialogue`` plays episodes without Gymnasium, ``TextEnv`` and
``TextVectorEnv`` play them with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.envs.arguments import check_choice, check_positive, checked_names
from codegym.envs.episodes import Episodes, Granularity, Program
from codegym.envs.lines import lines_in
from codegym.episode import Ending
from codegym.errors import EpisodeOverError, InvalidActionError
from codegym.grading.judge import Judge, Verdicts
from codegym.grading.verdict import Verdict
from codegym.rewards import Reward
from codegym.sources import TaskSource
from codegym.tasks.answers import read_program
from codegym.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back for a text.

    Attributes:
        text: What the agent sees now: the prompt and all that followed.
        reward: 0 until the end.
        done: Whether the episode is over.
        info: ``task_id`` and ``turn``; after a whole program also ``program, verdict, feedback,
            token_rewards`` (one float per text of this turn) and ``cut``.
        judged: False where the sandbox broke; ``info["infrastructure_error"]`` says why.
    """

    text: str
    reward: float
    done: bool
    info: dict[str, Any]
    judged: bool = True


class Conversation:
    """The state of an episode in texts.

    Args:
        episodes: Says how texts become programs.
        task: The task.
        max_chars: Largest number of characters of a text, and of what the agent is shown.
    """

    def __init__(self, episodes: Episodes, task: Task, *, max_chars: int) -> None:
        self._episodes, self.task, self._max_chars = episodes, task, max_chars
        self.turn = 1
        self._pieces: list[str] = []
        self._earlier = ""

    def text(self) -> str:
        """Return what the agent sees now; earlier programs are left out where it is too long."""
        shown = self._earlier + "".join(self._pieces)
        room = self._max_chars - len(self.task.prompt)
        return self.task.prompt + (shown[-room:] if room > 0 else "")

    def take(self, text: object, *, cut: bool = False) -> Program | None:
        """Read a text; return the program that it ends, or None where another line may follow.

        Args:
            text: A whole program, or a line; the empty line ends a program.
            cut: Whether a token budget cut the text, so that the program ends with it.

        Raises:
            InvalidActionError: Not a text, too long, or of several lines where a line is due.
        """
        line = self._checked(text)
        episodes = self._episodes
        if episodes.granularity == "program":
            self._pieces = [line]
            return self._program(line, finished=not cut, count=1)
        if line:
            self._pieces.append(line + "\n")
        elif not cut:
            self._pieces.append("")
        written = "".join(self._pieces)
        ended = not line or cut
        if not ended and len(self._pieces) < episodes.max_lines:
            return None
        lines = lines_in(written, ended=not line and not cut, max_lines=episodes.max_lines)
        return self._program(lines.text, finished=lines.finished, count=len(self._pieces))

    def answer(self, ending: Ending) -> Reply:
        """Return the reply to a graded program."""
        info: dict[str, Any] = {
            "task_id": self.task.task_id,
            "turn": self.turn,
            "program": ending.program,
        }
        if ending.error is not None:
            info["infrastructure_error"] = str(ending.error)
        else:
            info |= {
                "verdict": ending.verdict,
                "feedback": ending.feedback,
                "token_rewards": tuple(ending.credit.tolist()),
                "cut": not ending.finished,
            }
        self._earlier += "".join(self._pieces) + ending.message
        self._pieces = []
        self.turn += 1
        reward = ending.reward if ending.done else 0.0
        return Reply(self.text(), reward, ending.done, info, ending.error is None)

    def waiting(self) -> Reply:
        """Return the reply to a line that did not end its program."""
        return Reply(self.text(), 0.0, False, {"task_id": self.task.task_id, "turn": self.turn})

    def _program(self, written: str, *, finished: bool, count: int) -> Program:
        form = self._episodes.form
        program, start = read_program(self.task, written, form)
        pieces = tuple(self._pieces)
        return Program(
            task=self.task,
            text=program,
            start=start,
            count=count,
            spans=lambda: _spans(pieces),
            finished=finished,
            last=self.turn >= self._episodes.turns,
        )

    def _checked(self, text: object) -> str:
        if not isinstance(text, str) or len(text) > self._max_chars:
            raise InvalidActionError(
                "an action outside the space",
                value=text,
                expected=f"a text of at most {self._max_chars} characters",
            )
        if self._episodes.granularity == "line" and ("\n" in text or "\r" in text):
            raise InvalidActionError(
                "an action of several lines",
                value=text,
                expected="one line without its end; the empty text ends the program",
            )
        return text


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
        turns: Largest number of programs in an episode.
        max_lines: Largest number of lines of a program (granularity ``line``).
        max_chars: Largest number of characters of one text, and of what the agent is shown:
            earlier programs are left out of it where it would be longer.
        isolation: Isolation of the grader's sandbox.
        judge: A Judge, or a function that judges instead of a sandbox, for tests.

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
        tasks: str | TaskSource | Sequence[Task] = "composites",
        reward: str | Reward | Callable[[Verdict], float] = "binary",
        granularity: Granularity = "program",
        turns: int = 1,
        max_lines: int = 64,
        max_chars: int = 1 << 16,
        isolation: str = "auto",
        judge: Judge | Verdicts | None = None,
    ) -> None:
        check_choice("granularity", granularity, ("line", "program"))
        check_positive("max_chars", max_chars)
        self.episodes = Episodes(
            tasks=tasks,
            reward=reward,
            tokenizer="lexemes",
            max_tokens=max_chars,
            budget=None,
            granularity=granularity,
            turns=turns,
            max_lines=max_lines,
            isolation=isolation,
            judge=judge,
        )
        self._max_chars = max_chars
        self._conversation: Conversation | None = None

    @property
    def task(self) -> Task | None:
        """The task being played."""
        return self._conversation.task if self._conversation else None

    def start(self, *, task_id: str | None = None, rng: np.random.Generator | None = None) -> str:
        """Show a task: the task that is named, or a random one.

        Raises:
            TaskError: No task has that id.
        """
        source = self.episodes.source
        if task_id is None:
            rng = np.random.default_rng() if rng is None else rng
            task = source[int(rng.integers(len(source)))]
        else:
            task = source.find(task_id)
        self._conversation = Conversation(self.episodes, task, max_chars=self._max_chars)
        return self.text()

    def text(self) -> str:
        """Return what the agent sees now.

        Raises:
            EpisodeOverError: No episode is under way.
        """
        return self._under_way().text()

    def reply(self, text: str) -> Reply:
        """Take a text of the agent and answer it.

        Raises:
            InvalidActionError: Not a text, too long, or of several lines where a line is due.
            EpisodeOverError: No episode is under way.
            SandboxError: The program could not be judged. Never a reward of zero.
        """
        conversation = self._under_way()
        program = conversation.take(text)
        if program is None:
            return conversation.waiting()
        reply = conversation.answer(self.episodes.close([program])[0])
        if reply.done:
            self._conversation = None
        return reply

    def _under_way(self) -> Conversation:
        if self._conversation is None:
            raise EpisodeOverError("no episode is under way", cure="call start() or reset() first")
        return self._conversation


def _spans(pieces: Sequence[str]) -> NDArray[np.int64]:
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    return np.stack([ends - [len(piece) for piece in pieces], ends], axis=1).astype(np.int64)
