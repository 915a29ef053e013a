"""Inference: finds the type of each parameter of a function, with the evidence for it.

Evidence in order of reliability: annotations, docstring, default values, doctests, uses in the
body, and the parameter's name by Python's conventions. A single parameter without evidence is tried
with values of every type. A wrong guess only costs failing inputs: the sandbox decides.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from codegym.mining.docstrings import documented_types, examples_of
from codegym.mining.module_tree import Module
from codegym.mining.parameter_uses import type_by_name, type_by_use
from codegym.mining.symbols import symbols_of

Spec = Any
_PLAIN: dict[str, Spec] = {
    "int": "int", "float": "float", "str": "str", "bool": "bool", "bytes": "bytes", "None": "none",
    "complex": "complex", "object": "any", "Any": "any", "Hashable": "any", "Text": "str",
    "AnyStr": "str", "LiteralString": "str", "Number": "number", "Real": "number",
    "Integral": "int", "SupportsInt": "int", "SupportsIndex": "int", "SupportsFloat": "number",
    "Decimal": "decimal", "Fraction": "fraction", "Rational": "fraction", "date": "date",
    "datetime": "datetime", "timedelta": "timedelta", "Callable": "callable", "bytearray": "bytes",
    "Buffer": "bytes", "ReadableBuffer": "bytes",
}  # fmt: skip
_CONTAINERS: dict[str, str] = {
    **dict.fromkeys(("list", "List", "MutableSequence", "deque"), "list"),
    **dict.fromkeys(("Sequence", "Sized", "Container", "Reversible", "Collection"), "sequence"),
    "Iterable": "iterable",
    **dict.fromkeys(("Iterator", "Generator"), "iterator"),
    **dict.fromkeys(("set", "Set", "AbstractSet", "MutableSet"), "set"),
    **dict.fromkeys(("frozenset", "FrozenSet"), "frozenset"),
    **dict.fromkeys(("dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "DefaultDict"),
                    "dict"),
    **dict.fromkeys(("tuple", "Tuple"), "tuple"),
}  # fmt: skip


class UntypedError(Exception):
    """The type of a parameter is unknown; the message names the parameter."""


@dataclass(slots=True)
class Signature:
    """The types of a function's parameters, as ``inside.samplers`` writes them.

    Attributes:
        params: Type of each positional parameter.
        required: Number of positional parameters without a default.
        rest: Type of ``*args``, or None.
        keywords: Keyword-only parameters: name -> (type, whether it is required).
        evidence: Parameter -> kind of evidence for its type.
    """

    params: list[Spec] = field(default_factory=list)
    required: int = 0
    rest: Spec = None
    keywords: dict[str, tuple[Spec, bool]] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)


def infer(module: Module, node: ast.FunctionDef) -> Signature:
    """Return the types of a function's parameters.

    Raises:
        UntypedError: The type of a required parameter is unknown.
    """
    docs = ast.get_docstring(node) or ""
    documented = documented_types(docs)
    examples = _example_types(module, node, docs)
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    first_default = len(positional) - len(args.defaults)
    found = Signature()
    for place, arg in enumerate(positional):
        default = args.defaults[place - first_default] if place >= first_default else None
        spec, evidence = _type_of(module, node, arg, default, documented, examples)
        unknown = spec is None and default is None and arg.annotation is None
        if unknown and "trial" not in found.evidence.values():
            spec, evidence = "any", "trial"
        if spec is None:
            if default is None:
                raise UntypedError(arg.arg)
            break  # this parameter and those after it keep their defaults
        found.params.append(spec)
        found.required += default is None
        found.evidence[arg.arg] = evidence
    if args.vararg is not None and len(found.params) == len(positional):
        spec, evidence = _type_of(module, node, args.vararg, None, documented, examples)
        if spec is not None:
            found.rest = spec
            found.evidence[args.vararg.arg] = evidence
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        spec, evidence = _type_of(module, node, arg, default, documented, examples)
        if spec is not None:
            found.keywords[arg.arg] = (spec, default is None)
            found.evidence[arg.arg] = evidence
        elif default is None:
            raise UntypedError(arg.arg)
    if not found.params and not found.keywords and found.rest is None:
        raise UntypedError("no parameters")
    return found


def _type_of(
    module: Module,
    node: ast.FunctionDef,
    arg: ast.arg,
    default: ast.expr | None,
    documented: Mapping[str, Spec],
    examples: Mapping[str, list[Spec]],
) -> tuple[Spec, str]:
    name = arg.arg
    if arg.annotation is not None:
        spec = read_annotation(arg.annotation, module)
        if spec not in (None, "any"):
            return spec, "annotation"
    if name in documented:
        return documented[name], "docstring"
    if default is not None:
        spec = _literal_type(default)
        if spec not in (None, "none"):
            return spec, "default"
    if name in examples:
        return _joined(examples[name]), "doctest"
    if arg.annotation is not None and read_annotation(arg.annotation, module) is None:
        return None, ""  # the annotated type cannot be drawn
    spec = type_by_use(node, name)
    if spec is not None:
        return spec, "use"
    spec = type_by_name(name)
    if spec is not None:
        return spec, "name"
    if arg.annotation is not None and read_annotation(arg.annotation, module) == "any":
        return "any", "annotation"
    return None, ""


def read_annotation(node: ast.expr, module: Module, depth: int = 0) -> Spec:
    """Return the type that an annotation names; None if values of it cannot be drawn.

    Args:
        node: The annotation.
        module: Module of the annotation, for its aliases and type variables.
        depth: Number of aliases followed.
    """
    if isinstance(node, ast.Constant):
        if node.value is None:
            return "none"
        if not isinstance(node.value, str) or depth > 4:
            return None
        try:
            inner = ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return None
        return read_annotation(inner, module, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node.left, node.right], module, depth)
    if isinstance(node, ast.Name | ast.Attribute):
        return _named(node, module, depth)
    if isinstance(node, ast.Subscript):
        return _subscripted(node, module, depth)
    return None


def _named(node: ast.Name | ast.Attribute, module: Module, depth: int) -> Spec:
    name = node.attr if isinstance(node, ast.Attribute) else node.id
    if name in _PLAIN:
        return _PLAIN[name]
    if name in _CONTAINERS:
        return _container(_CONTAINERS[name], [])
    if isinstance(node, ast.Attribute) or depth > 4:
        return None
    alias = symbols_of(module).defined.get(name)
    if not isinstance(alias, ast.Assign | ast.AnnAssign) or alias.value is None:
        # A type variable from elsewhere, by the convention for its name.
        return "any" if len(name) <= 2 and name.isupper() else None
    value = alias.value
    if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("TypeVar"):
        if len(value.args) > 1:
            return read_annotation(value.args[1], module, depth + 1)
        bound = [keyword.value for keyword in value.keywords if keyword.arg == "bound"]
        return read_annotation(bound[0], module, depth + 1) if bound else "any"
    return read_annotation(value, module, depth + 1)


def _subscripted(node: ast.Subscript, module: Module, depth: int) -> Spec:
    base = node.value
    name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Optional":
        return _union([*items, ast.Constant(value=None)], module, depth)
    if name == "Union":
        return _union(items, module, depth)
    if name == "Literal":
        values = [item.value for item in items if isinstance(item, ast.Constant)]
        return ["literal", *values] if values else None
    if name in ("Callable", "Type", "type"):
        return "callable"
    if name in ("Annotated", "Final"):
        return read_annotation(items[0], module, depth)
    if name not in _CONTAINERS:
        return None
    if name in ("tuple", "Tuple") and len(items) == 2 and _is_ellipsis(items[1]):
        inner = read_annotation(items[0], module, depth)
        return None if inner is None else ["tuples", inner]
    parts = [read_annotation(item, module, depth) for item in items]
    return None if None in parts else _container(_CONTAINERS[name], parts)


def _container(head: str, parts: list[Spec]) -> Spec:
    if head == "tuple":
        return ["tuple", *parts] if parts else ["tuples", "any"]
    if head == "dict":
        return ["dict", *(parts if len(parts) == 2 else ["str", "any"])]
    return [head, parts[0] if parts else "any"]


def _union(nodes: list[ast.expr], module: Module, depth: int) -> Spec:
    parts: list[Spec] = []
    for node in nodes:
        spec = read_annotation(node, module, depth)
        flat = spec[1:] if isinstance(spec, list) and spec[0] == "union" else [spec]
        parts += [part for part in flat if part is not None and part not in parts]
    if not parts or parts == ["none"]:
        return None
    return parts[0] if len(parts) == 1 else ["union", *parts]


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _example_types(module: Module, node: ast.FunctionDef, docs: str) -> dict[str, list[Spec]]:
    names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
    found: dict[str, list[Spec]] = {}
    for text in examples_for(module, node.name, docs):
        for name, value in _arguments(text, names):
            spec = _literal_type(value)
            if spec is not None and spec not in found.setdefault(name, []):
                found[name].append(spec)
    return {name: specs for name, specs in found.items() if specs}


def examples_for(module: Module, name: str, docs: str) -> list[str]:
    """Return argument lists of a function's doctests, from its docstring and its module's."""
    module_docs = ast.get_docstring(module.tree) or ""
    own = examples_of(docs, name)
    return list(dict.fromkeys([*own, *examples_of(module_docs, name)]))[:24]


def _arguments(text: str, names: list[str]) -> Iterator[tuple[str, ast.expr]]:
    call = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    yield from zip(names, call.args, strict=False)
    for keyword in call.keywords:
        if keyword.arg:
            yield keyword.arg, keyword.value


def _literal_type(node: ast.expr) -> Spec:
    try:
        return type_of_value(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, MemoryError):
        if isinstance(node, ast.Lambda):
            return "callable"
        return None


def type_of_value(value: Any) -> Spec:
    """Return the narrowest type that describes a plain value.

    Example:
        >>> type_of_value([1, 2])
        ['list', 'int']
    """
    kind = type(value)
    if kind in (int, float, str, bool, bytes, complex):
        return kind.__name__
    if value is None:
        return "none"
    if kind in (list, set, frozenset):
        return [kind.__name__, _joined([type_of_value(item) for item in value])]
    if kind is tuple:
        if 0 < len(value) <= 4:
            return ["tuple", *(type_of_value(item) for item in value)]
        return ["tuples", _joined([type_of_value(item) for item in value])]
    if kind is dict:
        keys = _joined([type_of_value(key) for key in value])
        return ["dict", keys, _joined([type_of_value(item) for item in value.values()])]
    return None


def _joined(specs: list[Spec]) -> Spec:
    distinct = [
        spec for at, spec in enumerate(specs) if spec is not None and spec not in specs[:at]
    ]
    if not distinct:
        return "any"
    return distinct[0] if len(distinct) == 1 else ["union", *distinct[:4]]
