"""Rollout: tasks become programs that a policy writes, and judged trajectories.

This is the fast path of learning: programs are written whole by ``Policy.generate`` and graded by
the pool while the next ones are being written. It gives the numbers that stepping the env gives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from codegym.errors import ConfigError, TaskError
from codegym.grading.judge import Judge
from codegym.grammar import shared_mask
from codegym.policy import Constraint, Policy
from codegym.rewards.credit import program_of
from codegym.rewards.reward import Reward
from codegym.rollout.demonstrations import written_solution
from codegym.rollout.draft import Draft, await_verdicts, finish
from codegym.tasks.answers import program_from_answer
from codegym.tasks.task import Task
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Trajectory

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
        prefix: Share in [0, 1) of the reference solution's tokens that a program begins with.
            They are part of the trajectory's prompt, so that nothing is learnt about them.
        grammar: Allow only tokens that keep a program valid Python which can be ended in time.
    """

    n: int = 1
    budget: int = 64
    temperature: float = 1.0
    top_p: float = 1.0
    deterministic: bool = False
    greedy: bool = False
    rows: int = 128
    prefix: float = 0.0
    grammar: bool = False


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
    began = perf_counter()
    programs = Programs(policy, tasks, judge=judge, sampling=sampling, rng=rng)
    written = perf_counter()
    trajectories = programs.wait(reward)
    clock.sampling_s += written - began
    clock.waiting_s += perf_counter() - written
    return trajectories


class Programs:
    """Programs that a policy has written, being graded meanwhile.

    Args:
        policy: Who writes.
        tasks: What it writes for.
        judge: Grades the programs; collects nothing else until ``wait`` has returned.
        sampling: How the programs are written.
        rng: Source of randomness; the policy's own if None.
        given: What each task's programs begin with, instead of ``sampling.prefix``'s share.

    Raises:
        TaskError: A task's prompt leaves no room for a program in the policy's context, or it has
            no reference solution where programs begin with a part of it.
    """

    def __init__(
        self,
        policy: Policy,
        tasks: Sequence[Task],
        *,
        judge: Judge,
        sampling: Sampling,
        rng: "torch.Generator | None" = None,
        given: Sequence[list[int]] | None = None,
    ) -> None:
        self._judge = judge
        self._tokenizer = policy.tokenizer
        self._version = policy.version
        self._drafts: list[Draft] = []
        self._tickets: dict[int, int] = {}
        per_chunk = max(1, sampling.rows // sampling.n)
        for start in range(0, len(tasks), per_chunk):
            chosen = tasks[start : start + per_chunk]
            begun = (
                [_given(task, policy, sampling.prefix) for task in chosen]
                if given is None
                else given[start : start + per_chunk]
            )
            self._submit(_write(policy, chosen, begun, sampling, rng))

    def _submit(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            self._tickets[self._judge.submit(draft.text, draft.task)] = len(self._drafts)
            self._drafts.append(draft)

    def wait(self, reward: Reward) -> list[Trajectory]:
        """Return them priced, those of one task together.

        Raises:
            SandboxError: The sandbox broke.
        """
        await_verdicts(self._judge, self._tickets, self._drafts)
        return [finish(draft, self._tokenizer, reward, self._version) for draft in self._drafts]

    def state_dict(self) -> dict[str, Any]:
        """Return the programs as plain values, without their verdicts."""
        fields = ("prompt", "actions", "log_probs", "values", "finished", "text", "given", "greedy",
                  "masks")  # fmt: skip
        return {
            "version": self._version,
            "drafts": [
                {name: getattr(draft, name) for name in fields} | {"task": draft.task.to_json()}
                for draft in self._drafts
            ],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], policy: Policy, *, judge: Judge) -> Self:
        """Take up what ``state_dict`` returned; the programs are graded anew."""
        programs = cls(policy, (), judge=judge, sampling=Sampling())
        programs._version = state["version"]
        tasks: dict[str, Task] = {}
        drafts = []
        for row in state["drafts"]:
            task = Task.from_json(row["task"])
            # Programs of one task share it, so that equal ones are graded once.
            task = tasks.setdefault(task.task_id, task)
            drafts.append(Draft(**{**row, "task": task}))
        programs._submit(drafts)
        return programs


def _write(
    policy: Policy,
    tasks: Sequence[Task],
    given: Sequence[list[int]],
    sampling: Sampling,
    rng: "torch.Generator | None",
) -> list[Draft]:
    prompts = [
        policy.encode_prompt(task.prompt) + ids for task, ids in zip(tasks, given, strict=True)
    ]
    for task, prompt in zip(tasks, prompts, strict=True):
        if len(prompt) >= policy.max_tokens:
            raise TaskError(
                f"the prompt of task {task.task_id!r} fills the policy's context",
                field="prompt",
                value=len(prompt),
                expected=f"fewer than {policy.max_tokens} tokens",
                cure="a policy with a longer context, or tasks with shorter prompts",
            )
    drafts = _drafts(policy, tasks, prompts, given, sampling, rng)
    if not sampling.greedy:
        return drafts
    once = _drafts(policy, tasks, prompts, given, replace(sampling, n=1, deterministic=True), rng)
    return [
        draft
        for number, last in enumerate(once)
        for draft in (*drafts[number * sampling.n : (number + 1) * sampling.n], last)
    ]


def _drafts(
    policy: Policy,
    tasks: Sequence[Task],
    prompts: list[list[int]],
    given: Sequence[list[int]],
    sampling: Sampling,
    rng: "torch.Generator | None",
) -> list[Draft]:
    constraint: dict[str, Constraint] = {}
    if sampling.grammar:
        if "constraint" not in signature(policy.generate).parameters:
            raise ConfigError(
                "this policy cannot be kept to a grammar",
                value=policy.name,
                expected="a generate that takes a constraint",
                cure="leave grammar out",
            )
        constraint["constraint"] = _python(policy.tokenizer, tasks, given)
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
    drafts = []
    for row, actions in enumerate(written.actions):
        task, before = tasks[row // sampling.n], given[row // sampling.n]
        drafts.append(
            Draft(
                task=task,
                prompt=prompts[row // sampling.n],
                actions=actions,
                log_probs=written.log_probs[row],
                values=written.values[row],
                finished=bool(written.finished[row]),
                text=_program(policy, task, [*before, *actions.tolist()]),
                given=len(before),
                greedy=sampling.deterministic,
                masks=written.masks[row] if written.masks else None,
            )
        )
    return drafts


def _program(policy: Policy, task: Task, ids: Sequence[int]) -> str:
    written = policy.tokenizer.decode(ids)
    return program_from_answer(task, written) if policy.answers else program_of(task, written)


def _python(tokenizer: Tokenizer, tasks: Sequence[Task], given: Sequence[list[int]]) -> Constraint:
    """Return the constraint that keeps programs valid Python.

    Raises:
        MissingExtraError: lark is not installed.
        ConfigError: The tokenizer lacks a character, or a prompt is not of the grammar.
    """
    mask = shared_mask(tokenizer)
    texts = [
        (task.prompt if task.prompt_is_code else "") + tokenizer.decode(ids)
        for task, ids in zip(tasks, given, strict=True)
    ]
    return Constraint(mask=mask, states=[mask.start(text) for text in texts])


def _given(task: Task, policy: Policy, share: float) -> list[int]:
    """Return the first tokens of a task's reference solution, rounded down, never all of them."""
    if not share:
        return []
    solution = written_solution(task, cure="train without a prefix curriculum")
    ids = policy.tokenizer.encode(solution)
    return ids[: int(share * len(ids))]
