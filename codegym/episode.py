"""Episodes written in whole programs: what an environment hands to ``codegym.rollout`` and takes.

Stepping an environment token by token and writing whole programs with ``Policy.generate`` are two
roads to the same episodes. An environment that offers the second road is a ``ProgramEnv``: it opens
episodes, the policy writes a program for each, and the environment closes them. In both roads the
environment alone owns tasks, prompts, budget, grading, feedback and price.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegym.errors import SandboxError
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict
from codegym.tasks.task import Task
from codegym.tasks.task_source import TaskSource
from codegym.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What experience an agent wants for its next update.

    Attributes:
        tasks: Number of tasks for which the policy writes programs.
        samples: Programs written for each of them.
        temperature: Sampling temperature.
        greedy: Whether one more program per task is written greedily.
        demonstrations: Number of further tasks whose reference solutions are played back.
    """

    tasks: int = 0
    samples: int = 1
    temperature: float = 1.0
    greedy: bool = False
    demonstrations: int = 0


@dataclass(frozen=True, slots=True)
class Opening:
    """The start of an episode.

    Attributes:
        task: The task to solve.
        prompt: (P,) int32 ids a policy reads before its first action.
        limit: Largest number of tokens of prompt and program together.
        given: The last tokens of the prompt that are the beginning of the program.
    """

    task: Task
    prompt: NDArray[np.int32]
    limit: int
    given: tuple[int, ...] = ()


class Written(NamedTuple):
    """A program that was written for an opening, in tokens.

    Attributes:
        opening: The episode it belongs to.
        actions: (T,) ids of the program, the end token included where it was written.
        finished: Whether the end token was written; False if the budget cut the program.
        turn: Number of the program in its episode, from 1.
    """

    opening: Opening
    actions: Sequence[int]
    finished: bool
    turn: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What an environment says of a written program.

    Attributes:
        program: The whole program.
        length: How many of the actions count: an environment may end an episode before the last of
            them, as an environment of lines does at an empty line.
        finished: Whether the program was ended by its author, not cut by a budget.
        done: Whether the episode is over; otherwise ``message`` follows and another program.
        reward: Reward of the program, as if the episode ended with it.
        credit: (length,) float32, the reward received after each action.
        verdict: The verdict; None where the sandbox broke.
        feedback: Where the fault lies; None where the sandbox broke.
        message: What the environment writes before the next program; "" where the episode is over.
        error: Why there is no verdict; None where there is one.
    """

    program: str
    length: int
    finished: bool
    done: bool = True
    reward: float = 0.0
    credit: NDArray[np.float32]
    verdict: Verdict | None = None
    feedback: Feedback | None = None
    message: str = ""
    error: SandboxError | None = None


class ProgramEnv(ABC):
    """The fast road of an environment: episodes in whole programs.

    Vector environments of ``codegym.envs`` are ProgramEnvs; so may be those of other packages.

    Attributes:
        source: The tasks.
        tokenizer: What the ids mean.
        turns: Largest number of programs in an episode.
    """

    source: TaskSource
    tokenizer: Tokenizer
    turns: int

    @abstractmethod
    def open(
        self, tasks: Sequence[Task], *, given: Sequence[Sequence[int]] | None = None
    ) -> list[Opening]:
        """Start an episode of each task.

        Args:
            tasks: The tasks.
            given: Ids that each task's program begins with, added to its prompt.

        Raises:
            PromptTooLongError: A prompt leaves no room for a program.
        """

    @abstractmethod
    def follow(self, opening: Opening, ids: Sequence[int]) -> Opening | None:
        """Open the next program of an episode; None where there is no room for it.

        Args:
            opening: The opening of the program before.
            ids: All ids of the episode so far: prompt, programs, and what the environment wrote.
        """

    @abstractmethod
    def submit(self, written: Sequence[Written]) -> list[int]:
        """Start grading some programs; return a ticket for each."""

    @abstractmethod
    def wait(self, tickets: Sequence[int]) -> list[Ending]:
        """Return the endings of submitted programs, in the order of the tickets.

        Raises:
            SandboxError: The sandbox broke on a program, twice, and the environment is to raise.
        """

    @abstractmethod
    def price(self, written: Written, verdict: Verdict) -> Ending:
        """Return what a written program earns, given its verdict. Nothing is run."""
