"""Purity: finds reasons in a function's text why it cannot be a task.

This static check is a sieve, not a proof: the sandbox runs the functions that pass it twice.
"""

import ast

from codegym.mining.symbols import Definition, bound_names

# Modules of the standard library that only compute.
PURE_MODULES = frozenset(
    """__future__ abc array ast base64 binascii bisect calendar cmath codecs collections colorsys
    contextlib copy csv dataclasses datetime decimal difflib encodings enum errno fnmatch fractions
    functools hashlib heapq hmac html io ipaddress itertools json keyword math numbers operator
    posixpath pprint re reprlib shlex statistics string stringprep struct textwrap token types
    typing unicodedata urllib warnings zlib builtins tokenize opcode quopri inspect
    """.split()
)
_IMPURE_SUBMODULES = ("urllib.request", "urllib.robotparser", "collections.abc.")
_IMPURE_CALLS = frozenset(
    """open input print exec eval compile __import__ globals locals vars id hash breakpoint exit
    quit help memoryview delattr setattr""".split()
)
_IMPURE_ATTRIBUTES = frozenset(
    """now today utcnow fromtimestamp urandom getrandom environ getenv urlopen system popen
    write writelines read_text write_text f_globals f_locals tb_frame stdout stderr stdin
    warn warn_explicit simplefilter currentframe stack getsource getsourcefile getmodule""".split()
)
SYS_CONSTANTS = frozenset({"maxsize", "maxunicode", "float_info", "version_info", "byteorder"})
_CHANGING = frozenset(
    """append add update pop setdefault clear extend insert remove discard sort reverse popitem
    appendleft popleft""".split()
)


def impurity(node: Definition) -> str:
    """Return the first sign that a definition is impure, in words; "" if there is none.

    Args:
        node: A function, class or assignment at the top level of a module.
    """
    own = bound_names(node)
    for child in ast.walk(node):
        found = _impurity_of(child, own)
        if found:
            return found
    return ""


def _impurity_of(node: ast.AST, own: set[str]) -> str:
    if isinstance(node, ast.Global | ast.Nonlocal):
        return "global statement" if isinstance(node, ast.Global) else ""
    if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
        return "asynchronous"
    if isinstance(node, ast.Name) and node.id in _IMPURE_CALLS and node.id not in own:
        return f"uses {node.id}" if isinstance(node.ctx, ast.Load) else ""
    if isinstance(node, ast.Attribute):
        if _root(node.value) == "sys" and node.attr not in SYS_CONSTANTS:
            return f"uses sys.{node.attr}"
        if node.attr in _IMPURE_ATTRIBUTES:
            return f"uses .{node.attr}"
        if isinstance(node.ctx, ast.Store | ast.Del) and _root(node) not in own:
            return "changes a global object"
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        return "changes a global object" if _root(node) not in own else ""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        root = _root(node.func)
        if node.func.attr in _CHANGING and root and root not in own | PURE_MODULES:
            return "changes a global object"
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if getattr(node, "level", 0) or not all(map(is_pure_module, names)):
            return f"imports {names[0] or 'a neighbour'}"
    return ""


def is_pure_module(name: str) -> bool:
    """Return whether a module of the standard library only computes."""
    return name.partition(".")[0] in PURE_MODULES and name not in _IMPURE_SUBMODULES


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
