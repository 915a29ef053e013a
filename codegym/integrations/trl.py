"""TRL: a reward function, an environment with repair turns, and a data set for its trainers.

No verdict becomes ``None``: TRL leaves such a completion out of its group's baseline and gives it
no advantage. Written for TRL 1.16.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from codegym.envs.dialogue import Conversation
from codegym.errors import ConfigError, MissingExtraError
from codegym.grading.async_judge import AsyncJudge
from codegym.grading.verdict import Verdict
from codegym.integrations.answer_grader import (
    MOST_CHARS,
    AnswerGrader,
    log,
    report_missing,
    reward_of,
)
from codegym.integrations.task_table import Style, prompt_rows
from codegym.rewards import Reward, make_reward
from codegym.sources import TaskSource
from codegym.tasks.task import Task

if TYPE_CHECKING:
    from datasets import Dataset

Tasks = str | TaskSource | Sequence[Task]
Priced = str | Reward | Callable[[Verdict], float]


class AnswerReward:
    """A reward function of TRL; see ``reward``, which makes it.

    Attributes:
        __name__: Its name in TRL's logs.
    """

    def __init__(self, grader: AnswerGrader, name: str, id_column: str) -> None:
        self._grader, self._id_column = grader, id_column
        self.__name__ = name

    async def __call__(
        self, prompts: Any = None, completions: Any = None, **columns: Any
    ) -> list[float | None]:
        """Return the reward of each completion; None where there is no verdict.

        A row whose column ``tasks`` names another URI belongs to another reward function: None.

        Raises:
            ConfigError: A column is missing, or of another length, or a completion is neither a
                text nor messages.
            TaskError: No task has one of the ids.
        """
        ids = self._column(columns, self._id_column, completions)
        uris = [self._grader.uri] * len(ids)
        if "tasks" in columns:
            uris = self._column(columns, "tasks", completions)
        mine = [row for row, uri in enumerate(uris) if uri == self._grader.uri]
        if ids and not mine:
            log.warning("no row of the batch is of %r; they name %r", self._grader.uri, uris[0])
        endings = await self._grader.grade_many(
            [completions[row] for row in mine], [ids[row] for row in mine]
        )
        log_metric = columns.get("log_metric")
        if log_metric is not None and endings:
            missing = sum(ending.error is not None for ending in endings)
            log_metric(f"{self.__name__}/no_verdict", missing / len(endings))
        rewards: list[float | None] = [None] * len(ids)
        for row, ending in zip(mine, endings, strict=True):
            rewards[row] = reward_of(ending)
        return rewards

    @staticmethod
    def _column(columns: dict[str, Any], name: str, completions: Any) -> list[Any]:
        if not isinstance(completions, list | tuple):
            raise ConfigError("completions are unusable", value=completions, expected="a list")
        if name not in columns:
            raise ConfigError(
                f"column {name!r} is missing",
                value=sorted(columns),
                cure="train on codegym.integrations.trl.dataset(...), or name your column: "
                "reward(..., id_column=...)",
            )
        values = list(columns[name])
        if len(values) != len(completions):
            raise ConfigError(
                f"column {name!r} and completions do not match",
                value=f"{len(values)} and {len(completions)}",
                expected="as many of each",
            )
        return values

    def __repr__(self) -> str:
        return f"<codegym reward {self.__name__} of {self._grader.uri!r}>"


def reward(
    tasks: Tasks,
    reward: Priced = "binary",
    *,
    id_column: str = "task_id",
    max_chars: int = MOST_CHARS,
    oversized: Literal["fail", "raise"] = "fail",
    isolation: str = "auto",
    judge: AsyncJudge | None = None,
) -> AnswerReward:
    """Return a function for ``reward_funcs`` of GRPOTrainer and RLOOTrainer.

    Args:
        tasks: Task URI, source, or list of tasks.
        reward: Reward expression, Reward, or function of a Verdict.
        id_column: Column of the data set that holds the task's id.
        max_chars: Largest number of characters of an answer.
        oversized: ``fail`` gives a longer answer the reward of a text without a program;
            ``raise`` raises InvalidActionError.
        isolation: Isolation of the sandbox.
        judge: A judge instead of the one that this process shares.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.
    """
    grader = AnswerGrader(
        tasks, reward, max_chars=max_chars, oversized=oversized, isolation=isolation, judge=judge
    )
    return AnswerReward(grader, log_name(reward), id_column)


def dataset(
    tasks: str | TaskSource,
    *,
    style: Style = "text",
    count: int | None = None,
    seed: int | None = None,
) -> "Dataset":
    """Return a data set with the columns ``prompt``, ``task_id`` and ``tasks``.

    Args:
        tasks: Task URI, or a source.
        style: ``text`` for base models, which continue the prompt; ``chat`` for chat models.
        count: Number of tasks; all by default.
        seed: Draws the tasks at random; the first ones by default.

    Raises:
        MissingExtraError: The package ``datasets`` is not installed.
        ConfigError, UnknownNameError: An argument cannot be used.
    """
    try:
        from datasets import Dataset
    except ModuleNotFoundError as error:
        raise MissingExtraError("datasets") from error
    return Dataset.from_list(prompt_rows(tasks, style, count, seed))


class ProgramEnvironment:
    """An environment of TRL whose tool judges a program; see ``environment``, which makes it.

    Public methods are what TRL calls: ``reset``, ``get_reward``, and ``submit_program``, the tool.
    """

    _grader: AnswerGrader

    def __init__(self) -> None:
        self._talk: Conversation | None = None
        self._reward: float | None = None
        self._begun = self._done = False

    def reset(self, **row: Any) -> None:
        """Begin the task of a row.

        Raises:
            ConfigError: The row has no column ``task_id``.
            TaskError: No task has that id.
        """
        if "task_id" not in row:
            raise ConfigError(
                "column 'task_id' is missing",
                value=sorted(row),
                cure="train on codegym.integrations.trl.dataset(...)",
            )
        self._talk, self._reward = self._grader.converse(row["task_id"]), None
        self._begun = self._done = False

    async def submit_program(self, program: str) -> str:
        """Run the program against the hidden tests of the task.

        Args:
            program: The whole Python program.

        Returns:
            Whether every test passed, or what is wrong with the program.
        """
        if self._talk is None or self._done:
            return "The task is over. No more programs are taken."
        self._begun = True
        ending = await self._grader.answer(self._talk, program)
        report_missing([ending])
        self._reward = reward_of(ending)
        if ending.error is not None:
            return "The program could not be judged, and it is not to blame. Submit it again."
        self._talk.answer(ending)
        self._done = ending.done
        if ending.verdict is not None and ending.verdict.passed:
            return "Every test passed."
        return "The task is over." if ending.done else ending.message.strip()

    async def get_reward(self) -> float | None:
        """Return the reward of the last program; None where it has no verdict.

        An episode in which nothing was submitted earns what an empty text earns.
        """
        if self._talk is None:
            return None
        if not self._begun:
            self._begun = True
            self._reward = reward_of(await self._grader.answer(self._talk, ""))
        return self._reward


def environment(
    tasks: Tasks,
    reward: Priced = "binary",
    *,
    turns: int = 3,
    isolation: str = "auto",
    judge: AsyncJudge | None = None,
) -> type[ProgramEnvironment]:
    """Return a class for ``environment_factory``, whose tool ``submit_program`` judges programs.

    Args:
        tasks: Task URI, source, or list of tasks.
        reward: Reward expression, Reward, or function of a Verdict; of the last program.
        turns: Largest number of programs; a program that passes ends the task.
        isolation: Isolation of the sandbox.
        judge: A judge instead of the one that this process shares.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.
    """
    grader = AnswerGrader(tasks, reward, turns=turns, isolation=isolation, judge=judge)
    return type(log_name(reward), (ProgramEnvironment,), {"_grader": grader, "__doc__": None})


def log_name(reward: Priced) -> str:
    """Return the name of a reward in a trainer's logs: its expression without blanks.

    Example:
        >>> log_name("binary - 0.2*cut")
        'codegym_binary-0.2_cut'
    """
    text = reward if isinstance(reward, str) else repr(make_reward(reward))
    kept = re.sub(r"[^\w.+-]+", "_", re.sub(r"\s*([+-])\s*", r"\1", text)).strip("_")
    return f"codegym_{kept or 'reward'}"
