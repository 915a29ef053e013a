"""Ordering: makes a program's sets iterate in another order, to expose answers that depend on it.

Python leaves the order of a set open, and the sandbox fixes the seed of its hashes, so two plain
runs would never differ. This module replaces set displays, set comprehensions and the names ``set``
and ``frozenset`` by sub-classes with a different order; arguments and results are converted.
"""

import ast

_PREFIX = "_codegym_"
_SETS = """
import builtins as _codegym_builtins
import random as _codegym_random

_codegym_random.seed(20231013)


class _codegym_Meta(type):
    def __instancecheck__(cls, value):
        return _codegym_builtins.isinstance(value, cls.__base__)


def _codegym_scrambled(value):
    return _codegym_builtins.sorted(value, key=lambda it: _codegym_builtins.repr(it)[::-1])[::-1]


def _codegym_shuffling(base):
    class Shuffled(base, metaclass=_codegym_Meta):
        def __iter__(self):
            return _codegym_builtins.iter(_codegym_scrambled(base.__iter__(self)))

        def pop(self):
            value = _codegym_builtins.next(self.__iter__())
            self.remove(value)
            return value

        def __repr__(self):
            return "{" + ", ".join(map(_codegym_builtins.repr, self)) + "}"

        def __reduce__(self):
            return (Shuffled, (_codegym_builtins.list(self),))

    def keeping(name):
        def method(self, *others):
            result = getattr(base, name)(self, *others)
            return Shuffled(result) if type(result) is base else result

        return method

    for name in ("__and__", "__or__", "__sub__", "__xor__", "__rand__", "__ror__", "__rsub__",
                 "__rxor__", "union", "intersection", "difference", "symmetric_difference",
                 "copy"):
        setattr(Shuffled, name, keeping(name))
    return Shuffled


set = _codegym_set = _codegym_shuffling(_codegym_builtins.set)
frozenset = _codegym_frozenset = _codegym_shuffling(_codegym_builtins.frozenset)


def _codegym_convert(value, kinds):
    kind = type(value)
    if kind in kinds:
        return kinds[kind](_codegym_convert(item, kinds) for item in value)
    if kind in (list, tuple):
        return kind(_codegym_convert(item, kinds) for item in value)
    if kind is dict:
        return {key: _codegym_convert(item, kinds) for key, item in value.items()}
    return value
"""
_WRAP = """
def {entry}(*args, _codegym_function={entry}, **kwargs):
    shuffled = {{_codegym_builtins.set: _codegym_set,
                _codegym_builtins.frozenset: _codegym_frozenset}}
    plain = {{kind: base for base, kind in shuffled.items()}}
    args = [_codegym_convert(item, shuffled) for item in args]
    kwargs = {{name: _codegym_convert(item, shuffled) for name, item in kwargs.items()}}
    return _codegym_convert(_codegym_function(*args, **kwargs), plain)
"""


def reordered(program: str, entry_point: str) -> str:
    """Return a program with another order of its sets and another seed of ``random``.

    Args:
        program: A program that parses.
        entry_point: The function to call.
    """
    tree = ast.parse(program)
    if not _uses_sets(tree):
        return program + "\nimport random as _codegym_random\n_codegym_random.seed(20231013)\n"
    tree = ast.fix_missing_locations(_Displays().visit(tree))
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom)
              and node.module == "__future__"]  # fmt: skip
    rest = [node for node in tree.body if node not in future]
    parts = [ast.unparse(node) for node in future]
    parts += [_SETS, *(ast.unparse(node) for node in rest), _WRAP.format(entry=entry_point)]
    return "\n".join(parts)


def _uses_sets(tree: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Set | ast.SetComp)
        or (isinstance(node, ast.Name) and node.id in ("set", "frozenset"))
        for node in ast.walk(tree)
    )


class _Displays(ast.NodeTransformer):
    def visit_Set(self, node: ast.Set) -> ast.AST:
        """Turn a display into a call."""
        self.generic_visit(node)
        return _called(ast.List(elts=node.elts, ctx=ast.Load()))

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        """Turn a comprehension into a call."""
        self.generic_visit(node)
        return _called(ast.ListComp(elt=node.elt, generators=node.generators))


def _called(value: ast.expr) -> ast.Call:
    name = ast.Name(id=f"{_PREFIX}set", ctx=ast.Load())
    return ast.Call(func=name, args=[value], keywords=[])
