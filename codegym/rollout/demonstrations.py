"""Demonstrations: reference solutions played through an environment, as if a policy wrote them."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from codegym.episode import Opening, ProgramEnv
from codegym.errors import PromptTooLongError, TaskError
from codegym.rollout.draft import Draft
from codegym.tasks.task import Task
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Trajectory


class Demonstrations:
    """Reference solutions being graded.

    Args:
        env: The environment, which opens and closes their episodes.
        tasks: Whose reference solutions; those that do not fit the environment are left out.

    Attributes:
        tasks: The tasks.

    Raises:
        TaskError: A task has no reference solution.
    """

    def __init__(self, env: ProgramEnv, tasks: Sequence[Task]) -> None:
        self.tasks = list(tasks)
        self._env = env
        drafts = [_reference(opening, env.tokenizer) for opening in env.open(tasks)]
        self._drafts = {number: draft for number, draft in enumerate(drafts) if _fits(draft)}
        self._tickets = env.submit([draft.written() for draft in self._drafts.values()])

    def wait(self) -> list[Trajectory]:
        """Return those that passed their tests in the sandbox, priced.

        Raises:
            SandboxError: The sandbox broke.
        """
        return [episode for episode in self.wait_by_task() if episode is not None]

    def wait_by_task(self) -> list[Trajectory | None]:
        """Return, for each task, what ``wait`` returns of it; None if that is nothing.

        Raises:
            SandboxError: The sandbox broke.
        """
        found: list[Trajectory | None] = [None] * len(self.tasks)
        endings = self._env.wait(self._tickets)
        for (number, draft), ending in zip(self._drafts.items(), endings, strict=True):
            if ending.verdict is not None and ending.verdict.passed:
                found[number] = draft.finish(ending)
        return found


def unjudged_references(env: ProgramEnv, tasks: Sequence[Task]) -> list[Trajectory]:
    """Return the reference solutions of tasks as episodes that were not judged.

    Tasks without a solution, or with a solution that does not fit, are left out.
    """
    drafts = []
    for task in tasks:
        if task.canonical_solution is not None:
            with suppress(PromptTooLongError):
                drafts += [_reference(opening, env.tokenizer) for opening in env.open([task])]
    return [
        Trajectory(
            task_id=draft.opening.task.task_id,
            prompt=draft.opening.prompt.astype(np.int64),
            actions=draft.actions,
            log_probs=draft.log_probs,
            values=draft.values,
            reward=0.0,
            credit=np.zeros(len(draft.actions), dtype=np.float32),
            finished=True,
            program=draft.opening.task.program(draft.opening.task.canonical_solution or ""),
            demonstration=True,
        )
        for draft in drafts
        if _fits(draft)
    ]


def reference_ids(
    task: Task,
    tokenizer: Tokenizer,
    *,
    cure: str = "train from tests alone: leave the warm start out, or start from a checkpoint",
) -> list[int]:
    """Return what a policy would write to give a task's reference solution, without the end token.

    Raises:
        TaskError: The task has no reference solution.
    """
    solution = task.canonical_solution
    if solution is None:
        raise TaskError(
            f"task {task.task_id!r} has no reference solution to learn from",
            field="canonical_solution",
            cure=cure,
        )
    return tokenizer.encode(solution.removeprefix(task.prompt) if task.prompt_is_code else solution)


def _reference(opening: Opening, tokenizer: Tokenizer) -> Draft:
    ids = [*reference_ids(opening.task, tokenizer), tokenizer.end_id]
    nothing = np.zeros(len(ids), dtype=np.float32)
    return Draft(
        number=0,
        opening=opening,
        actions=np.array(ids, dtype=np.int64),
        log_probs=nothing,
        values=nothing,
        finished=True,
        demonstration=True,
    )


def _fits(draft: Draft) -> bool:
    return len(draft.opening.prompt) + len(draft.actions) <= draft.opening.limit
