"""Episodes: tasks, prompts, budget, grading and price, for every form of the environment.

An env holds the state of its episodes; ``Episodes`` opens them (task, prompt) and closes them
(verdict, reward, credit). It keeps no state of an episode but the programs being graded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codegym.envs.arguments import (
    check_choice,
    check_flag,
    check_isolation,
    check_positive,
    open_source,
    open_tokenizer,
)
from codegym.envs.lines import lines_in
from codegym.envs.messages import describe
from codegym.episode import Ending, Opening, ProgramEnv, Written
from codegym.errors import ConfigError, PromptTooLongError, SandboxError
from codegym.grading.judge import Graded, Judge, Verdicts
from codegym.grading.verdict import Verdict
from codegym.rewards import Reward, make_reward
from codegym.rewards.credit import price
from codegym.sources import TaskSource
from codegym.tasks.answers import Form, read_program
from codegym.tasks.task import Task
from codegym.tokenizers import Tokenizer

Granularity = Literal["token", "line", "program"]
_OPENINGS_KEPT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that was written, on its way to its verdict.

    Attributes:
        task: The task.
        text: The whole program.
        start: Where in the program the written text begins.
        count: Number of actions that wrote it: tokens, lines, or one text.
        spans: Returns (count, 2) the place of each action in the written text.
        finished: Whether the author ended it; False where a budget cut it.
        last: Whether the episode ends with it even if it fails.
    """

    task: Task
    text: str
    start: int
    count: int
    spans: Callable[[], NDArray[np.int64]]
    finished: bool
    last: bool = True


class Episodes:
    """Tasks, tokens, budget, grading and price, made from an env's keyword arguments.

    Args:
        tasks: A task URI, or a source.
        reward: A reward expression, or a Reward.
        tokenizer: A tokenizer's name (see ``make_tokenizer``), or a Tokenizer.
        max_tokens: Largest number of tokens of prompt and program together.
        budget: Largest number of tokens of a program, the end token included; as many as
            ``max_tokens`` leaves room for if None.
        isolation: Isolation of the grader's sandbox.
        on_sandbox_error: ``raise``, or ``truncate`` the episode.
        granularity: What an action is; decides how a written text becomes a program.
        turns: Largest number of programs in an episode.
        max_lines: Largest number of lines of a program (granularity ``line``).
        answers: Whether texts are a chat model's answers, from which the program is taken.
        encode_prompt: Turns a prompt into ids; the tokenizer's ``encode`` if None.
        judge: A Judge, or a function that judges instead of a sandbox, for tests.

    Raises:
        UnknownNameError: A name that does not exist; holds the nearest.
        ConfigError: A number out of range, or no task at all.
    """

    def __init__(
        self,
        *,
        tasks: str | TaskSource | Sequence[Task],
        reward: str | Reward | Callable[[Verdict], float],
        tokenizer: str | Tokenizer,
        max_tokens: int,
        budget: int | None,
        isolation: str = "auto",
        on_sandbox_error: str = "raise",
        granularity: Granularity = "token",
        turns: int = 1,
        max_lines: int = 64,
        answers: bool = False,
        encode_prompt: Callable[[str], Sequence[int]] | None = None,
        judge: Judge | Verdicts | None = None,
    ) -> None:
        for name, value in (("max_tokens", max_tokens), ("turns", turns), ("max_lines", max_lines)):
            check_positive(name, value)
        if budget is not None:
            check_positive("budget", budget)
        check_isolation(isolation)
        check_flag("answers", answers)
        check_choice("on_sandbox_error", on_sandbox_error, ("raise", "truncate"))
        self.source = open_source(tasks)
        self.reward = make_reward(reward)
        self.tokenizer = open_tokenizer(tokenizer)
        self.max_tokens, self.budget = max_tokens, budget
        self.granularity, self.turns, self.max_lines = granularity, turns, max_lines
        self.form: Form = (
            "answer" if answers else "program" if granularity == "program" else "continuation"
        )
        self._encode = encode_prompt or self.tokenizer.encode
        self._truncates = on_sandbox_error == "truncate"
        if not isinstance(judge, Judge):
            judge = Judge(isolation=isolation, stand_in=judge)
        self._judge = judge
        # By ticket: programs that were not collected, and what became of those that were judged.
        self._programs: dict[int, Program] = {}
        self._graded: dict[int, Graded] = {}
        self._openings: dict[int, Opening] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Programs under way are collected here, not by a copy, which makes its own judge.
        made = self._judge.settings()
        return self.__dict__ | {"_programs": {}, "_graded": {}, "_judge": made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._judge = Judge(**state["_judge"])

    def choose(self, rng: np.random.Generator, task_id: str | None = None) -> Opening:
        """Open an episode of a random task, or of the task that is named.

        Raises:
            TaskError: No task has that id.
            PromptTooLongError: The task's prompt leaves no room for a program.
        """
        if task_id is not None:
            return self.open_task(self.source.find(task_id))
        index = int(rng.integers(len(self.source)))
        known = self._openings.get(index)
        if known is None:
            if len(self._openings) >= _OPENINGS_KEPT:
                self._openings.pop(next(iter(self._openings)))
            known = self._openings[index] = self.open_task(self.source[index])
        return known

    def open_task(self, task: Task, given: Sequence[int] = ()) -> Opening:
        """Open an episode of a task, its program begun with some given ids.

        Raises:
            PromptTooLongError: The prompt leaves no room for a program.
        """
        prompt = np.array([*self._encode(task.prompt), *given], dtype=np.int32)
        if len(prompt) >= self.max_tokens:
            raise PromptTooLongError(
                f"the prompt of task {task.task_id!r} leaves no room for a program",
                value=len(prompt),
                expected=f"fewer than max_tokens={self.max_tokens} tokens",
                cure=f"make the env with max_tokens={len(prompt) + (self.budget or 64)} or more, "
                "a policy with a longer context, or tasks with shorter prompts",
            )
        room = self.max_tokens if self.budget is None else len(prompt) + self.budget
        return Opening(task, prompt, min(self.max_tokens, room), tuple(given))

    def follow(self, opening: Opening, ids: Sequence[int]) -> Opening | None:
        """Open the next program of an episode; None where there is no room for it."""
        if len(ids) >= self.max_tokens:
            return None
        room = self.max_tokens if self.budget is None else len(ids) + self.budget
        return Opening(opening.task, np.array(ids, dtype=np.int32), min(self.max_tokens, room))

    def read(self, written: Written) -> tuple[Program, int]:
        """Return the program that a written episode holds, and how many of its actions count."""
        task, given = written.opening.task, written.opening.given
        ids = [*given, *written.actions]
        text, finished, length = self.tokenizer.decode(ids), written.finished, len(written.actions)
        if self.granularity == "line":
            lines = lines_in(text, ended=finished, max_lines=self.max_lines)
            finished = lines.finished
            if lines.closed:
                ends = self.tokenizer.spans(ids)[:, 1]
                length = max(1, int(np.argmax(ends >= lines.used)) + 1 - len(given))
            text = lines.text
        program, start = read_program(task, text, self.form)
        return Program(
            task=task,
            text=program,
            start=start,
            count=length,
            spans=lambda: self.tokenizer.spans(ids)[len(given) : len(given) + length],
            finished=finished,
            last=written.turn >= self.turns,
        ), length

    def price(self, program: Program, graded: Graded) -> Ending:
        """Return what a graded program earns; nothing where it could not be judged."""
        if isinstance(graded, SandboxError):
            return Ending(
                program=program.text,
                length=program.count,
                finished=program.finished,
                credit=np.zeros(program.count, dtype=np.float32),
                error=graded,
            )
        priced = price(
            program.task,
            program.text,
            graded,
            self.reward,
            count=program.count,
            spans=program.spans,
            start=program.start,
            finished=program.finished,
        )
        done = program.last or graded.passed
        return Ending(
            program=program.text,
            length=program.count,
            finished=program.finished,
            done=done,
            reward=priced.reward,
            credit=priced.credit,
            verdict=priced.verdict,
            feedback=priced.feedback,
            message="" if done else describe(priced.verdict, program.task),
        )

    def submit(self, programs: Sequence[Program]) -> list[int]:
        """Start grading programs; return a ticket for each."""
        tickets = [self._judge.submit(program.text, program.task) for program in programs]
        self._programs.update(zip(tickets, programs, strict=True))
        return tickets

    def collect(self, timeout_s: float | None = None) -> list[tuple[int, Ending]]:
        """Return the submitted programs that were graded since the last call, in any order.

        Raises:
            SandboxError: A program could not be judged, and the env is to raise.
        """
        if not self._graded:
            self._graded.update(self._judge.collect_graded(timeout_s))
        tickets = list(self._graded)
        return list(zip(tickets, self._hand_out(tickets), strict=True))

    def wait(self, tickets: Sequence[int]) -> list[Ending]:
        """Return the endings of submitted programs, in the order of their tickets.

        Raises:
            ConfigError: A ticket that is not under way.
            SandboxError: A program could not be judged, and the env is to raise; the others are
                kept.
        """
        if unknown := [ticket for ticket in tickets if ticket not in self._programs]:
            raise ConfigError(
                "no such programs are under way",
                value=unknown,
                expected="tickets that submit returned and that were not collected",
            )
        while any(ticket not in self._graded for ticket in tickets):
            self._graded.update(self._judge.collect_graded())
        return self._hand_out(tickets)

    def close(self, programs: Sequence[Program]) -> list[Ending]:
        """Grade programs together and price each.

        Raises:
            SandboxError: A program could not be judged, and the env is to raise.
        """
        return self.wait(self.submit(programs))

    @property
    def under_way(self) -> int:
        """Number of submitted programs that were not collected yet."""
        return len(self._programs)

    def _hand_out(self, tickets: Sequence[int]) -> list[Ending]:
        """Return the endings of judged programs; one that broke is given up before any is."""
        for ticket in tickets:
            graded = self._graded[ticket]
            if isinstance(graded, SandboxError) and not self._truncates:
                del self._programs[ticket], self._graded[ticket]
                raise graded
        return [
            self.price(self._programs.pop(ticket), self._graded.pop(ticket)) for ticket in tickets
        ]


class PlaysPrograms(ProgramEnv):
    """The fast road of an env whose ``episodes`` attribute is an ``Episodes``."""

    episodes: Episodes

    @property
    def source(self) -> TaskSource:  # type: ignore[override]
        """The tasks."""
        return self.episodes.source

    @property
    def turns(self) -> int:  # type: ignore[override]
        """Largest number of programs in an episode."""
        return self.episodes.turns

    def open(
        self, tasks: Sequence[Task], *, given: Sequence[Sequence[int]] | None = None
    ) -> list[Opening]:
        """Start an episode of each task; see ``ProgramEnv.open``."""
        if given is None:
            return [self.episodes.open_task(task) for task in tasks]
        return [self.episodes.open_task(task, ids) for task, ids in zip(tasks, given, strict=True)]

    def follow(self, opening: Opening, ids: Sequence[int]) -> Opening | None:
        """Open the next program of an episode; None where there is no room for it."""
        return self.episodes.follow(opening, ids)

    def submit(self, written: Sequence[Written]) -> list[int]:
        """Start grading some programs; return a ticket for each."""
        return self.episodes.submit([self.episodes.read(episode)[0] for episode in written])

    def wait(self, tickets: Sequence[int]) -> list[Ending]:
        """Return the endings of submitted programs, in the order of the tickets."""
        return self.episodes.wait(tickets)

    def price(self, written: Written, verdict: Verdict) -> Ending:
        """Return what a written program earns, given its verdict."""
        return self.episodes.price(self.episodes.read(written)[0], verdict)


def opening_info(opening: Opening) -> dict[str, Any]:
    """Return the info of a reset."""
    return {"length": 0, "task_id": opening.task.task_id, "prompt": opening.task.prompt}


def ending_info(task: Task, ending: Ending) -> dict[str, Any]:
    """Return the info of an episode's last step."""
    info = {"length": ending.length, "task_id": task.task_id, "program": ending.program}
    if ending.error is not None:
        return info | {"infrastructure_error": str(ending.error)}
    return info | {
        "verdict": ending.verdict,
        "feedback": ending.feedback,
        "token_rewards": tuple(ending.credit.tolist()),
        "cut": not ending.finished,
    }
