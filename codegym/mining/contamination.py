"""Contamination: detects functions that a benchmark already holds, by four signs.

1. signature: the same name and the same number of parameters;
2. docstring: eight consecutive words of a benchmark's problem, without doctests and markup;
3. syntax tree: the same normalised function;
4. behaviour: the same results on fixed inputs.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codegym.mining.duplicate_programs import is_telling, tree_key
from codegym.mining.harness import read_answers, study_job
from codegym.sandbox.job import Job, Sandbox
from codegym.tasks.task import Task

BENCHMARKS = ("humaneval", "mbpp")
GRAM_WORDS = 8
_SHARED_PROBES, _STUDIES_PER_JOB = 6, 8


@dataclass(slots=True)
class KnownFunction:
    """The behaviour of a benchmark's function."""

    task_id: str
    behaviour: Mapping[str, str]


@dataclass(slots=True)
class Benchmarks:
    """Benchmark problems that mined functions must not repeat.

    Attributes:
        sizes: Benchmark -> number of its problems.
        missing: Benchmark -> reason why it could not be read.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    _signatures: dict[tuple[str, int], str] = field(default_factory=dict)
    _grams: dict[str, str] = field(default_factory=dict)
    _trees: dict[str, str] = field(default_factory=dict)
    _known: dict[int, list[KnownFunction]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, problems: Mapping[str, Sequence[Task] | str], sandbox: Sandbox | None = None
    ) -> "Benchmarks":
        """Read benchmarks and, given a sandbox, record their solutions' behaviour.

        Args:
            problems: URI of each benchmark -> its tasks, or the reason why they could not be read,
                which is kept in ``missing``.
            sandbox: Sandbox that runs the canonical solutions.
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
        """Add problems."""
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
        # Several studies share a job; studies after one that kills the process run again, alone.
        left = list(studies)
        for size in (_STUDIES_PER_JOB, 1):
            batches = [left[at : at + size] for at in range(0, len(left), size)]
            left = []
            results = sandbox.run([_behaviour_job(batch) for batch in batches])
            for batch, result in zip(batches, results, strict=True):
                replies = read_answers(result)[1::2]
                for (task, _, arity), behaviour in zip(batch, replies, strict=False):
                    if is_behaviour(behaviour) and is_telling(behaviour):
                        self._known.setdefault(arity, []).append(
                            KnownFunction(task.task_id, behaviour)
                        )
                left += batch[len(replies) :]

    def text_sign(self, node: ast.FunctionDef, docstring: str) -> str:
        """Name the problem with a function's signature, docstring or tree; "" if there is none."""
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
        """Name the problem with a function's results on the fixed inputs; "" if there is none."""
        for known in self._known.get(arity, ()):
            shared = known.behaviour.keys() & behaviour.keys()
            if len(shared) < max(_SHARED_PROBES, len(behaviour) // 2):
                continue
            if len({behaviour[number] for number in shared}) >= 4 and all(
                behaviour[number] == known.behaviour[number] for number in shared
            ):
                return f"behaviour of {known.task_id}"
        return ""


def _behaviour_job(studies: Sequence[tuple[Task, str, int]]) -> Job:
    operations: list[list[Any]] = []
    for task, program, arity in studies:
        operations += [["load", program, task.entry_point], ["behaviour", arity]]
    return study_job(operations)


def is_behaviour(answer: Any) -> bool:
    """Return whether an answer of the sandbox has the form of a behaviour."""
    return isinstance(answer, dict) and all(
        isinstance(key, str) and isinstance(value, str) for key, value in answer.items()
    )


def function_of(program: str, name: str) -> ast.FunctionDef | None:
    """Return the definition of a function in a program; None if there is none."""
    try:
        body = ast.parse(program).body
    except (SyntaxError, ValueError):
        return None
    return next(
        (node for node in body if isinstance(node, ast.FunctionDef) and node.name == name), None
    )


def grams(text: str) -> set[str]:
    """Return every eight consecutive words of a text's prose; all of it if it is shorter.

    Lines of code are left out: doctests, and the code before the docstring of a prompt.
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
