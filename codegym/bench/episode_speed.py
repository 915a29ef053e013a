"""Episode speed: compares the native vector env with SyncVectorEnv on whole episodes.

An episode costs time for its tokens, its end (decode, price, describe), its next task and its
grading. Each row of the table leaves out a further part, to show which part bounds the ratio.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from codegym.bench.ratios import Figure, compare
from codegym.envs.synthesis import SynthesisEnv
from codegym.envs.vector import SynthesisVectorEnv
from codegym.grading.judge import judge_many
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.sources import TaskSource, load_tasks
from codegym.tasks.task import Task
from codegym.tokenizers.lexemes import LexemeTokenizer

SUB_ENVS = 64
_NEW = "composites"
_PASSED = Verdict.from_cases([CaseResult(outcome=Outcome.PASSED)])
# Name, options of the native env, the baseline, and the target of the ratio.
Row = tuple[str, dict[str, Any], Callable[[], float], float | None]


class OneTask(TaskSource):
    """A source with a single task, so that the measurement excludes the making of tasks."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Task:
        """Return the task."""
        if index not in (0, -1):
            raise IndexError(index)
        return Task.from_calls(
            'def f(xs: list[int]) -> int:\n    """Add up all the numbers."""\n',
            "f",
            [(([k, k + 1, 7],), 2 * k + 8) for k in range(8)],
            task_id="sum",
            canonical_solution="    unique = 1000000\n    total = 0\n    for x in xs:\n"
            "        total += x\n    return total\n",
        )


def ungraded(pairs: Sequence[tuple[str, Task]]) -> list[Verdict]:
    """Return a passing verdict for each program, without a run."""
    return [_PASSED] * len(pairs)


def scripts(tokens: LexemeTokenizer, count: int, rounds: int) -> NDArray[np.int64]:
    """Return the actions of different whole programs, as (rounds * T, count)."""
    program = [*tokens.encode(str(OneTask()[0].canonical_solution)), tokens.end_id]
    figures = tokens.encode("0123456789")
    digits = [place for place, token in enumerate(program) if token == figures[0]][:6]
    written = np.tile(np.array(program), (rounds, count, 1))
    rng = np.random.default_rng(0)
    written[:, :, digits] = rng.choice(figures, size=(rounds, count, len(digits)))
    # Each step has a contiguous row, as the actions of a policy have.
    return np.ascontiguousarray(written.swapaxes(1, 2)).reshape(-1, count)


def programs_per_second(env: VectorEnv[Any, Any, Any], rounds: int) -> float:
    """Write whole programs in all sub-envs and have them graded; return programs per second.

    Deferred programs are collected as they are graded; the wait for the last program counts.
    """
    tickets = env if isinstance(env, SynthesisVectorEnv) else None
    steps = scripts(LexemeTokenizer(), env.num_envs, rounds)
    env.reset(seed=0)
    start = time.perf_counter()
    for actions in steps:
        env.step(actions)
        if tickets is not None and tickets.under_way:
            tickets.collect(timeout_s=0.0)
    while tickets is not None and tickets.under_way:
        tickets.collect()
    return rounds * env.num_envs / (time.perf_counter() - start)


def judged_per_second(rounds: int) -> float:
    """Judge the same programs without an env; return programs per second."""
    tokens, task = LexemeTokenizer(), OneTask()[0]
    steps = scripts(tokens, SUB_ENVS, rounds)
    ends = np.flatnonzero(steps[:, 0] == tokens.end_id)
    pairs = [
        (task.prompt + tokens.decode(row), task)
        for script in np.split(steps, ends[:-1] + 1)
        for row in script.T
    ]
    start = time.perf_counter()
    judge_many(pairs)
    return len(pairs) / (time.perf_counter() - start)


def made_per_second(uri: str, count: int) -> float:
    """Make tasks without an env; return tasks per second."""
    source = load_tasks(uri)
    start = time.perf_counter()
    for index in range(count):
        source[index]
    return count / (time.perf_counter() - start)


def episode_figures(repeats: int, *, graded: bool) -> list[Figure]:
    """Measure whole episodes with a free grader, on a single task and on new tasks, and graded.

    Args:
        repeats: Repetitions of each pair of measurements.
        graded: Whether to measure graded programs as well.
    """
    title, free = f"programs, {SUB_ENVS} sub-envs", {"judge": ungraded}
    rows: list[Row] = [
        (f"{title}, one task, a free grader, SyncVectorEnv", free, partial(_synchronous, free), 8),
        (
            f"{title}, {_NEW}, a free grader, SyncVectorEnv",
            free | {"tasks": _NEW},
            partial(_synchronous, free | {"tasks": _NEW}),
            None,
        ),
        (
            f"{title}, {_NEW}, a free grader, the making of its tasks alone",
            free | {"tasks": _NEW},
            partial(made_per_second, _NEW, 500),
            None,
        ),
    ]
    for how in ("step", "deferred") if graded else ():
        name, options = f"{title}, one task, grading={how!r}", {"grading": how}
        rows += [
            (f"{name}, SyncVectorEnv", options, partial(_synchronous, {}), None),
            (f"{name}, the sandbox alone", options, partial(judged_per_second, 8), None),
        ]
    return [
        compare(
            name,
            partial(_native, options),
            theirs,
            repeats=repeats,
            unit="programs/s",
            at_least=at_least,
        )
        for name, options, theirs, at_least in rows
    ]


def _native(options: dict[str, Any]) -> float:
    return programs_per_second(SynthesisVectorEnv(SUB_ENVS, **_with_defaults(options)), 8)


def _synchronous(options: dict[str, Any]) -> float:
    given = _with_defaults(options)
    mode = given.pop("autoreset_mode")
    envs = SyncVectorEnv([lambda: SynthesisEnv(**given)] * SUB_ENVS, autoreset_mode=mode)
    return programs_per_second(envs, 2)


def _with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    defaults = {"tasks": OneTask(), "max_tokens": 128, "autoreset_mode": "SameStep"}
    return defaults | {"tokenizer": LexemeTokenizer()} | options
