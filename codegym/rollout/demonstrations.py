"""Demonstrations: reference solutions as a policy would have written them."""

from collections.abc import Sequence

import numpy as np

from codegym.errors import TaskError
from codegym.grading.judge import Judge
from codegym.policy import Policy
from codegym.rewards.credit import program_of
from codegym.rewards.reward import Reward
from codegym.rollout.draft import Draft, await_verdicts, finish
from codegym.tasks.task import Task
from codegym.trajectory import Trajectory


class Demonstrations:
    """Reference solutions played as if a policy had written them, being graded meanwhile.

    Args:
        tasks: Whose reference solutions.
        policy: Who is shown the prompts; its tokenizer says what the ids mean.
        judge: Grades the programs; collects nothing else until ``wait`` has returned.

    Raises:
        TaskError: A task has no reference solution.
    """

    def __init__(self, tasks: Sequence[Task], policy: Policy, *, judge: Judge) -> None:
        self._judge = judge
        self._tokenizer = policy.tokenizer
        self._drafts = [_reference(task, policy) for task in tasks]
        self._tickets = {
            judge.submit(draft.text, draft.task): row for row, draft in enumerate(self._drafts)
        }

    def wait(self, reward: Reward) -> list[Trajectory]:
        """Return those that passed their tests in the sandbox, priced.

        Raises:
            SandboxError: The sandbox broke.
        """
        await_verdicts(self._judge, self._tickets, self._drafts)
        kept = [one for one in self._drafts if one.verdict is not None and one.verdict.passed]
        return [finish(draft, self._tokenizer, reward, 0) for draft in kept]


def reference_episode(task: Task, policy: Policy) -> Trajectory | None:
    """Return a task's reference solution as an episode that was not judged.

    None where the task has no solution, or prompt and solution do not fit the policy's context.
    """
    if task.canonical_solution is None:
        return None
    draft = _reference(task, policy)
    if len(draft.prompt) + len(draft.actions) > policy.max_tokens:
        return None
    return Trajectory(
        task_id=task.task_id,
        prompt=np.array(draft.prompt, dtype=np.int64),
        actions=draft.actions,
        log_probs=draft.log_probs,
        values=draft.values,
        reward=0.0,
        token_rewards=draft.log_probs,
        finished=True,
        program=draft.text,
        demonstration=True,
    )


def written_solution(task: Task, *, cure: str) -> str:
    """Return what a policy would write to give the reference solution.

    Raises:
        TaskError: The task has none.
    """
    solution = task.canonical_solution
    if solution is None:
        raise TaskError(
            f"task {task.task_id!r} has no reference solution to learn from",
            field="canonical_solution",
            cure=cure,
        )
    return solution.removeprefix(task.prompt) if task.prompt_is_code else solution


def _reference(task: Task, policy: Policy) -> Draft:
    solution = written_solution(
        task, cure="train from tests alone: leave the warm start out, or start from a checkpoint"
    )
    ids = [*policy.tokenizer.encode(solution), policy.tokenizer.end_id]
    actions = np.array(ids, dtype=np.int64)
    nothing = np.zeros(len(actions), dtype=np.float32)
    return Draft(
        task=task,
        prompt=policy.encode_prompt(task.prompt),
        actions=actions,
        log_probs=nothing,
        values=nothing,
        finished=True,
        text=program_of(task, solution),
        demonstration=True,
    )
