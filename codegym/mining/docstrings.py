"""Docstrings: reads parameter types and example calls from docstrings of several styles.

The styles are numpy (``name : int``), Google (``name (int): ...``), Sphinx (``:param int name:``,
``:type name:``) and Epydoc (``@type name:``); doctests give the arguments of example calls.
"""

import ast
import doctest
import re
from typing import Any

_NUMPY = re.compile(r"^\s*\*{0,2}(\w+)\s*:\s*([^\n]+)$")
_GOOGLE = re.compile(r"^\s*\*{0,2}(\w+)\s*\(([^)\n]+)\)\s*:")
_SPHINX = re.compile(r"[:@]param\s+([\w\[\], .|]+?)\s+\*{0,2}(\w+)\s*:")
_TYPE = re.compile(r"[:@]type\s+\*{0,2}(\w+)\s*:\s*([^\n]+)")
_PARSER = doctest.DocTestParser()
_WORDS: dict[str, Any] = {
    "int": "int", "integer": "int", "integers": "int", "ints": "int", "long": "int",
    "float": "float", "floats": "float", "double": "float", "real": "float",
    "number": "number", "numbers": "number", "numeric": "number", "scalar": "number",
    "str": "str", "string": "str", "strings": "str", "strs": "str", "text": "str",
    "unicode": "str", "char": "str", "character": "str", "basestring": "str",
    "bool": "bool", "boolean": "bool", "bools": "bool", "bytes": "bytes", "bytestring": "bytes",
    "list": ["list", "any"], "lists": ["list", "any"], "sequence": ["sequence", "any"],
    "iterable": ["iterable", "any"], "array": ["list", "any"], "collection": ["list", "any"],
    "array_like": ["list", "number"], "tuple": ["tuples", "any"], "tuples": ["tuples", "int"],
    "dict": ["dict", "str", "any"], "dictionary": ["dict", "str", "any"],
    "mapping": ["dict", "str", "any"], "set": ["set", "any"], "iterator": ["iterator", "any"],
    "none": "none", "object": "any", "any": "any", "mixed": "any", "anything": "any",
    "callable": "callable", "function": "callable", "complex": "complex", "decimal": "decimal",
    "date": "date", "datetime": "datetime", "timedelta": "timedelta", "fraction": "fraction",
}  # fmt: skip


def documented_types(docstring: str) -> dict[str, Any]:
    """Return the types that a docstring gives to parameters: name -> type, as in ``inside``."""
    found: dict[str, Any] = {}
    for pattern, name_at, type_at in (
        (_TYPE, 1, 2), (_SPHINX, 2, 1), (_GOOGLE, 1, 2), (_NUMPY, 1, 2)
    ):  # fmt: skip
        matches = (
            (match for line in docstring.split("\n") if (match := pattern.match(line)))
            if pattern in (_GOOGLE, _NUMPY)
            else pattern.finditer(docstring)
        )
        for match in matches:
            spec = read_type(match[type_at])
            if spec is not None:
                found.setdefault(match[name_at], spec)
    return found


def read_type(text: str) -> Any:
    """Return the type that a few words describe; None if they describe no type.

    Example:
        >>> read_type("list of int, optional")
        ['list', 'int']
        >>> read_type("int or None")
        ['union', 'int', 'none']
    """
    text = re.sub(r"\boptional\b|\bdefault\b.*|[`.]|\ban?\b|\bthe\b", " ", text.lower()).strip(
        " ,;:"
    )
    parts = [part.strip() for part in re.split(r"\bor\b|\||/", text) if part.strip()]
    if not 1 <= len(parts) <= 4:
        return None
    specs = [_read_part(part) for part in parts]
    if any(spec is None for spec in specs):
        return None
    return specs[0] if len(specs) == 1 else ["union", *specs]


def _read_part(text: str) -> Any:
    nested = re.fullmatch(r"(\w+)\s*(?:of|\[)\s*(\w+)\]?s?", text)
    if nested and nested[1] in _WORDS and isinstance(_WORDS[nested[1]], list):
        head, inner = _WORDS[nested[1]][0], _WORDS.get(nested[2])
        if inner is not None:
            return ["dict", "str", inner] if head == "dict" else [head, inner]
    words = re.findall(r"\w+", text)
    if len(words) == 2 and words[0] in ("positive", "non", "nonnegative", "single", "input"):
        words = words[1:]
    return _WORDS.get(words[0]) if len(words) == 1 else None


def examples_of(docstring: str, name: str) -> list[str]:
    """Return the argument lists, as text, of a function's calls in doctests.

    Args:
        docstring: Docstring of the function or of its module.
        name: Name of the function.
    """
    try:
        examples = _PARSER.get_examples(docstring)
    except ValueError:
        return []
    found: dict[str, None] = {}
    for example in examples:
        try:
            tree = ast.parse(example.source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node.func) == name:
                parts = [ast.unparse(arg) for arg in node.args]
                parts += [
                    f"{keyword.arg}={ast.unparse(keyword.value)}"
                    if keyword.arg
                    else f"**{ast.unparse(keyword.value)}"
                    for keyword in node.keywords
                ]
                found[", ".join(parts)] = None
    return list(found)


def example_literals(docstring: str, *, most: int = 30) -> list[int | float | str]:
    """Return the numbers and short texts in the doctests of a docstring."""
    try:
        examples = _PARSER.get_examples(docstring)
    except ValueError:
        return []
    found: dict[tuple[str, object], int | float | str] = {}
    for example in examples:
        try:
            tree = ast.parse(example.source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, int | float | str) and not isinstance(value, bool):
                if not isinstance(value, str) or len(value) <= 60:
                    found[type(value).__name__, value] = value
    return list(found.values())[:most]


def _called(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
