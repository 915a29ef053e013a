"""Contest form: programs as contest sites ask for them, with a method of ``class Solution``.

Such sites import common names before a program runs, and their published solutions rely on it.
"""

import ast
import builtins
import re

_CLASS = re.compile(r"^class[ \t]+Solution\b", re.MULTILINE)
_IMPORT = re.compile(r"^(?:from[ \t]+\S+[ \t]+)?import[ \t].*$", re.MULTILINE)
_MODULES = (
    "bisect collections copy datetime fractions functools heapq itertools math operator random re "
    "string sys time typing"
).split()
_NAMES = {
    "bisect": "bisect bisect_left bisect_right insort",
    "collections": "ChainMap Counter OrderedDict defaultdict deque",
    "functools": "cache cmp_to_key lru_cache reduce",
    "heapq": "heapify heappop heappush heappushpop heapreplace nlargest nsmallest",
    "itertools": "accumulate chain combinations count cycle groupby islice permutations product "
    "zip_longest",
    "math": "ceil comb cos exp fabs factorial floor gcd hypot inf isqrt lcm log log10 log2 pi sin "
    "sqrt tan",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits",
    "typing": "Any Callable Deque DefaultDict Dict Iterable Iterator List Optional Set Tuple Union",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def holds_method(text: str, name: str) -> bool:
    """Return whether a text holds a function as a method of ``class Solution``."""
    start = _CLASS.search(text)
    if start is None:
        return False
    method = rf"^[ \t]+(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b"
    return bool(re.search(method, text[start.end() :], re.MULTILINE))


def call_method(solution: str, name: str) -> str:
    """Add a function to a program that holds the function as a method of ``class Solution``."""
    if re.search(rf"^def[ \t]+{re.escape(name)}\b", solution, re.MULTILINE):
        return solution
    if not holds_method(solution, name):
        return solution
    return (
        f"{solution.rstrip()}\n\n\n"
        f"def {name}(*args, **kwargs):\n    return Solution().{name}(*args, **kwargs)\n"
    )


def imports_of(prompt: str) -> str:
    """Return the import lines of a prompt, each with its line break."""
    return "".join(f"{line}\n" for line in _IMPORT.findall(prompt))


def with_imports(solution: str) -> str:
    """Return a published solution with the imports that its site adds.

    Only names that the program uses and does not bind are imported.
    """
    try:
        tree = ast.parse(solution)
    except (SyntaxError, ValueError, RecursionError):
        return solution
    used: set[str] = set()
    bound: set[str] = set(vars(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            if node.name == "*":
                return solution  # the bound names are unknown
            bound.add((node.asname or node.name).partition(".")[0])
    wanted = sorted(used - bound)
    lines = [
        f"from {_HOMES[name]} import {name}" if name in _HOMES else f"import {name}"
        for name in wanted
        if name in _HOMES or name in _MODULES
    ]
    return "".join(f"{line}\n" for line in lines) + solution
