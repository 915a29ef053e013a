"""TestSuite: the ordered checks of a task, all in one of three forms."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, ClassVar, Literal, get_args

from codegym.errors import ConfigError, TaskError
from codegym.sandbox.inside.sites import SITES
from codegym.sandbox.limits import Limits
from codegym.tasks.cases import (
    AssertionCase,
    CallCase,
    StdioCase,
    TestCase,
    call_case,
    call_from_json,
    call_to_json,
    refuse_unknown,
    stdio_case,
    take,
)

Form = Literal["call", "stdio", "assertion"]
Match = Literal["python", "strict", "livecodebench", "apps", "apps_rltf"]
OutputRule = Literal["trailing", "exact", "tokens", "decimals", "allclose", "numbers", "apps_rltf"]
_FIELDS: dict[str, tuple[str, ...]] = {
    "call": ("cases", "float_tolerance", "match"),
    "stdio": ("cases", "output_rule", "checker"),
    "assertion": ("setup_code", "test_code"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSuite:
    """The ordered checks of a task.

    Attributes:
        form: Form of all cases.
        cases: The checks, in the order they run.
        setup_code: Trusted code run before ``test_code``, in the judge's sandbox (assertion form).
        test_code: The whole trusted test program (assertion form).
        check: Name of the function in ``test_code`` that takes the candidate, or "" for bare
            assertions (assertion form).
        float_tolerance: Relative tolerance where a float is expected, absolute where 0.0 is (call
            form).
        match: Comparison of values (call form): ``python`` is Python's ``==`` on plain values,
            ``strict`` wants the same types, the others are the rules of data sets.
        output_rule: Comparison of printed text (stdio form): ``trailing`` ignores white space at
            line ends and at the end, ``exact`` ignores nothing, ``tokens`` splits at any white
            space; ``decimals``, ``allclose``, ``numbers`` and ``apps_rltf`` are the rules of data
            sets. docs/grader.md describes all rules.
        checker: Trusted code that defines ``check(stdin, output, expected)``, which returns
            whether a printed output is right where several are; "" compares by ``output_rule``
            (stdio form).
        site: What a data set's own grader does around a program: the imports that it adds, the
            digits that it allows; a name of ``codegym.sandbox.inside.sites.SITES``, "" for nothing.
        limits: Bounds of a run of a program: of each case, and of the whole run. They also say
            whether the run stops at the first failure. The bound on output is raised to twice the
            expected output.
    """

    __test__: ClassVar[bool] = False
    form: Form
    cases: tuple[TestCase, ...]
    setup_code: str = ""
    test_code: str = ""
    check: str = ""
    float_tolerance: float = 1e-9
    match: Match = "python"
    output_rule: OutputRule = "trailing"
    checker: str = ""
    site: str = ""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        _known("site", self.site, list(SITES))

    def __len__(self) -> int:
        return len(self.cases)

    @classmethod
    def of_calls(
        cls,
        cases: Sequence[CallCase | tuple[Sequence[Any], Any]],
        *,
        float_tolerance: float = 1e-9,
        match: Match = "python",
        site: str = "",
        limits: Limits | None = None,
    ) -> "TestSuite":
        """Make a suite whose cases call the entry point; see ``Task.from_calls``."""
        is_number = isinstance(float_tolerance, int | float)
        if isinstance(float_tolerance, bool) or not is_number or not 0 <= float_tolerance < inf:
            raise TaskError(
                "unusable", field="float_tolerance", value=float_tolerance, expected="a number >= 0"
            )
        _known("match", match, get_args(Match))
        made = tuple(call_case(case, number) for number, case in enumerate(_listed(cases)))
        return cls(
            form="call",
            cases=_some(made),
            float_tolerance=float_tolerance,
            match=match,
            site=site,
            limits=_limits(limits),
        )

    @classmethod
    def of_stdio(
        cls,
        cases: Sequence[StdioCase | tuple[str, str]],
        *,
        output_rule: OutputRule = "trailing",
        checker: str = "",
        site: str = "",
        limits: Limits | None = None,
    ) -> "TestSuite":
        """Make a suite whose cases feed standard input; see ``Task.from_stdio``."""
        _known("output_rule", output_rule, get_args(OutputRule))
        made = tuple(stdio_case(case, number) for number, case in enumerate(_listed(cases)))
        return cls(
            form="stdio",
            cases=_some(made),
            output_rule=output_rule,
            checker=_checker(checker),
            site=site,
            limits=_limits(limits),
        )

    @classmethod
    def of_assertions(
        cls,
        test_code: str,
        setup_code: str = "",
        *,
        site: str = "",
        limits: Limits | None = None,
    ) -> "TestSuite":
        """Make a suite of test code; see ``Task.from_assertions``."""
        for name, text in (("setup_code", setup_code), ("test_code", test_code)):
            if not isinstance(text, str):
                raise TaskError(
                    "wrong type",
                    field=name,
                    value=text,
                    expected="text",
                    cure='join several assertions with "\\n"',
                )
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise TaskError(f"{name} does not parse: {error}", field=name) from None
        checks = [
            node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"
        ]
        lines = test_code.encode().splitlines(keepends=True)
        cases = tuple(
            AssertionCase(code=_source(lines, node))
            for node in (checks[-1].body if checks else tree.body)
            if any(isinstance(inner, ast.Assert) for inner in ast.walk(node))
            and not isinstance(node, ast.FunctionDef | ast.ClassDef)
        )
        return cls(
            form="assertion",
            cases=_some(cases),
            setup_code=setup_code,
            test_code=test_code,
            check="check" if checks else "",
            site=site,
            limits=_limits(limits),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the suite as JSON values; ``from_json`` is its inverse.

        Raises:
            TaskError: A case holds a value that cannot cross the sandbox line.
        """
        row: dict[str, Any] = {"form": self.form, "limits": _fields(self.limits)}
        row |= {"site": self.site} if self.site else {}
        if self.form == "assertion":
            return row | {"setup_code": self.setup_code, "test_code": self.test_code}
        if self.form == "stdio":
            cases = [_fields(case) for case in self.cases]
            row |= {"checker": self.checker} if self.checker else {}
            return row | {"output_rule": self.output_rule, "cases": cases}
        cases = [call_to_json(case, number) for number, case in enumerate(self.cases)]
        row |= {} if self.match == "python" else {"match": self.match}
        return row | {"float_tolerance": self.float_tolerance, "cases": cases}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "TestSuite":
        """Read what ``to_json`` wrote.

        Raises:
            TaskError: A field is missing, unknown or of the wrong type.
        """
        form = take(row, "form", str, "tests.form")
        if form not in _FIELDS:
            raise TaskError(
                "unknown form of test",
                field="tests.form",
                value=form,
                expected=", ".join(get_args(Form)),
            )
        refuse_unknown(row, ("form", "limits", "site", *_FIELDS[form]), "tests")
        try:
            limits = Limits(**row.get("limits", {}))
        except (ConfigError, TypeError) as error:
            raise TaskError(str(error), field="tests.limits") from None
        if form == "assertion":
            setup = take(row, "setup_code", str, "tests.setup_code") if "setup_code" in row else ""
            return cls.of_assertions(
                take(row, "test_code", str, "tests.test_code"),
                setup,
                site=row.get("site", ""),
                limits=limits,
            )
        cases, site = take(row, "cases", list, "tests.cases"), row.get("site", "")
        if form == "stdio":
            pairs = [
                (
                    take(case, "stdin", str, f"tests.cases[{number}].stdin"),
                    take(case, "expected_stdout", str, f"tests.cases[{number}].expected_stdout"),
                )
                for number, case in enumerate(cases)
            ]
            return cls.of_stdio(
                pairs,
                output_rule=row.get("output_rule", "trailing"),
                checker=row.get("checker", ""),
                site=site,
                limits=limits,
            )
        return cls.of_calls(
            [call_from_json(case, number) for number, case in enumerate(cases)],
            float_tolerance=row.get("float_tolerance", 1e-9),
            match=row.get("match", "python"),
            site=site,
            limits=limits,
        )


def _source(lines: Sequence[bytes], node: ast.stmt) -> str:
    """Return a statement's text; syntax trees count columns in bytes."""
    last = node.end_lineno or node.lineno
    part = list(lines[node.lineno - 1 : last])
    part[-1] = part[-1][: node.end_col_offset]
    part[0] = part[0][node.col_offset :]
    return b"".join(part).decode()


def _checker(code: str) -> str:
    """Return a checker's code, once it is known to define ``check``."""
    if not code:
        return ""
    expected = "code that defines check(stdin, output, expected)"
    if not isinstance(code, str):
        raise TaskError("wrong type", field="checker", value=code, expected=expected)
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise TaskError(f"the checker does not parse: {error}", field="checker") from None
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in body):
        raise TaskError("the checker defines no check", field="checker", expected=expected)
    return code


def _known(field_name: str, value: Any, names: Sequence[str]) -> None:
    if value not in names:
        text = f"unknown {field_name.replace('_', ' ')}"
        raise TaskError(text, field=field_name, value=value, expected=", ".join(names))


def _listed(cases: Any) -> Iterable[Any]:
    if isinstance(cases, str | bytes | Mapping) or not isinstance(cases, Iterable):
        raise TaskError(
            "the cases are not a list", field="cases", value=cases, expected="a list of cases"
        )
    return cases


def _limits(limits: Limits | None) -> Limits:
    if limits is None:
        return Limits()
    if not isinstance(limits, Limits):
        raise TaskError("wrong type", field="limits", value=limits, expected="codegym.Limits(...)")
    return limits


def _some(cases: tuple[Any, ...]) -> tuple[Any, ...]:
    if not cases:
        raise TaskError(
            "a task without tests would accept every program",
            field="tests",
            expected="at least one case; in test code, an assert statement at the top level or in "
            "the body of check(candidate)",
        )
    return cases


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
