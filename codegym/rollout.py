"""Rollout: tasks become judged trajectories, by a policy or by their reference solutions.

This is the fast path of learning: programs are written whole by ``Policy.generate`` and graded by
the pool while the next ones are being written. It gives the numbers that stepping the env gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from inspect import signature
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from codegym.errors import ConfigError, TaskError
from codegym.extraction import program_from_answer, start_of
from codegym.grammar import PythonMask
from codegym.judging import Judge
from codegym.policy import Constraint, Policy
from codegym.pricing import price_spans, program_of
from codegym.rewards.base import Reward
from codegym.task import Task
from codegym.tokenizers.base import Tokenizer
from codegym.trajectory import Trajectory
from codegym.verdict import Verdict

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class Clock:
    """Where the seconds of a rollout went: writing programs, and waiting for their verdicts."""

    sampling_s: float = 0.0
    waiting_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How programs are written.

    Attributes:
        n: Programs per task.
        budget: Longest program in tokens, the end token included.
        temperature: Of the distribution tokens are drawn from.
        top_p: Share of probability kept; 1 keeps all.
        deterministic: Take the most probable token instead of drawing.
        greedy: Write one more program per task that way, after the drawn ones.
        rows: Programs written side by side; the grader works on the last rows meanwhile.
        grammar: Allow only tokens that keep a program valid Python which can be ended in time.
    """

    n: int = 1
    budget: int = 64
    temperature: float = 1.0
    top_p: float = 1.0
    deterministic: bool = False
    greedy: bool = False
    rows: int = 128
    grammar: bool = False


@dataclass(slots=True)
class _Draft:
    task: Task
    prompt: list[int]
    actions: np.ndarray
    log_probs: np.ndarray
    values: np.ndarray
    finished: bool
    text: str
    demonstration: bool = False
    greedy: bool = False
    masks: np.ndarray | None = None
    verdict: Verdict | None = None


def collect(
    policy: Policy,
    tasks: Sequence[Task],
    *,
    judge: Judge,
    reward: Reward,
    sampling: Sampling,
    rng: "torch.Generator | None" = None,
    clock: Clock | None = None,
) -> list[Trajectory]:
    """Let a policy write programs for each task and price them.

    Args:
        policy: Who writes.
        tasks: What it writes for; one task's programs stand together in the result.
        judge: Grades the programs.
        reward: Prices the verdicts.
        sampling: How the programs are written.
        rng: Source of randomness; the policy's own if None.
        clock: Filled with where the time went, if given.

    Raises:
        TaskError: A task's prompt leaves no room for a program in the policy's context.
        ConfigError: With ``grammar``, a prompt is not of the Python that masks know.
        SandboxError: The sandbox broke.
    """
    clock = clock or Clock()
    drafts: list[_Draft] = []
    tickets: dict[int, int] = {}
    per_chunk = max(1, sampling.rows // sampling.n)
    for start in range(0, len(tasks), per_chunk):
        began = perf_counter()
        for draft in _write(policy, tasks[start : start + per_chunk], sampling, rng):
            tickets[judge.submit(draft.text, draft.task)] = len(drafts)
            drafts.append(draft)
        clock.sampling_s += perf_counter() - began
    began = perf_counter()
    _await(judge, tickets, drafts)
    clock.waiting_s += perf_counter() - began
    return [_finish(draft, policy.tokenizer, reward, policy.version) for draft in drafts]


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
        _await(self._judge, self._tickets, self._drafts)
        kept = [one for one in self._drafts if one.verdict is not None and one.verdict.passed]
        return [_finish(draft, self._tokenizer, reward, 0) for draft in kept]


def _write(
    policy: Policy, tasks: Sequence[Task], sampling: Sampling, rng: "torch.Generator | None"
) -> list[_Draft]:
    prompts = [policy.encode_prompt(task.prompt) for task in tasks]
    for task, prompt in zip(tasks, prompts, strict=True):
        if len(prompt) >= policy.max_tokens:
            raise TaskError(
                f"the prompt of task {task.task_id!r} fills the policy's context",
                field="prompt",
                value=len(prompt),
                expected=f"fewer than {policy.max_tokens} tokens",
                cure="a policy with a longer context, or tasks with shorter prompts",
            )
    drafts = _drafts(policy, tasks, prompts, sampling, rng)
    if not sampling.greedy:
        return drafts
    once = _drafts(policy, tasks, prompts, replace(sampling, n=1, deterministic=True), rng)
    return [
        draft
        for number, last in enumerate(once)
        for draft in (*drafts[number * sampling.n : (number + 1) * sampling.n], last)
    ]


def _drafts(
    policy: Policy,
    tasks: Sequence[Task],
    prompts: list[list[int]],
    sampling: Sampling,
    rng: "torch.Generator | None",
) -> list[_Draft]:
    constraint: dict[str, Constraint] = {}
    if sampling.grammar:
        if "constraint" not in signature(policy.generate).parameters:
            raise ConfigError(
                "this policy cannot be kept to a grammar",
                value=policy.name,
                expected="a generate that takes a constraint",
                cure="leave grammar out",
            )
        constraint["constraint"] = _python(policy.tokenizer, tasks)
    written = policy.generate(
        prompts,
        n=sampling.n,
        budget=sampling.budget,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        deterministic=sampling.deterministic,
        rng=rng,
        **constraint,
    )
    return [
        _Draft(
            task=tasks[row // sampling.n],
            prompt=prompts[row // sampling.n],
            actions=actions,
            log_probs=written.log_probs[row],
            values=written.values[row],
            finished=bool(written.finished[row]),
            text=_program(policy, tasks[row // sampling.n], actions),
            greedy=sampling.deterministic,
            masks=written.masks[row] if written.masks else None,
        )
        for row, actions in enumerate(written.actions)
    ]


def _program(policy: Policy, task: Task, actions: np.ndarray) -> str:
    written = policy.tokenizer.decode(actions.tolist())
    return program_from_answer(task, written) if policy.answers else program_of(task, written)


@lru_cache(maxsize=8)
def _python_mask(tokenizer: Tokenizer) -> PythonMask:
    return PythonMask(tokenizer)


def _python(tokenizer: Tokenizer, tasks: Sequence[Task]) -> Constraint:
    """Return the constraint that keeps programs valid Python.

    Raises:
        MissingExtraError: lark is not installed.
        ConfigError: The tokenizer lacks a character, or a prompt is not of the grammar.
    """
    mask = _python_mask(tokenizer)
    starts = [mask.start(task.prompt if task.prompt_is_code else "") for task in tasks]
    return Constraint(mask=mask, states=starts)


def _reference(task: Task, policy: Policy) -> _Draft:
    solution = task.canonical_solution
    if solution is None:
        raise TaskError(
            f"task {task.task_id!r} has no reference solution to learn from",
            field="canonical_solution",
            cure="train from tests alone: leave the warm start out, or start from a checkpoint",
        )
    if task.prompt_is_code:
        solution = solution.removeprefix(task.prompt)
    ids = [*policy.tokenizer.encode(solution), policy.tokenizer.end_id]
    actions = np.array(ids, dtype=np.int64)
    nothing = np.zeros(len(actions), dtype=np.float32)
    return _Draft(
        task=task,
        prompt=policy.encode_prompt(task.prompt),
        actions=actions,
        log_probs=nothing,
        values=nothing,
        finished=True,
        text=program_of(task, solution),
        demonstration=True,
    )


def _await(judge: Judge, tickets: dict[int, int], drafts: list[_Draft]) -> None:
    while tickets:
        for ticket, verdict in judge.collect():
            drafts[tickets.pop(ticket)].verdict = verdict


def _finish(draft: _Draft, tokenizer: Tokenizer, reward: Reward, version: int) -> Trajectory:
    assert draft.verdict is not None
    ids = draft.actions.tolist()
    priced = price_spans(
        draft.task,
        draft.text,
        spans=tokenizer.spans(ids),
        start=start_of(draft.text, tokenizer.decode(ids)),
        finished=draft.finished,
        verdict=draft.verdict,
        reward=reward,
    )
    return Trajectory(
        task_id=draft.task.task_id,
        prompt=np.array(draft.prompt, dtype=np.int64),
        actions=draft.actions,
        log_probs=draft.log_probs,
        values=draft.values,
        reward=priced.reward,
        token_rewards=priced.token_rewards,
        finished=draft.finished,
        program=draft.text,
        verdict=priced.verdict,
        feedback=priced.feedback,
        policy_version=version,
        demonstration=draft.demonstration,
        greedy=draft.greedy,
        masks=draft.masks,
    )
