"""Answer grader: a model's answer to a task becomes a reward, or the reason why it has none.

Every integration is a layer over ``AnswerGrader``. It reads the program out of an answer
(``codegym.tasks.answers``), judges it (one ``AsyncJudge`` for the whole process) and prices it
(``codegym.rewards.credit``), and each trainer is told the rest in its own words.

Three things stay apart: a program that was judged, an answer that holds none (which the model
caused, and which is judged as such), and a program that the sandbox could not judge. The last is an
``Ending`` with an ``error``; its reward means nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar

import numpy as np

from codegym.envs.arguments import check_choice, check_positive
from codegym.envs.dialogue import Conversation
from codegym.envs.episodes import Episodes, Program
from codegym.episode import Ending
from codegym.errors import (
    ConfigError,
    InvalidActionError,
    SandboxError,
    SandboxUnavailableError,
    TaskError,
)
from codegym.grading.async_judge import AsyncJudge
from codegym.grading.judge import Graded
from codegym.grading.verdict import Verdict
from codegym.rewards import Reward
from codegym.sources import TaskSource
from codegym.tasks.task import Task

# A text, a chat message, or the messages of an answer.
Answer = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]
# Reading takes about 10 microseconds a character at worst.
MOST_CHARS = 1 << 16
_TASKS_KEPT = 8192
_Found = TypeVar("_Found")

log = logging.getLogger("codegym.integrations")


@cache
def shared_judge(isolation: str = "auto") -> AsyncJudge:
    """Return the judge that every integration of this process shares; a fork begins it anew."""
    return AsyncJudge(isolation=isolation)


class AnswerGrader:
    """Grades models' answers to the tasks of a source.

    It may be used from any thread and any event loop, and be pickled, unless it was given a judge.

    Args:
        tasks: Task URI, source, or list of tasks.
        reward: Reward expression, Reward, or function of a Verdict.
        turns: Largest number of programs in a conversation.
        max_chars: Largest number of characters of an answer.
        oversized: What a longer answer is: ``fail`` judges it as no program, since the model caused
            it; ``raise`` raises InvalidActionError.
        isolation: Isolation of the sandbox.
        judge: A judge instead of the shared one.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.
    """

    def __init__(
        self,
        tasks: str | TaskSource | Sequence[Task],
        reward: str | Reward | Callable[[Verdict], float] = "binary",
        *,
        turns: int = 1,
        max_chars: int = MOST_CHARS,
        oversized: Literal["fail", "raise"] = "fail",
        isolation: str = "auto",
        judge: AsyncJudge | None = None,
    ) -> None:
        check_positive("max_chars", max_chars)
        check_choice("oversized", oversized, ("fail", "raise"))
        if judge is not None and not isinstance(judge, AsyncJudge):
            raise ConfigError("judge is unusable", value=judge, expected="an AsyncJudge, or None")
        self.episodes = Episodes(
            tasks=tasks,
            reward=reward,
            tokenizer="lexemes",
            max_tokens=max_chars,
            budget=None,
            granularity="program",
            turns=turns,
            isolation=isolation,
        )
        self.uri = self.episodes.source.uri
        self.max_chars, self._oversized = max_chars, oversized
        self._isolation, self._judge = isolation, judge
        self._tasks: dict[str, Task] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_tasks": {}}

    @property
    def source(self) -> TaskSource:
        """The tasks."""
        return self.episodes.source

    def task(self, task_id: object) -> Task:
        """Return the task of an id; numbers, which some tables make of ids, are read as texts.

        Raises:
            TaskError: No task has that id.
        """
        if isinstance(task_id, int | np.integer) and not isinstance(task_id, bool):
            task_id = str(task_id)
        if not isinstance(task_id, str):
            raise TaskError("not a task id", field="task_id", value=task_id, expected="a text")
        known = self._tasks.get(task_id)
        if known is None:
            known = self.source.find(str(task_id))
            if len(self._tasks) >= _TASKS_KEPT:
                self._tasks.pop(next(iter(self._tasks)), None)
            # Equal programs run once where they belong to the same Task object.
            known = self._tasks.setdefault(str(task_id), known)
        return known

    def converse(self, task_id: object) -> Conversation:
        """Begin a conversation about a task.

        Raises:
            TaskError: No task has that id.
        """
        return Conversation(self.episodes, self.task(task_id), max_chars=self.max_chars)

    async def grade(self, answer: Answer, task_id: object) -> Ending:
        """Grade an answer; where the sandbox broke on it, the ending's ``error`` says how.

        Raises:
            TaskError: No task has that id, or a case of the task cannot cross the sandbox line.
            ConfigError: The answer is neither a text nor chat messages.
            InvalidActionError: The answer is too long, and that is to raise.
            SandboxUnavailableError: This machine refuses the isolation, so nothing can be graded.
        """
        return await self.answer(self.converse(task_id), answer)

    async def answer(self, conversation: Conversation, answer: Answer) -> Ending:
        """Grade the next answer of a conversation; raises as ``grade`` does."""
        text = answer_text(answer)
        too_long = len(text) > self.max_chars
        if too_long and self._oversized == "raise":
            raise InvalidActionError(
                "an answer is too long",
                value=f"{len(text)} characters",
                expected=f"at most {self.max_chars}",
                cure="generate fewer tokens, or raise max_chars",
            )
        program = conversation.take("" if too_long else text)
        assert program is not None  # granularity "program": every text ends its program
        graded: Graded
        if too_long:
            told = f"an answer of {len(text)} characters; at most {self.max_chars} are read"
            graded = Verdict.no_program(n_cases=len(program.task.tests), message=told)
        else:
            graded = await self._judged(program)
        return self.episodes.price(program, graded)

    async def _judged(self, program: Program) -> Graded:
        judge = self._judge or shared_judge(self._isolation)
        try:
            return await judge(program.text, program.task)
        except SandboxUnavailableError:
            raise
        except SandboxError as error:
            return error

    async def grade_many(
        self, answers: Iterable[Answer], task_ids: Iterable[object]
    ) -> list[Ending]:
        """Grade answers side by side, in the order given; raises as ``grade`` does."""
        answers, task_ids = list(answers), list(task_ids)
        if len(answers) != len(task_ids):
            raise ConfigError(
                "answers and task ids do not match",
                value=f"{len(answers)} answers, {len(task_ids)} task ids",
                expected="a task id for each answer",
            )
        # Before anything runs: an unknown id stops no batch half-way.
        conversations = [self.converse(task_id) for task_id in task_ids]
        pairs = zip(conversations, answers, strict=True)
        endings = await asyncio.gather(*(self.answer(talk, answer) for talk, answer in pairs))
        report_missing(endings)
        return endings


def run_blocking(work: Coroutine[Any, Any, _Found]) -> _Found:
    """Return what a coroutine returns, to a caller that cannot await.

    It runs in this thread, or in another where this thread has a running event loop, which is
    blocked meanwhile.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def answer_text(answer: object) -> str:
    """Return the text of an answer: of chat messages, the last that the assistant wrote.

    Messages that call tools and the tools' own messages hold no answer. "" where there is none.

    Raises:
        ConfigError: Neither a text nor messages.
    """
    if isinstance(answer, str):
        return answer
    if isinstance(answer, Mapping):
        answer = [answer]
    if isinstance(answer, list | tuple | np.ndarray) and all(
        isinstance(message, Mapping) for message in answer
    ):
        roles = ("assistant", "model", None)
        spoken = [_content(each.get("content")) for each in answer if each.get("role") in roles]
        return next((text for text in reversed(spoken) if text.strip()), "")
    raise ConfigError(
        "an answer is unusable", value=answer, expected="a text, or a list of chat messages"
    )


def _content(content: object) -> str:
    """Return the text of a message's content, which may come in parts."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, Mapping):
        content = [content]
    if isinstance(content, list | tuple | np.ndarray):
        texts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        return "".join(text for text in texts if isinstance(text, str))
    raise ConfigError(
        "the content of a message is unusable", value=content, expected="a text, or parts with text"
    )


def reward_of(ending: Ending) -> float | None:
    """Return the reward of an answer; None where there is no verdict, which is never 0."""
    return None if ending.error is not None else float(ending.reward)


def demand_reward(ending: Ending) -> float:
    """Return the reward of an answer.

    Raises:
        SandboxError: There is no verdict.
    """
    if ending.error is not None:
        raise ending.error
    return float(ending.reward)


def report_missing(endings: Sequence[Ending]) -> None:
    """Log how many answers have no verdict, and why the first of them has none."""
    errors = [ending.error for ending in endings if ending.error is not None]
    if errors:
        log.warning("%d of %d answers have no verdict: %s", len(errors), len(endings), errors[0])


@dataclass(frozen=True, slots=True)
class Summary:
    """What a trainer's log may hold of a verdict, the same keys for every answer."""

    passed: float
    pass_rate: float
    outcome: str

    @classmethod
    def of(cls, ending: Ending) -> "Summary":
        """Sum up an ending that has a verdict."""
        assert ending.verdict is not None
        verdict = ending.verdict
        return cls(float(verdict.passed), verdict.pass_rate, str(verdict.outcome))
