"""Parameter uses: infers types from a parameter's uses in the body and from its name."""

import ast
from collections import Counter
from typing import Any

Spec = Any
LIST: Spec = ["list", "any"]
SEQUENCE: Spec = ["sequence", "any"]
ITERABLE: Spec = ["iterable", "any"]
DICT: Spec = ["dict", "str", "any"]
_TEXT_METHODS = frozenset(name for name in dir(str) if not name.startswith("_")) - {
    "count",
    "index",
}
_LIST_METHODS = frozenset({"append", "extend", "insert", "sort", "reverse", "remove"})
_DICT_METHODS = frozenset({"items", "keys", "values", "get", "setdefault"})
_DATE_ATTRIBUTES = frozenset({"year", "month", "day", "weekday", "isoweekday", "toordinal"})
_TAKERS: dict[str, Spec] = {
    **dict.fromkeys("sorted enumerate zip iter set list tuple frozenset any all islice chain "
                    "groupby tee deque Counter".split(), ITERABLE),
    **dict.fromkeys("reversed len".split(), SEQUENCE),
    **dict.fromkeys("range chr hex oct bin divmod".split(), "int"),
    **dict.fromkeys("abs round".split(), "number"),
    "ord": "str", "sum": ["list", "number"], "next": ["iterator", "any"], "dict": DICT,
}  # fmt: skip
_CHECKED = {
    "int": "int", "str": "str", "float": "float", "list": LIST, "dict": DICT, "bool": "bool",
    "tuple": ["tuples", "any"], "set": ["set", "any"], "bytes": "bytes", "Mapping": DICT,
    "Sequence": SEQUENCE, "Iterable": ITERABLE, "Number": "number", "Decimal": "decimal",
    "date": "date", "datetime": "datetime", "timedelta": "timedelta", "Fraction": "fraction",
}  # fmt: skip
_NAMES: dict[str, Spec] = {
    **dict.fromkeys("n k i j count size num index length width depth base start stop step limit "
                    "days year month day hour level pos position digits precision".split(), "int"),
    **dict.fromkeys("s text string word name line phrase sentence str1 str2 s1 s2 txt path url "
                    "prefix suffix separator sep char pattern filename msg message".split(), "str"),
    **dict.fromkeys("x y value val a b z number".split(), "number"),
    **dict.fromkeys("seq sequence items lst arr array elements values l data".split(), SEQUENCE),
    **dict.fromkeys("iterable collection xs iterables it".split(), ITERABLE),
    **dict.fromkeys("d dic mapping dictionary dct".split(), DICT),
    **dict.fromkeys("pred func function key callback predicate fn f iteratee keyfunc".split(),
                    "callable"),
    **{name: ["list", ["list", "int"]] for name in ("matrix", "grid", "rows")},
    **{name: ["list", "str"] for name in ("words", "strings", "lines", "names")},
    **dict.fromkeys("strict reverse flag".split(), "bool"),
}  # fmt: skip


def type_by_name(name: str) -> Spec:
    """Return the usual type of a parameter of this name, or None."""
    return _NAMES.get(name.lower().strip("_"))


def type_by_use(node: ast.FunctionDef, name: str) -> Spec:
    """Return the type that fits the uses of a parameter in a function, or None.

    Every use votes; an ``isinstance`` test counts for more.
    """
    votes: Counter[str] = Counter()
    specs: dict[str, Spec] = {}

    def vote(spec: Spec, weight: int = 1) -> None:
        specs[str(spec)] = spec
        votes[str(spec)] += weight

    for child in ast.walk(node):
        _vote_on_node(child, name, vote)
    if not votes:
        return None
    return specs[max(votes, key=lambda key: votes[key])]


def _vote_on_node(node: ast.AST, name: str, vote: Any) -> None:
    if isinstance(node, ast.Attribute) and _is(node.value, name):
        for names, spec in (
            (_DATE_ATTRIBUTES, "date"), (_DICT_METHODS, DICT), (_LIST_METHODS, LIST),
            (_TEXT_METHODS, "str"),
        ):  # fmt: skip
            if node.attr in names:
                vote(spec, 2)
                return
    elif isinstance(node, ast.Call):
        _vote_on_call(node, name, vote)
    elif isinstance(node, ast.For | ast.comprehension) and _is(node.iter, name):
        vote(ITERABLE)
    elif isinstance(node, ast.BinOp):
        _vote_on_operator(node, name, vote)
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any(_is(side, name) for side in sides):
            for side in sides:
                kind = _constant_type(side)
                if kind and not isinstance(node.ops[0], ast.Is | ast.IsNot):
                    vote(kind)
            if isinstance(node.ops[-1], ast.In | ast.NotIn) and _is(sides[-1], name):
                vote("str" if _constant_type(sides[0]) == "str" else SEQUENCE)
    elif isinstance(node, ast.Subscript) and _is(node.value, name):
        vote(DICT if _constant_type(node.slice) == "str" else SEQUENCE)


def _vote_on_call(node: ast.Call, name: str, vote: Any) -> None:
    func = node.func
    if _is(func, name):
        vote("callable", 2)
        return
    if not any(_is(arg.value if isinstance(arg, ast.Starred) else arg, name) for arg in node.args):
        return
    called = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
    if called == "isinstance" and len(node.args) == 2 and _is(node.args[0], name):
        kinds = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
        for kind in kinds:
            checked = ast.unparse(kind).rpartition(".")[2]
            if checked in _CHECKED:
                vote(_CHECKED[checked], 3)
    elif called == "join":
        vote(["list", "str"], 2)
    elif isinstance(func, ast.Attribute) and ast.unparse(func.value) in ("math", "cmath"):
        vote("number")
    elif called in ("match", "sub", "search", "findall", "split", "fullmatch", "finditer"):
        vote("str")
    elif called in _TAKERS:
        vote(_TAKERS[called])
    elif called in ("int", "float"):
        vote("str")


def _vote_on_operator(node: ast.BinOp, name: str, vote: Any) -> None:
    left, right = _is(node.left, name), _is(node.right, name)
    if not left and not right:
        return
    other = _constant_type(node.right if left else node.left)
    if isinstance(node.op, ast.Mod) and right and other == "str":
        return  # a format accepts any type
    if isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor | ast.LShift | ast.RShift):
        vote("int")
    elif isinstance(node.op, ast.Mod | ast.FloorDiv):
        vote("int")
    elif isinstance(node.op, ast.Add) and other == "str":
        vote("str")
    elif isinstance(node.op, ast.Sub | ast.Div | ast.Pow) or other in ("int", "float"):
        vote("number")


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _constant_type(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, str):
        return type(node.value).__name__
    return ""
