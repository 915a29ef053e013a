"""Task: an immutable problem with its tests.

A task knows how a policy's text becomes a whole program (``Task.program``) but runs nothing.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from keyword import iskeyword
from typing import Any

from codegym.errors import TaskError
from codegym.sandbox.limits import Limits
from codegym.tasks.cases import AssertionCase, CallCase, StdioCase, TestCase, take
from codegym.tasks.contest import call_method, holds_method, imports_of
from codegym.tasks.suite import Match, OutputRule, TestSuite

__all__ = ["AssertionCase", "CallCase", "StdioCase", "Task", "TestCase", "TestSuite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A problem: the prompt for a policy and the checks of its program.

    Attributes:
        task_id: Stable name, unique in its source.
        prompt: The text that the policy reads: the head of a program, or plain text.
        entry_point: The function the tests call; "" for stdio tasks.
        tests: The checks.
        canonical_solution: A reference solution, as in the data set: a whole program or the
            continuation of the prompt; ``program`` accepts both. None if there is none.
        metadata: Anything else: topic, depth, licence, origin. JSON values.
        hidden_tests: Further checks that no reward sees. A program that passes ``tests`` and fails
            these satisfies the tests without solving the task.
    """

    task_id: str
    prompt: str
    entry_point: str
    tests: TestSuite
    canonical_solution: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    hidden_tests: TestSuite | None = None

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind):
                raise TaskError(
                    "wrong type",
                    field=name,
                    value=getattr(self, name),
                    expected=f"a {kind.__name__}",
                )
        if self.hidden_tests is not None and not isinstance(self.hidden_tests, TestSuite):
            raise TaskError(
                "wrong type",
                field="hidden_tests",
                value=self.hidden_tests,
                expected="a TestSuite, or None",
            )
        if not self.task_id:
            raise TaskError("empty", field="task_id", value="", expected="a name")
        solution = self.canonical_solution
        if solution is not None and not isinstance(solution, str):
            raise TaskError("not text", field="canonical_solution", value=solution)
        name = self.entry_point
        if self.tests.form != "stdio" and (not name.isidentifier() or iskeyword(name)):
            raise TaskError(
                "no function to call",
                field="entry_point",
                value=name,
                expected="the name of a function",
            )

    def __hash__(self) -> int:
        return hash((self.task_id, self.prompt))

    @property
    def prompt_is_code(self) -> bool:
        """Whether the prompt is the head of the program, which a policy continues."""
        return _continues(self.entry_point, self.prompt)

    def program(self, text: str) -> str:
        r"""Return the whole program that a policy's text stands for.

        Text that starts with the prompt, or that defines the entry point itself at the left
        margin, is a whole program and is returned unchanged. One that holds it as a method of
        ``class Solution``, as contest sites ask for, gets the prompt's imports and a function that
        calls the method. Where the prompt is code, any other text continues it. Line numbers in a
        Verdict count in the returned program.

        Example:
            >>> task = Task.from_calls("def f(x):\n", "f", [((1,), 2)])
            >>> task.program("    return x + 1")
            'def f(x):\n    return x + 1'
        """
        if not self.prompt_is_code or text.startswith(self.prompt):
            return text
        name = re.escape(self.entry_point)
        defined = rf"^(?:(?:async\s+)?(?:def|class)\s+{name}\b|{name}\s*(?::[^=\n]+)?=(?!=))"
        if re.search(defined, text, re.MULTILINE):
            return text
        if holds_method(text, self.entry_point):
            return imports_of(self.prompt) + call_method(text, self.entry_point)
        return self.prompt + text

    @classmethod
    def from_calls(
        cls,
        prompt: str,
        entry_point: str,
        cases: Sequence[CallCase | tuple[Sequence[Any], Any]],
        *,
        task_id: str = "task",
        canonical_solution: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        float_tolerance: float = 1e-9,
        match: Match = "python",
        site: str = "",
        limits: Limits | None = None,
    ) -> "Task":
        """Make a task whose cases call a function.

        Args:
            prompt: The text that the policy reads.
            entry_point: The function to call.
            cases: ``(args, expected)`` pairs, or ``CallCase`` for keyword arguments and expected
                exceptions.
            task_id: Stable name.
            canonical_solution: A reference: a whole program, or the continuation of the prompt.
            metadata: Anything else, as JSON values.
            float_tolerance: Relative tolerance where a float is expected, absolute where 0.0 is.
            match: Comparison of values; see ``TestSuite``.
            site: What a data set's own grader does around a program; see ``TestSuite``.
            limits: Bounds of a run, and of each of its cases.

        Raises:
            TaskError: A case is not a pair, or holds a value that cannot cross the sandbox line.
        """
        return cls(
            task_id=task_id,
            prompt=prompt,
            entry_point=entry_point,
            tests=TestSuite.of_calls(
                cases, float_tolerance=float_tolerance, match=match, site=site, limits=limits
            ),
            canonical_solution=canonical_solution,
            metadata=_mapping(metadata),
        )

    @classmethod
    def from_assertions(
        cls,
        prompt: str,
        entry_point: str,
        test_code: str,
        setup_code: str = "",
        *,
        task_id: str = "task",
        canonical_solution: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        site: str = "",
        limits: Limits | None = None,
    ) -> "Task":
        """Make a task from test code: HumanEval's ``check(candidate)`` form or bare asserts.

        Each statement that asserts, at the top level or in the body of ``check``, is a case. If the
        prompt is code, the tests can use its other definitions.

        Args:
            prompt: The text that the policy reads.
            entry_point: The function the tests call.
            test_code: The trusted test program.
            setup_code: Trusted code that runs before it.
            task_id: Stable name.
            canonical_solution: A reference: a whole program, or the continuation of the prompt.
            metadata: Anything else, as JSON values.
            site: What a data set's own grader does around a program; see ``TestSuite``.
            limits: Bounds of a run, and of each of its cases.

        Raises:
            TaskError: The test code does not parse, or asserts nothing.
        """
        return cls(
            task_id=task_id,
            prompt=prompt,
            entry_point=entry_point,
            tests=TestSuite.of_assertions(test_code, setup_code, site=site, limits=limits),
            canonical_solution=canonical_solution,
            metadata=_mapping(metadata),
        )

    @classmethod
    def from_stdio(
        cls,
        prompt: str,
        cases: Sequence[StdioCase | tuple[str, str]],
        *,
        task_id: str = "task",
        canonical_solution: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        output_rule: OutputRule = "trailing",
        checker: str = "",
        site: str = "",
        limits: Limits | None = None,
    ) -> "Task":
        """Make a task whose cases are pairs of standard input and expected output.

        Args:
            prompt: The text that the policy reads.
            cases: ``(stdin, expected_stdout)`` pairs, or ``StdioCase``.
            task_id: Stable name.
            canonical_solution: A whole reference program.
            metadata: Anything else, as JSON values.
            output_rule: Comparison of printed text; see ``TestSuite``.
            checker: Code that decides where several outputs are right; see ``TestSuite``.
            site: What a data set's own grader does around a program; see ``TestSuite``.
            limits: Bounds of a run, and of each of its cases.

        Raises:
            TaskError: A case is not a pair of texts, or there is no case.
        """
        return cls(
            task_id=task_id,
            prompt=prompt,
            entry_point="",
            tests=TestSuite.of_stdio(
                cases, output_rule=output_rule, checker=checker, site=site, limits=limits
            ),
            canonical_solution=canonical_solution,
            metadata=_mapping(metadata),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON values; ``from_json`` is its inverse.

        Raises:
            TaskError: A case holds a value that cannot cross the sandbox line, or the metadata
                are not JSON.
        """
        try:
            json.dumps(self.metadata, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise TaskError(
                f"not JSON ({error})",
                field="metadata",
                value=self.metadata,
                expected="texts, finite numbers, booleans, null, lists and dictionaries of these",
            ) from None
        row = {
            "task_id": self.task_id,
            "prompt": self.prompt,
            "entry_point": self.entry_point,
            "tests": self.tests.to_json(),
            "canonical_solution": self.canonical_solution,
            "metadata": dict(self.metadata),
        }
        hidden = self.hidden_tests
        return row if hidden is None else row | {"hidden_tests": hidden.to_json()}

    @classmethod
    def from_json(
        cls, row: Mapping[str, Any], *, path: str | None = None, line: int | None = None
    ) -> "Task":
        """Read what ``to_json`` wrote.

        Args:
            row: The JSON object.
            path: File of the object, for the error message.

            line: Line of that file, counted from 1.

        Raises:
            TaskError: A field is missing, unknown or of the wrong type.
        """
        try:
            return cls._read(row)
        except TaskError as error:
            raise error.at(path=path, line=line) from None

    @classmethod
    def _read(cls, row: Mapping[str, Any]) -> "Task":
        if not isinstance(row, Mapping):
            raise TaskError("a task is not a JSON object", value=row)
        for name in row:
            if name not in cls.__slots__:
                raise TaskError(
                    "unknown field", field=name, expected="one of " + ", ".join(cls.__slots__)
                )
        metadata = row.get("metadata") or {}
        if not isinstance(metadata, Mapping):
            raise TaskError("not a JSON object", field="metadata", value=metadata)
        return cls(
            task_id=take(row, "task_id", str),
            prompt=take(row, "prompt", str),
            entry_point=take(row, "entry_point", str),
            tests=TestSuite.from_json(take(row, "tests", Mapping)),
            canonical_solution=row.get("canonical_solution"),
            metadata=dict(metadata),
            hidden_tests=None
            if row.get("hidden_tests") is None
            else TestSuite.from_json(take(row, "hidden_tests", Mapping)),
        )

    def __str__(self) -> str:
        return json.dumps(self.to_json(), ensure_ascii=False)


@lru_cache(maxsize=1024)
def _continues(entry_point: str, prompt: str) -> bool:
    head = rf"^(?:async\s+)?(?:def|class)\s+{re.escape(entry_point)}\b"
    return bool(entry_point) and bool(re.search(head, prompt, re.MULTILINE))


_KINDS: dict[str, type] = {
    "task_id": str,
    "prompt": str,
    "entry_point": str,
    "tests": TestSuite,
    "metadata": Mapping,
}


def _mapping(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TaskError("not a JSON object", field="metadata", value=metadata)
    return dict(metadata or {})
