"""Rows and programs on which graders are compared: APPS's, LiveCodeBench's and CodeContests's form.

Each pair of an expected and a printed text, or of an expected and a returned value, is a problem
with one case. Whole programs show what graders do around a program.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A program and the problem that it is graded on.

    Attributes:
        name: What the sample shows; a key of ``agreement_reasons.REASONS`` where graders differ.
        program: The program.
        inputs: Texts for standard input, or argument lists.
        outputs: Expected texts or values.
        function: Name of the function that is called, "" for standard input.
    """

    name: str
    program: str
    inputs: list[Any] = field(default_factory=lambda: ["5\n"])
    outputs: list[Any] = field(default_factory=lambda: ["5\n"])
    function: str = ""

    @property
    def tests(self) -> dict[str, Any]:
        """The tests in APPS's form."""
        tests: dict[str, Any] = {"inputs": self.inputs, "outputs": self.outputs}
        return tests | ({"fn_name": self.function} if self.function else {})


# Expected text, printed text.
_PRINTED = [
    ("5\n", "5"),
    ("5", "5\n\n\n"),
    ("5\n", "\n5"),
    ("5\n", "  5  "),
    ("1 2 3\n", "1 2 3 "),
    ("1 2 3\n", "1  2  3"),
    ("1 2 3\n", "1\t2\t3"),
    ("1 2 3\n", "1\n2\n3"),
    ("1\n2\n3\n", "1 2 3"),
    ("1\n2\n3\n", "1\n2\n3"),
    ("1\n2\n3\n", "1\r\n2\r\n3\r\n"),
    ("1\n2\n3\n", "1\n\n2\n\n3"),
    ("1\n2\n3\n", " 1\n 2\n 3"),
    ("1\n2\n3\n", "3\n2\n1"),
    ("1\n2\n3\n", "1\n2"),
    ("1\n2\n", "1\n2\n3"),
    ("1 2\n", "2 1"),
    ("1 1 2\n", "1 2"),
    ("a b\n", "b a"),
    ("YES\n", "yes"),
    ("Yes\n", "YES"),
    ("YES\n", "YES."),
    ("YES\n", "YE S"),
    ("yes\nno\n", "no\nyes"),
    ("yes\nno\n", "yes\nno\nno"),
    ("0.5\n", "0.50"),
    ("0.50\n", ".5"),
    ("0.5\n", "5e-1"),
    ("1\n", "1.0"),
    ("1.0\n", "1"),
    ("1\n", "+1"),
    ("1\n", "01"),
    ("1\n", "1_0"),
    ("10\n", "1_0"),
    ("0.333333333\n", "0.3333333333333333"),
    (".333333333\n", "0.3333333"),
    ("0.333333\n", "0.3334"),
    ("0.333333\n", "1/3"),
    ("100000\n", "100000.5"),
    ("1000000000\n", "1000000001"),
    ("1000000000000000000\n", "1000000000000000001"),
    ("0\n", "-0"),
    ("0\n", "0.000001"),
    ("0\n", "0.0000000001"),
    ("0.001 a\n", "0.0010 a"),
    ("1 0.5\n", "1 0.50"),
    ("1 0.5\n", "1.0 0.5000001"),
    ("1 0.5\n2 0.25\n", "1 0.5001\n2 0.2501"),
    ("Case 1: 0.5\n", "Case 1: 0.50"),
    ("nan\n", "nan"),
    ("nan\n", "NaN"),
    ("inf\n", "inf"),
    ("inf\n", "Infinity"),
    ("inf 0.5\n", "inf 0.50"),
    ("1e400\n", "inf"),
    ("", ""),
    ("", "\n"),
    ("", "x"),
    ("x\n", ""),
    ("\n", ""),
    ("1\n\n2\n", "1\n2"),
    ("1\n\n2\n", "1\n\n2"),
    ("True\n", "true"),
    ("[1, 2]\n", "[1,2]"),
    ("[1, 2]\n", "[2, 1]"),
    ("(1, 2)\n", "[1, 2]"),
    ("0x10\n", "16"),
    ("1,000\n", "1000"),
    ("é\n", "é"),
    ("a\u00a0b\n", "a b"),
    ("a\x0cb\n", "a b"),
    ("a\x0bb\n", "a b"),
    ("\u0665\n", "5"),
    ("7" * 30 + "\n", "7" * 29 + "8"),
    ("1" + "0" * 5000 + "\n", "1" + "0" * 5000),
    ("1" + "0" * 5000 + "\n", "1" + "0" * 4999 + "1"),
    ("123456 0.1\n", "123456 0.1000001"),
    ("2 2\n", "2"),
    ("1 2\n3 4\n", "1 2\n3 4\n"),
    ("1 2\n3 4\n", "3 4\n1 2"),
    ("1 2\n3 4\n", "1 2 3 4"),
]

# What a row holds as its output, the expression that a program returns.
_RETURNED: list[tuple[Any, str]] = [
    (5, "5"),
    (5, "6"),
    (5, "5.0"),
    (5, "'5'"),
    (5, "[5]"),
    ([5], "5"),
    ([5], "[5]"),
    ([5], "(5,)"),
    ([5], "[[5]]"),
    ([[5]], "5"),
    ([[5]], "[5]"),
    ([5, 6], "5"),
    ([5, 6], "6"),
    ([5, 6], "[5, 6]"),
    ([5, 6], "(5, 6)"),
    ([5, 6], "[6, 5]"),
    ([[5, 6]], "[5, 6]"),
    ([[5, 6]], "(5, 6)"),
    ([[5, 6], [7, 8]], "[[5, 6], [7, 8]]"),
    ([[5, 6], [7, 8]], "[5, 6]"),
    ([[5, 6], [7, 8]], "[(5, 6), (7, 8)]"),
    ([[[5, 6], [7, 8]]], "[(5, 6), (7, 8)]"),
    ([[[5, 6], [7, 8]]], "((5, 6), (7, 8))"),
    ([[[5, 6], [7, 8]]], "[(5, 6), [7, 8]]"),
    ([[[5, 6], [7, 8]]], "[[5, 6], (7, 8)]"),
    ([[1, 2]], "[(1, 2)]"),
    ([], "[]"),
    ([], "None"),
    ([[]], "[]"),
    ([None], "None"),
    (None, "None"),
    (None, "0"),
    ([True], "True"),
    ([True], "1"),
    ([1], "True"),
    (["abc"], "'abc'"),
    ("abc", "'abc'"),
    ("abc", "'a'"),
    ("abc", "['abc']"),
    (["a", "b"], "'a'"),
    (["a", "b"], "['a', 'b']"),
    (["a", "b"], "('a', 'b')"),
    (["a", "b"], "{'a': 1, 'b': 2}.keys()"),
    ([0.5], "0.5"),
    ([0.5], "0.5 + 1e-12"),
    ([0.30000000000000004], "0.3"),
    ([0.3], "0.1 + 0.2"),
    ([0.5], "__import__('fractions').Fraction(1, 2)"),
    ([2], "__import__('decimal').Decimal(2)"),
    ([{"1": 2}], "{1: 2}"),
    ([{"1": 2}], "{'1': 2}"),
    ({"1": 2}, "{1: 2}"),
    ({"1": 2}, "[{1: 2}]"),
    ({"a": 2}, "{'a': 2}"),
    ([{"a": 2}], "{'a': 2}"),
    ([{"1": 2}, {"2": 3}], "[{1: 2}, {2: 3}]"),
    ([{"1": 2}, {"2": 3}], "{1: 2}"),
    ([3], "len('abc')"),
    ([[1, 2, 3]], "range(1, 4)"),
    ([[1, 2, 3]], "{1, 2, 3}"),
    ([[1, 2, 3]], "(x for x in (1, 2, 3))"),
    ([[1, 2, 3]], "[1, 2, 3.0]"),
    ([1.0], "1"),
    ([10**30], "10**30"),
    ([10**30], "1e30"),
    ([""], "''"),
    ([""], "None"),
    ([[["a", 1], ["b", 2]]], "sorted({'a': 1, 'b': 2}.items())"),
    ([["a", 1]], "('a', 1)"),
    ([5], "type('I', (int,), {})(5)"),
    ([5], "type('L', (), {'__eq__': lambda self, other: True})()"),
    ([5], "1 / 0"),
    ([5], "__import__('sys').exit()"),
    ([5], "[][0]"),
]

_WHOLE = {
    "a plain program": "print(int(input()))",
    "a return outside functions": "n = int(input())\nprint(n)\nif n:\n    return\nprint(9)",
    "no imports": "print(math.floor(float(input())))",
    "a name of a star import": "print(reduce(lambda a, b: a + b, [2, 3]))",
    "own imports": "from collections import deque\nprint(deque([int(input())])[0])",
    "main guard": "def main():\n    print(int(input()))\nif __name__ == '__main__':\n    main()",
    "main guard, other quotes": "def main():\n    print(int(input()))\n"
    'if __name__ == "__main__":\n    main()',
    "main guard, then more": "def main():\n    print(int(input()))\n"
    "if __name__ == '__main__':\n    main()\nx = 1",
    "sys.stdin.readline": "import sys\nprint(int(sys.stdin.readline()))",
    "sys.stdin.read": "import sys\nprint(sys.stdin.read().strip())",
    "lines of sys.stdin": "import sys\nfor line in sys.stdin:\n    print(line.strip())",
    "sys.stdin.buffer": "import sys\nprint(int(sys.stdin.buffer.readline()))",
    "open(0)": "print(open(0).read().strip())",
    "sys.stdout.write": "import sys\nsys.stdout.write(input())",
    "sys.exit at the end": "import sys\nprint(5)\nsys.exit()",
    "sys.exit(1) at the end": "import sys\nprint(5)\nsys.exit(1)",
    "exit() at the end": "print(5)\nexit()",
    "os._exit(0) at the end": "import os, sys\nprint(5)\nsys.stdout.flush()\nos._exit(0)",
    "an exception after the answer": "print(5)\n1 / 0",
    "an exception": "print(1 / 0)",
    "an unknown name": "print(nowhere)",
    "a syntax error": "print(5",
    "a wrong answer": "print(6)",
    "input beyond the end": "input()\ninput()\nprint(5)",
    "input after EOFError": "n = input()\ntry:\n    input()\nexcept EOFError:\n    print(n)",
    "an endless loop": "while True:\n    pass",
    "deep recursion": "def f(n):\n    return n and 1 + f(n - 1)\nprint(f(5000) - 4995)",
    "a limit on recursion": "import sys\nsys.setrecursionlimit(10**5)\n"
    "def f(n):\n    return n and 1 + f(n - 1)\nprint(f(5000) - 4995)",
    "a global in a function": "total = 0\ndef add(n):\n    global total\n    total += n\n"
    "add(int(input()))\nprint(total)",
    "a function that reads a global": "n = int(input())\ndef show():\n    print(n)\nshow()",
    "a recursive function": "def f(n):\n    return n if n < 2 else 1 + f(n - 1)\nprint(f(5))",
    "a class": "class A:\n    def f(self):\n        return int(input())\nprint(A().f())",
    "a comprehension over globals": "n = 5\nprint(sum([n for _ in range(1)]))",
    "standard error": "import sys\nprint('log', file=sys.stderr)\nprint(5)",
    "a generator": "def f():\n    yield int(input())\nprint(next(f()))",
    "a text of several lines": 'text = """5\n"""\nprint(text.strip())',
    "a long integer": "print(len(str(10**5000)) - 4996)",
    "input rebound": "import sys\ninput = sys.stdin.readline\nprint(int(input()))",
    "a thread": "import threading\nt = threading.Thread(target=lambda: print(5))\n"
    "t.start()\nt.join()",
    "nothing": "",
    "a comment": "# nothing",
}

_FUNCTIONS = {
    "a function": "def f(x):\n    return x",
    "a class Solution": "class Solution:\n    def f(self, x):\n        return x",
    "no imports": "def f(x):\n    return math.floor(x)",
    "another name": "def g(x):\n    return x",
    "an error while loading": "1 / 0\ndef f(x):\n    return x",
    "an unknown name while loading": "nowhere\ndef f(x):\n    return x",
    "an unknown name": "def f(x):\n    return nowhere",
    "a syntax error": "def f(x:\n    return x",
    "an exception": "def f(x):\n    raise ValueError(x)",
    "an exception in the second case": "def f(x):\n    return x if x == 5 else 1 / 0",
    "a wrong answer in the second case": "def f(x):\n    return 5",
    "a wrong answer, then an exception": "def f(x):\n    return 6 if x == 5 else 1 / 0",
    "an exception, then a wrong answer": "def f(x):\n    return 1 / 0 if x == 5 else 5",
    "an endless loop": "def f(x):\n    while True:\n        pass",
    "state between cases": "seen = []\ndef f(x):\n    seen.append(x)\n    return seen[-1]",
    "a count of calls": "calls = []\ndef f(x):\n    calls.append(x)\n    return x * len(calls)",
    "printing": "def f(x):\n    print('log')\n    return x",
    "a lambda": "f = lambda x: x",
    "too many parameters": "def f(x, y):\n    return x",
    "a type hint of the site": "def f(x: List[int]) -> int:\n    return x",
    "a cached function": "from functools import lru_cache\n@lru_cache(None)\n"
    "def f(x):\n    return x",
}


def samples() -> list[Sample]:
    """Return all samples."""
    printed = [
        Sample(
            name=f"{wanted[:12]!r} printed as {text[:12]!r}",
            program=f"import sys\nsys.stdout.write({text!r})",
            inputs=[""],
            outputs=[wanted],
        )
        for wanted, text in _PRINTED
    ]
    whole = [Sample(name=name, program=text) for name, text in _WHOLE.items()]
    returned = [
        Sample(
            name=f"{str(wanted)[:24]} returned as {text[:40]}",
            program=f"def f(x):\n    return {text}",
            inputs=[[1]],
            outputs=[wanted],
            function="f",
        )
        for wanted, text in _RETURNED
    ]
    functions = [
        Sample(
            name=f"function: {name}",
            program=text,
            inputs=[[5], [7]],
            outputs=[5, 7],
            function="f",
        )
        for name, text in _FUNCTIONS.items()
    ]
    return printed + whole + returned + functions
