"""Cases: single checks in one of three forms, and their conversion from rows and pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from codegym.errors import TaskError
from codegym.sandbox import wire

_UNCHANGING = frozenset({int, str, bool, float, type(None), bytes})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCase:
    """A check that calls the entry point and compares the returned value or the exception.

    Attributes:
        args: Positional arguments, plain values.
        kwargs: Keyword arguments, plain values.
        expected: The value that it must return; unused if ``raises`` is set.
        raises: The exception that it must raise instead, as a name or a class; "" for none.
    """

    __test__: ClassVar[bool] = False
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    expected: Any = None
    raises: str | type[BaseException] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioCase:
    """A check that runs the program with ``stdin`` and compares its output."""

    __test__: ClassVar[bool] = False
    stdin: str
    expected_stdout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionCase:
    """An assertion of the suite's test code, as source text for readers."""

    __test__: ClassVar[bool] = False
    code: str


TestCase = CallCase | StdioCase | AssertionCase


def call_case(case: CallCase | tuple[Sequence[Any], Any], number: int) -> CallCase:
    """Return a checked copy of a case, from a case or a pair (args, expected).

    Raises:
        TaskError: It is neither, or a value cannot cross the sandbox line; names case ``number``.
    """
    args: Sequence[Any]
    kwargs: Mapping[str, Any] = {}
    raises: str | type[BaseException] = ""
    if isinstance(case, CallCase):
        _check_call(case, f"cases[{number}]")
        args, kwargs, expected, raises = case.args, case.kwargs, case.expected, case.raises
    else:
        args, expected = _pair(case, number)
    try:
        return CallCase(
            args=tuple([_crossed(value) for value in args]),
            kwargs={name: _crossed(value) for name, value in kwargs.items()} if kwargs else {},
            expected=_crossed(expected),
            raises=_exception_name(raises) if raises else "",
        )
    except wire.UnencodableError as error:
        exception = _is_exception(expected)
        raise TaskError(
            "a value cannot cross the sandbox line",
            field=f"cases[{number}]",
            value=str(error),
            cure="CallCase(args=..., raises='ValueError') for an exception"
            if exception
            else "use plain values, or an assertion test",
        ) from None


def _pair(case: Any, number: int) -> tuple[Sequence[Any], Any]:
    if not isinstance(case, (tuple, list)) or len(case) != 2:
        raise TaskError(
            "a case is not a pair",
            field=f"cases[{number}]",
            value=case,
            expected="(args, expected), or CallCase(...)",
        )
    args, expected = case
    if not isinstance(args, (tuple, list)):
        raise TaskError(
            "the arguments of a case are not a sequence",
            field=f"cases[{number}]",
            value=args,
            expected="a tuple of positional arguments, such as (3,)",
        )
    return args, expected


def _is_exception(value: Any) -> bool:
    return isinstance(value, BaseException) or _is_exception_class(value)


def _is_exception_class(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _exception_name(raises: str | type[BaseException]) -> str:
    return raises if isinstance(raises, str) else raises.__name__


def _crossed(value: Any) -> Any:
    """Return a value as the sandbox sees it: a copy that nothing else can change."""
    kind = type(value)
    if kind in _UNCHANGING:
        return value
    # Most cases hold flat lists; a copy equals the result of encoding and decoding.
    if kind is list and _UNCHANGING.issuperset(map(type, value)):
        return value.copy()
    return wire.decode(wire.encode(value))


def _check_call(case: CallCase, where: str) -> None:
    named = isinstance(case.kwargs, Mapping) and all(isinstance(name, str) for name in case.kwargs)
    raising = _is_exception_class(case.raises) or (
        isinstance(case.raises, str) and case.raises.replace(".", "_").isidentifier()
    )
    for name, value, is_right, expected in (
        ("args", case.args, isinstance(case.args, tuple | list), "a tuple, such as (3,)"),
        ("kwargs", case.kwargs, named, "a dictionary of parameter names and values"),
        (
            "raises",
            case.raises,
            raising or case.raises == "",
            "the name of an exception, such as 'ValueError', or its class",
        ),
        ("expected", case.expected, not case.raises or case.expected is None, "raises, or this"),
    ):
        if not is_right:
            raise TaskError("unusable", field=f"{where}.{name}", value=value, expected=expected)


def stdio_case(case: StdioCase | tuple[str, str], number: int) -> StdioCase:
    """Return a checked case, from a case or a pair (stdin, expected_stdout).

    Raises:
        TaskError: It is neither; names case ``number``.
    """
    if not isinstance(case, StdioCase):
        if not isinstance(case, tuple | list) or len(case) != 2:
            raise TaskError(
                "a case is not a pair",
                field=f"cases[{number}]",
                value=case,
                expected="(stdin, expected_stdout)",
            )
        case = StdioCase(stdin=case[0], expected_stdout=case[1])
    if not isinstance(case.stdin, str) or not isinstance(case.expected_stdout, str):
        raise TaskError(
            "a stdio case is not text",
            field=f"cases[{number}]",
            value=case,
            expected="(stdin, expected_stdout), both str",
        )
    return case


def call_to_json(case: Any, number: int) -> dict[str, Any]:
    """Return a call case as JSON values; ``call_from_json`` is its inverse.

    Raises:
        TaskError: A value cannot cross the sandbox line; names case ``number``.
    """
    try:
        row: dict[str, Any] = {"args": [wire.encode(value) for value in case.args]}
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


def call_from_json(row: Any, number: int) -> CallCase:
    """Read what ``call_to_json`` wrote.

    Raises:
        TaskError: A field is missing, unknown or unreadable; names case ``number``.
    """
    where = f"tests.cases[{number}]"
    args = take(row, "args", list, f"{where}.args")
    refuse_unknown(row, ("args", "kwargs", "expected", "raises"), where)
    kwargs = take(row, "kwargs", Mapping, f"{where}.kwargs") if "kwargs" in row else {}
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


def take(row: Any, name: str, kind: type[Any], field_name: str = "") -> Any:
    """Return a field of a JSON object.

    Raises:
        TaskError: The field is missing or of another type.
    """
    if not isinstance(row, Mapping) or name not in row:
        raise TaskError("missing", field=field_name or name)
    value = row[name]
    if not isinstance(value, kind):
        raise TaskError(
            "wrong type", field=field_name or name, value=value, expected=f"a {kind.__name__}"
        )
    return value


def refuse_unknown(row: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Raise TaskError if a JSON object, called ``where``, has an unknown field."""
    for name in row:
        if name not in known:
            raise TaskError(
                "unknown field", field=f"{where}.{name}", expected="one of " + ", ".join(known)
            )
