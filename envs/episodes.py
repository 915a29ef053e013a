"""Setting: what every form of the environment shares: tasks, tokens, budget, grader and price.

An env holds the state of its episodes; a Setting opens them (task, prompt) and closes them
(verdict, reward, info). It keeps no state of an episode.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegym.envs.arguments import check_choice, check_isolation, check_positive
from codegym.envs.grading import Graded, Grader, Verdicts
from codegym.errors import ConfigError, PromptTooLongError, SandboxError, UnknownNameError
from codegym.rewards import Reward, make_reward
from codegym.rewards.credit import price, program_of
from codegym.sources import TaskSource, load_tasks
from codegym.tasks.task import Task
from codegym.tokenizers import Tokenizer, make_tokenizer

_OPENINGS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Opening:
    """The start of an episode.

    Attributes:
        task: What is played.
        prompt: (P,) int32 ids of its prompt.
        limit: Most tokens of prompt and program together.
    """

    task: Task
    prompt: NDArray[np.int32]
    limit: int

    def info(self) -> dict[str, Any]:
        """Return the info of a reset."""
        return {"length": 0, "task_id": self.task.task_id, "prompt": self.task.prompt}


class Played(NamedTuple):
    """The end of an episode: what was written for which task, and whether it was ended."""

    task: Task
    actions: list[int]
    finished: bool


class Ending(NamedTuple):
    """What the last step of an episode returns beside the observation.

    Attributes:
        reward: Of the program; 0 where it could not be judged.
        judged: False where the sandbox broke; the episode is ``truncated`` then, and
            ``info["infrastructure_error"]`` says why.
        info: The last step's info.
    """

    reward: float
    judged: bool
    info: dict[str, Any]


class Setting:
    """Tasks, tokens, budget, grader and price, made from an env's keyword arguments.

    Args:
        tasks: A task URI, or a source.
        reward: A reward expression, or a Reward.
        tokenizer: A tokenizer's name (see ``make_tokenizer``), or a Tokenizer.
        max_tokens: Length of an observation: prompt and program together.
        budget: Most tokens of a program, the end token included; as many as ``max_tokens``
            leaves room for if None.
        isolation: Which isolation the grader asks for.
        on_sandbox_error: ``raise``, or ``truncate`` the episode.
        judge: Grades programs instead of the sandbox; for tests.

    Raises:
        UnknownNameError: A name nothing answers to.
        ConfigError: A number out of range, or no task at all.
    """

    def __init__(
        self,
        *,
        tasks: str | TaskSource,
        reward: str | Reward,
        tokenizer: str | Tokenizer,
        max_tokens: int,
        budget: int | None,
        isolation: str,
        on_sandbox_error: str = "raise",
        judge: Verdicts | None = None,
    ) -> None:
        check_positive("max_tokens", max_tokens)
        if budget is not None:
            check_positive("budget", budget)
        check_isolation(isolation)
        check_choice("on_sandbox_error", on_sandbox_error, ("raise", "truncate"))
        self.source = open_source(tasks)
        self.reward = make_reward(reward)
        self.tokenizer = open_tokenizer(tokenizer)
        self.max_tokens, self.budget = max_tokens, budget
        self._truncate = on_sandbox_error == "truncate"
        self._grader = Grader(isolation, judge=judge)
        self._submitted: dict[int, Played] = {}
        self._openings: dict[int, Opening] = {}

    def __getstate__(self) -> dict[str, Any]:
        # What is being judged is collected here, by no copy of this setting.
        return self.__dict__ | {"_submitted": {}}

    def choose(self, rng: np.random.Generator, task_id: str | None = None) -> Opening:
        """Open an episode of a random task, or of the one that is named.

        Raises:
            TaskError: No task has that id.
            PromptTooLongError: The task's prompt leaves no room for a program.
        """
        if task_id is not None:
            return self._open(self.source.find(task_id))
        index = int(rng.integers(len(self.source)))
        known = self._openings.get(index)
        if known is None:
            if len(self._openings) >= _OPENINGS_KEPT:
                self._openings.pop(next(iter(self._openings)))
            known = self._openings[index] = self._open(self.source[index])
        return known

    def _open(self, task: Task) -> Opening:
        prompt = np.array(self.tokenizer.encode(task.prompt), dtype=np.int32)
        if len(prompt) >= self.max_tokens:
            raise PromptTooLongError(
                f"the prompt of task {task.task_id!r} leaves no room for a program",
                value=len(prompt),
                expected=f"fewer than max_tokens={self.max_tokens} tokens",
                cure=f"make the env with max_tokens={len(prompt) + (self.budget or 64)} or more",
            )
        room = self.max_tokens if self.budget is None else len(prompt) + self.budget
        return Opening(task, prompt, min(self.max_tokens, room))

    def close(self, played: Sequence[Played]) -> list[Ending]:
        """Judge finished episodes together and price each.

        Raises:
            SandboxError: A program could not be judged, and the setting is to raise.
        """
        programs = [self.program(one) for one in played]
        pairs = [(program, one.task) for program, one in zip(programs, played, strict=True)]
        return [
            self._end(one, program, graded)
            for one, program, graded in zip(
                played, programs, self._grader.grade(pairs), strict=True
            )
        ]

    def submit(self, played: Played) -> int:
        """Begin judging a finished episode; return its ticket."""
        ticket = self._grader.submit(self.program(played), played.task)
        self._submitted[ticket] = played
        return ticket

    def collect(self, timeout_s: float | None = None) -> list[tuple[int, Ending]]:
        """Return the submitted episodes that were judged since the last call, in any order.

        Raises:
            SandboxError: A program could not be judged, and the setting is to raise.
        """
        endings = []
        for ticket, graded in self._grader.collect(timeout_s):
            played = self._submitted.pop(ticket)
            endings.append((ticket, self._end(played, self.program(played), graded)))
        return endings

    @property
    def under_way(self) -> int:
        """How many submitted episodes were not collected yet."""
        return len(self._submitted)

    def program(self, played: Played) -> str:
        """Return the whole program of an episode."""
        return program_of(played.task, self.tokenizer.decode(played.actions))

    def _end(self, played: Played, program: str, graded: Graded) -> Ending:
        task_id, length = played.task.task_id, len(played.actions)
        if isinstance(graded, SandboxError):
            if not self._truncate:
                raise graded
            info = {"length": length, "task_id": task_id, "program": program}
            return Ending(0.0, False, info | {"infrastructure_error": str(graded)})
        priced = price(
            played.task,
            played.actions,
            finished=played.finished,
            verdict=graded,
            tokenizer=self.tokenizer,
            reward=self.reward,
            program=program,
        )
        info = {
            "length": length,
            "task_id": task_id,
            "program": program,
            "verdict": priced.verdict,
            "feedback": priced.feedback,
            "token_rewards": tuple(priced.token_rewards.tolist()),
            "cut": not played.finished,
        }
        return Ending(priced.reward, True, info)


def open_source(tasks: str | TaskSource) -> TaskSource:
    """Return the source that a URI names, or the source itself.

    Raises:
        ConfigError: It is neither, or has no tasks.
        UnknownNameError: No source of that name; names the nearest.
    """
    if not isinstance(tasks, str | TaskSource):
        raise ConfigError(
            "tasks is unusable",
            value=tasks,
            expected="a task URI such as 'composites?depth=2', or a TaskSource",
        )
    source = load_tasks(tasks) if isinstance(tasks, str) else tasks
    if not len(source):
        raise ConfigError("a task source without tasks", value=tasks)
    return source


def open_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """Return the tokenizer that a name stands for, or the tokenizer itself.

    Raises:
        ConfigError: It is neither.
        UnknownNameError: No tokenizer of that name; names the nearest.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    if not isinstance(tokenizer, str):
        raise ConfigError(
            "tokenizer is unusable",
            value=tokenizer,
            expected="a name such as 'lexemes' or 'lexemes:/folder', or a Tokenizer",
        )
    return make_tokenizer(tokenizer)


def check_options(options: dict[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """Return the options of a reset.

    Raises:
        UnknownNameError: One is not known; names the nearest.
    """
    for name in options or {}:
        if name not in known:
            raise UnknownNameError("option of reset", name, known)
    return options or {}
