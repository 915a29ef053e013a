"""Task: one problem, frozen, with its tests; and the three forms a test case can take.

A task knows how a policy's text becomes a whole program (``Task.program``) but runs nothing.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from codegym import wire
from codegym.errors import TaskError
from codegym.limits import Limits

Form = Literal["call", "stdio", "assertion"]
OutputRule = Literal["trailing", "exact", "tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCase:
    """Call the entry point and compare what it returns or raises.

    Attributes:
        args: Positional arguments, plain values.
        kwargs: Keyword arguments, plain values.
        expected: The value it must return; unused when ``raises`` is set.
        raises: Name of the exception it must raise instead, or "".
    """

    __test__: ClassVar[bool] = False
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    expected: Any = None
    raises: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioCase:
    """Run the program with ``stdin`` and compare what it prints."""

    __test__: ClassVar[bool] = False
    stdin: str
    expected_stdout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionCase:
    """One assertion of the suite's test code: its source text, for people to read."""

    __test__: ClassVar[bool] = False
    code: str


TestCase = CallCase | StdioCase | AssertionCase


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSuite:
    """The ordered checks of one task.

    Attributes:
        form: Which of the three forms all cases have.
        cases: The checks, in the order they run.
        setup_code: Trusted code run before ``test_code``, in the judge's sandbox (assertion form).
        test_code: The whole trusted test program (assertion form).
        check: Name of the function in ``test_code`` that takes the candidate, or "" for bare
            assertions (assertion form).
        float_tolerance: Relative tolerance between floats (call form).
        output_rule: How printed text is compared (stdio form): ``trailing`` ignores white space
            at line ends and at the end, ``exact`` ignores nothing, ``tokens`` splits at any white
            space.
        limits: Bounds of one run of one program over all cases.
    """

    __test__: ClassVar[bool] = False
    form: Form
    cases: tuple[TestCase, ...]
    setup_code: str = ""
    test_code: str = ""
    check: str = ""
    float_tolerance: float = 1e-9
    output_rule: OutputRule = "trailing"
    limits: Limits = field(default_factory=Limits)

    def __len__(self) -> int:
        return len(self.cases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One problem: what a policy reads, and how its program is checked.

    Attributes:
        task_id: Stable name, unique in its source.
        prompt: What the policy is shown: the head of a program, or plain text.
        entry_point: The function the tests call; "" for stdio tasks.
        tests: The checks.
        canonical_solution: A reference, in the data set's own convention: a whole program or the
            continuation of the prompt; ``program`` accepts both. None where there is none.
        metadata: Anything else: topic, depth, licence, origin. JSON values.
    """

    task_id: str
    prompt: str
    entry_point: str
    tests: TestSuite
    canonical_solution: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def prompt_is_code(self) -> bool:
        """Whether the prompt is the head of the program, which a policy continues."""
        name = re.escape(self.entry_point)
        head = rf"^(?:async\s+)?(?:def|class)\s+{name}\b"
        return bool(self.entry_point) and bool(re.search(head, self.prompt, re.MULTILINE))

    def program(self, text: str) -> str:
        r"""Return the whole program that a policy's text stands for.

        Text that starts with the prompt, or that defines the entry point itself at the left
        margin, is a whole program and is returned unchanged; where the prompt is code, any other
        text continues it. Line numbers in a Verdict count in the returned program.

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
        limits: Limits | None = None,
    ) -> "Task":
        """Make a task whose cases call a function.

        Args:
            prompt: What the policy is shown.
            entry_point: The function to call.
            cases: ``(args, expected)`` pairs, or ``CallCase`` for keyword arguments and expected
                exceptions.
            task_id: Stable name.
            canonical_solution: A reference: a whole program, or the continuation of the prompt.
            metadata: Anything else, as JSON values.
            float_tolerance: Relative tolerance between floats.
            limits: Bounds of one run over all cases.

        Raises:
            TaskError: A case is not a pair, or holds a value that cannot cross the sandbox line.
        """
        if not entry_point.isidentifier():
            raise TaskError(
                "no function to call",
                field="entry_point",
                value=entry_point,
                expected="the name of a function",
            )
        made = tuple(_call_case(case, number) for number, case in enumerate(cases))
        suite = TestSuite(
            form="call",
            cases=_some(made),
            float_tolerance=float_tolerance,
            limits=limits or Limits(),
        )
        return cls(
            task_id=task_id,
            prompt=prompt,
            entry_point=entry_point,
            tests=suite,
            canonical_solution=canonical_solution,
            metadata=dict(metadata or {}),
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
        limits: Limits | None = None,
    ) -> "Task":
        """Make a task from test code: HumanEval's ``check(candidate)`` form or bare asserts.

        Each statement that asserts, at the top level or in the body of ``check``, is one case.
        Where the prompt is code, what else it defines is at hand to the tests.

        Args:
            prompt: What the policy is shown.
            entry_point: The function the tests call.
            test_code: The trusted test program.
            setup_code: Trusted code that runs before it.
            task_id: Stable name.
            canonical_solution: A reference: a whole program, or the continuation of the prompt.
            metadata: Anything else, as JSON values.
            limits: Bounds of one run over all cases.

        Raises:
            TaskError: The test code does not parse, or asserts nothing.
        """
        for name, text in (("setup_code", setup_code), ("test_code", test_code)):
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError) as error:
                raise TaskError(f"{name} does not parse: {error}", field=name) from None
        found = [
            node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"
        ]
        body = found[-1].body if found else tree.body
        cases = tuple(
            AssertionCase(code=ast.get_source_segment(test_code, node) or ast.unparse(node))
            for node in body
            if any(isinstance(inner, ast.Assert) for inner in ast.walk(node))
            and not isinstance(node, ast.FunctionDef | ast.ClassDef)
        )
        suite = TestSuite(
            form="assertion",
            cases=_some(cases),
            setup_code=setup_code,
            test_code=test_code,
            check="check" if found else "",
            limits=limits or Limits(),
        )
        return cls(
            task_id=task_id,
            prompt=prompt,
            entry_point=entry_point,
            tests=suite,
            canonical_solution=canonical_solution,
            metadata=dict(metadata or {}),
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
        limits: Limits | None = None,
    ) -> "Task":
        """Make a task whose cases are pairs of standard input and expected output.

        Args:
            prompt: What the policy is shown.
            cases: ``(stdin, expected_stdout)`` pairs, or ``StdioCase``.
            task_id: Stable name.
            canonical_solution: A whole reference program.
            metadata: Anything else, as JSON values.
            output_rule: How printed text is compared; see ``TestSuite``.
            limits: Bounds of one run over all cases.

        Raises:
            TaskError: A case is not a pair of texts, or there is none.
        """
        for number, case in enumerate(cases):
            if not isinstance(case, StdioCase) and len(case) != 2:
                raise TaskError(
                    "a case is not a pair",
                    field=f"cases[{number}]",
                    value=case,
                    expected="(stdin, expected_stdout)",
                )
        made = tuple(
            case
            if isinstance(case, StdioCase)
            else StdioCase(stdin=case[0], expected_stdout=case[1])
            for case in cases
        )
        for number, case in enumerate(made):
            if not isinstance(case.stdin, str) or not isinstance(case.expected_stdout, str):
                raise TaskError(
                    "a stdio case is not text",
                    field=f"cases[{number}]",
                    value=case,
                    expected="(stdin, expected_stdout), both str",
                )
        suite = TestSuite(
            form="stdio", cases=_some(made), output_rule=output_rule, limits=limits or Limits()
        )
        return cls(
            task_id=task_id,
            prompt=prompt,
            entry_point="",
            tests=suite,
            canonical_solution=canonical_solution,
            metadata=dict(metadata or {}),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON values; ``from_json`` is its inverse.

        Raises:
            TaskError: A case holds a value that cannot cross the sandbox line.
        """
        suite = self.tests
        tests: dict[str, Any] = {"form": suite.form, "limits": _fields(suite.limits)}
        if suite.form == "call":
            tests["float_tolerance"] = suite.float_tolerance
            tests["cases"] = [_case_to_json(case, i) for i, case in enumerate(suite.cases)]
        elif suite.form == "stdio":
            tests["output_rule"] = suite.output_rule
            tests["cases"] = [_fields(case) for case in suite.cases]
        else:
            tests |= {"setup_code": suite.setup_code, "test_code": suite.test_code}
        return {
            "task_id": self.task_id,
            "prompt": self.prompt,
            "entry_point": self.entry_point,
            "tests": tests,
            "canonical_solution": self.canonical_solution,
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_json(
        cls, row: Mapping[str, Any], *, path: str | None = None, line: int | None = None
    ) -> "Task":
        """Read what ``to_json`` wrote.

        Args:
            row: The JSON object.
            path: File it came from, for the error message.
            line: Line of that file, counted from 1.

        Raises:
            TaskError: A field is missing, unknown or of the wrong type.
        """
        try:
            return cls._read(row)
        except TaskError as error:
            raise TaskError(
                error.message, path=path, line=line, field=error.field, value=error.value
            ) from None

    @classmethod
    def _read(cls, row: Mapping[str, Any]) -> "Task":
        if not isinstance(row, Mapping):
            raise TaskError("a task is not a JSON object", value=row)
        for name in row:
            if name not in cls.__slots__:
                raise TaskError(
                    "unknown field", field=name, expected="one of " + ", ".join(cls.__slots__)
                )
        text = {name: _take(row, name, str) for name in ("task_id", "prompt", "entry_point")}
        tests = _take(row, "tests", Mapping)
        solution, metadata = row.get("canonical_solution"), row.get("metadata") or {}
        if solution is not None and not isinstance(solution, str):
            raise TaskError("not text", field="canonical_solution", value=solution)
        if not isinstance(metadata, Mapping):
            raise TaskError("not a JSON object", field="metadata", value=metadata)
        form = _take(tests, "form", str, "tests.form")
        limits = Limits(
            **_take(tests, "limits", Mapping, "tests.limits") if "limits" in tests else {}
        )
        rest: dict[str, Any] = {
            "task_id": text["task_id"],
            "metadata": metadata,
            "canonical_solution": solution,
            "limits": limits,
        }
        if form == "assertion":
            return cls.from_assertions(
                text["prompt"],
                text["entry_point"],
                _take(tests, "test_code", str, "tests.test_code"),
                tests.get("setup_code", ""),
                **rest,
            )
        cases = _take(tests, "cases", Sequence, "tests.cases")
        if form == "stdio":
            pairs = [
                (
                    _take(case, "stdin", str, f"tests.cases[{i}].stdin"),
                    _take(case, "expected_stdout", str, f"tests.cases[{i}].expected_stdout"),
                )
                for i, case in enumerate(cases)
            ]
            return cls.from_stdio(
                text["prompt"], pairs, output_rule=tests.get("output_rule", "trailing"), **rest
            )
        if form != "call":
            raise TaskError(
                "unknown form of test",
                field="tests.form",
                value=form,
                expected="call, stdio or assertion",
            )
        return cls.from_calls(
            text["prompt"],
            text["entry_point"],
            [_case_from_json(case, i) for i, case in enumerate(cases)],
            float_tolerance=tests.get("float_tolerance", 1e-9),
            **rest,
        )

    def __str__(self) -> str:
        return json.dumps(self.to_json(), ensure_ascii=False)


def _some(cases: tuple[Any, ...]) -> tuple[Any, ...]:
    if not cases:
        raise TaskError(
            "a task without tests would accept every program",
            field="tests",
            expected="at least one case",
        )
    return cases


def _call_case(case: CallCase | tuple[Sequence[Any], Any], number: int) -> CallCase:
    where = f"cases[{number}]"
    if not isinstance(case, CallCase):
        if not isinstance(case, tuple | list) or len(case) != 2:
            raise TaskError(
                "a case is not a pair",
                field=where,
                value=case,
                expected="(args, expected), or CallCase(...)",
            )
        args, expected = case
        if isinstance(args, str) or not isinstance(args, tuple | list):
            raise TaskError(
                "the arguments of a case are not a sequence",
                field=where,
                value=args,
                expected="a tuple of positional arguments, such as (3,)",
            )
        case = CallCase(args=tuple(args), expected=expected)
    return case


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _case_to_json(case: Any, number: int) -> dict[str, Any]:
    try:
        row = {"args": [wire.encode(value) for value in case.args]}
        if case.kwargs:
            row["kwargs"] = {name: wire.encode(value) for name, value in case.kwargs.items()}
        return row | (
            {"raises": case.raises} if case.raises else {"expected": wire.encode(case.expected)}
        )
    except wire.UnencodableError as error:
        raise TaskError(
            "a value cannot cross the sandbox line",
            field=f"cases[{number}]",
            value=str(error),
            cure="use plain values, or an assertion test",
        ) from None


def _case_from_json(row: Any, number: int) -> CallCase:
    where = f"tests.cases[{number}]"
    args = _take(row, "args", Sequence, f"{where}.args")
    kwargs = row.get("kwargs", {})
    if "raises" not in row and "expected" not in row:
        raise TaskError("missing", field=f"{where}.expected")
    try:
        return CallCase(
            args=tuple(wire.decode(value) for value in args),
            kwargs={name: wire.decode(value) for name, value in kwargs.items()},
            expected=wire.decode(row.get("expected")),
            raises=row.get("raises", ""),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise TaskError(f"not a wire value ({error})", field=where, value=row) from None


def _take(row: Any, name: str, kind: Any, field_name: str = "") -> Any:
    if not isinstance(row, Mapping) or name not in row:
        raise TaskError("missing", field=field_name or name)
    value = row[name]
    if not isinstance(value, kind) or (kind is Sequence and isinstance(value, str)):
        raise TaskError(
            "wrong type", field=field_name or name, value=value, expected=f"a {kind.__name__}"
        )
    return value
