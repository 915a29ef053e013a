"""Strict JSON: bodies of requests, checked before and after they are parsed."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from codegym.errors import UnknownNameError
from codegym.sandbox.inside.bounds import DEEPEST, too_deep
from codegym.service.refusals import Refused

_UNREADABLE = 400
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        Refused: The body is no JSON object in UTF-8, holds NaN, an infinity, an integer with
            thousands of digits or a lone surrogate, or is nested too deeply.
    """
    if too_deep(body):
        raise Refused(
            "the body is nested too deeply",
            status=_UNREADABLE,
            expected=f"at most {DEEPEST} levels",
        )
    try:
        tree = json.loads(body.decode(), parse_constant=_not_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(
            f"the body is not JSON ({str(error)[:100]})",
            status=_UNREADABLE,
            expected="a JSON object in UTF-8",
        ) from None
    if not isinstance(tree, dict):
        raise Refused("the body is not a JSON object", status=_UNREADABLE, value=_brief(tree))
    if _ESCAPED_SURROGATE.search(body):
        _refuse_surrogates(tree)
    return tree


def _not_finite(name: str) -> NoReturn:
    raise Refused("the body holds a number that is not finite", status=_UNREADABLE, value=name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _not_finite(text[:40])
    return value


def _refuse_surrogates(tree: Any) -> None:
    """Refuse a text that cannot be written as UTF-8, which an escape can hide."""
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refused(
            "a text of the body holds a lone surrogate",
            status=_UNREADABLE,
            expected="text that UTF-8 can hold",
        ) from None


def _brief(value: Any) -> str:
    """Return a value as a short text, however large it is."""
    if isinstance(value, str):
        return repr(value[:80])
    if isinstance(value, Sequence | Mapping):
        return f"a {type(value).__name__} of {len(value)}"
    return str(value)[:80]


def field(row: Mapping[str, Any], name: str, kind: type | tuple[type, ...], default: Any) -> Any:
    """Return a field of a JSON object, or its default; ``...`` says that there is none.

    Raises:
        Refused: The field is missing, or has another type; ``True`` is no number.
    """
    value = row.get(name, default)
    if value is ...:
        raise Refused(f"field {name!r} is missing", expected=_named(kind))
    right = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if not right and value is not default:
        raise Refused(
            f"field {name!r} has the wrong type", value=_brief(value), expected=_named(kind)
        )
    return value


def _named(kind: type | tuple[type, ...]) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    words = {str: "text", dict: "an object", list: "a list", bool: "true or false"}
    return " or ".join(dict.fromkeys(words.get(each, "a number") for each in kinds))


def refuse_unknown(row: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse an object with a field of an unknown name.

    Raises:
        UnknownNameError: Names the nearest known field.
    """
    for name in row:
        if name not in known:
            raise UnknownNameError(f"field of {where}", name[:80], known)
