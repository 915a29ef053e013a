"""Contamination: functions that a benchmark already holds, by four signs.

1. signature: the same name and the same number of parameters;
2. docstring: eight words in a row that a benchmark's problem has too, doctests and markup apart;
3. syntax tree: the same normalised function;
4. behaviour: the same results on fixed inputs.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codegym.mining.duplicate_programs import tells_enough, tree_key
from codegym.mining.harness import answers, study_job
from codegym.sandbox.job import Job, Sandbox
from codegym.tasks.task import Task

BENCHMARKS = ("humaneval", "mbpp")
GRAM_WORDS = 8
_SHARED_PROBES, _STUDIES_PER_JOB = 6, 8


@dataclass(slots=True)
class Known:
    """What a benchmark holds of one function."""

    task_id: str
    behaviour: Mapping[str, str]


@dataclass(slots=True)
class Benchmarks:
    """The problems that mined functions must not be.

    Attributes:
        sizes: Benchmark -> number of its problems.
        missing: Benchmark -> why it could not be read.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    _signatures: dict[tuple[str, int], str] = field(default_factory=dict)
    _grams: dict[str, str] = field(default_factory=dict)
    _trees: dict[str, str] = field(default_factory=dict)
    _known: dict[int, list[Known]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, problems: Mapping[str, Sequence[Task] | str], sandbox: Sandbox | None = None
    ) -> "Benchmarks":
        """Take in benchmarks and, given a sandbox, learn their solutions' behaviour.

        Args:
            problems: The URI of each benchmark with its tasks, or with the reason why they could
                not be read, which is kept in ``missing``.
            sandbox: Where the canonical solutions run.
        """
        found = cls()
        for uri, tasks in problems.items():
            if isinstance(tasks, str):
                found.missing[uri] = tasks
                continue
            found.sizes[uri] = len(tasks)
            found.add(tasks, sandbox)
        return found

    def add(self, tasks: Iterable[Task], sandbox: Sandbox | None = None) -> None:
        """Take in problems."""
        studies: list[tuple[Task, str, int]] = []
        for task in tasks:
            for gram in grams(task.prompt):
                self._grams[gram] = task.task_id
            program = task.program(task.canonical_solution or "")
            function = function_of(program, task.entry_point)
            if function is None:
                continue
            arity = len(function.args.args)
            self._signatures[_squeezed(task.entry_point), arity] = task.task_id
            self._trees[tree_key(ast.unparse(function))] = task.task_id
            studies.append((task, program, arity))
        if sandbox is not None:
            self._learn(studies, sandbox)

    def _learn(self, studies: Sequence[tuple[Task, str, int]], sandbox: Sandbox) -> None:
        # Several to a job; those behind one that ends its process run again, alone.
        left = list(studies)
        for size in (_STUDIES_PER_JOB, 1):
            batches = [left[at : at + size] for at in range(0, len(left), size)]
            left = []
            results = sandbox.run([_behaviour_job(batch) for batch in batches])
            for batch, result in zip(batches, results, strict=True):
                told = answers(result)[1::2]
                for (task, _, arity), behaviour in zip(batch, told, strict=False):
                    if is_behaviour(behaviour) and tells_enough(behaviour):
                        self._known.setdefault(arity, []).append(Known(task.task_id, behaviour))
                left += batch[len(told) :]

    def text_sign(self, node: ast.FunctionDef, docstring: str) -> str:
        """Return which problem a function is, by signature, docstring or tree; "" for none."""
        arity = len(node.args.args)
        known = self._signatures.get((_squeezed(node.name), arity))
        if known:
            return f"signature of {known}"
        for gram in grams(docstring):
            if gram in self._grams:
                return f"words of {self._grams[gram]}"
        known = self._trees.get(tree_key(ast.unparse(node)))
        return f"tree of {known}" if known else ""

    def behaviour_sign(self, arity: int, behaviour: Mapping[str, str]) -> str:
        """Return which problem a function is, by its results on the fixed inputs; "" for none."""
        for known in self._known.get(arity, ()):
            shared = known.behaviour.keys() & behaviour.keys()
            if len(shared) < max(_SHARED_PROBES, len(behaviour) // 2):
                continue
            if len({behaviour[one] for one in shared}) >= 4 and all(
                behaviour[one] == known.behaviour[one] for one in shared
            ):
                return f"behaviour of {known.task_id}"
        return ""


def _behaviour_job(studies: Sequence[tuple[Task, str, int]]) -> Job:
    operations: list[list[Any]] = []
    for task, program, arity in studies:
        operations += [["load", program, task.entry_point], ["behaviour", arity]]
    return study_job(operations)


def is_behaviour(told: Any) -> bool:
    """Tell whether an answer of the sandbox has the form of a behaviour."""
    return isinstance(told, dict) and all(
        isinstance(key, str) and isinstance(value, str) for key, value in told.items()
    )


def function_of(program: str, name: str) -> ast.FunctionDef | None:
    """Return the definition of a function in a program; None without one."""
    try:
        body = ast.parse(program).body
    except (SyntaxError, ValueError):
        return None
    return next(
        (one for one in body if isinstance(one, ast.FunctionDef) and one.name == name), None
    )


def grams(text: str) -> set[str]:
    """Return every eight words in a row of a text's prose; all of it if it is shorter.

    Lines of code are left out: doctests, and what stands before the docstring of a prompt.
    """
    _, opening, inside = text.partition('"""')
    prose = inside.partition('"""')[0] if opening else text
    lines = [line for line in prose.split("\n") if not line.strip().startswith((">>>", "assert"))]
    words = re.findall(r"[a-z0-9]+", " ".join(lines).lower())
    if len(words) < GRAM_WORDS:
        return {" ".join(words)} if len(words) >= 4 else set()
    return {" ".join(words[at : at + GRAM_WORDS]) for at in range(len(words) - GRAM_WORDS + 1)}


def _squeezed(name: str) -> str:
    return name.lower().replace("_", "")
