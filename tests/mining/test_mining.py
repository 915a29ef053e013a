"""Mining, the part that only reads: types, program assembly, duplicates, benchmarks."""

import ast

import pytest

from codegym.cli.mine import read_benchmarks
from codegym.mining.contamination import Benchmarks, grams
from codegym.mining.docstrings import documented_types, example_literals, examples_of, read_type
from codegym.mining.duplicate_programs import tree_key
from codegym.mining.finding import Candidate, find_candidates, result_fault
from codegym.mining.inference import UntypedError, infer
from codegym.mining.module_tree import find_modules
from codegym.mining.program_assembly import DependencyError, ImpureError, ProgramAssembler
from codegym.tasks.task import Task


def tree_of(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return {module.name: module for module in find_modules(str(folder))}


def candidate(world, module, name):
    return next(found for found in find_candidates(world[module]) if found.node.name == name)


def assembled(world, module, name):
    return ProgramAssembler(world).assemble(world[module], candidate(world, module, name).node)


def signature(tmp_path, text):
    world = tree_of(tmp_path, only=text)
    return infer(world["only"], next(find_candidates(world["only"])).node)


def function(text):
    return ast.parse(text).body[0]


@pytest.mark.parametrize(
    ("text", "params", "evidence"),
    [
        ("def f(a: int, b: str | None): ...", ["int", ["union", "str", "none"]], "annotation"),
        ("def f(a: 'list[tuple[int, ...]]'): ...", [["list", ["tuples", "int"]]], "annotation"),
        ("from typing import *\nT = TypeVar('T')\nA = Union[int, float]\n"
         "def f(a: Dict[str, A]): ...", [["dict", "str", ["union", "int", "float"]]], "annotation"),
        ("def f(a=3): ...", ["int"], "default"),
        ("def f(a):\n    '''D.\n\n    Args:\n        a (list of str): x.\n    '''",
         [["list", "str"]], "docstring"),
        ("def f(a):\n    '''D.\n\n    Parameters\n    ----------\n    a : int, optional\n    '''",
         ["int"], "docstring"),
        ("def f(a):\n    ''':param str a: x'''", ["str"], "docstring"),
        ("def f(a):\n    '''\n    >>> f([1, 2])\n    3\n    '''", [["list", "int"]], "doctest"),
        ("def f(q):\n    return q.lower()", ["str"], "use"),
        ("def f(q):\n    return q % 2", ["int"], "use"),
        ("def f(q):\n    return [z for z in q]", [["iterable", "any"]], "use"),
        ("def f(text):\n    return g(text)", ["str"], "name"),
        ("def f(qqq):\n    return g(qqq)", ["any"], "trial"),
    ],
)  # fmt: skip
def test_types_are_inferred_from_each_kind_of_evidence(tmp_path, text, params, evidence):
    found = signature(tmp_path, text)
    assert found.params == params
    assert set(found.evidence.values()) == {evidence}


def test_annotations_win_over_names_and_two_unknowns_are_too_many(tmp_path):
    assert signature(tmp_path, "def f(text: int): ...").params == ["int"]
    with pytest.raises(UntypedError, match="rrr"):
        signature(tmp_path, "def f(qqq, rrr):\n    return g(qqq, rrr)")


def test_foreign_classes_are_no_types(tmp_path):
    found = signature(tmp_path, "def f(a: int, b: Graph = None): ...")
    assert found.params == ["int"]
    assert found.required == 1


def test_words_are_read_as_types():
    assert read_type("a list of ints, optional") == ["list", "int"]
    assert read_type("int or None") == ["union", "int", "none"]
    assert read_type("Graph") is None
    assert documented_types("Args:\n    x (Graph): a\n    y (bool): b") == {"y": "bool"}


def test_doctests_give_arguments_and_literals():
    docs = ">>> list(m.f([1], n=2))\n[1]\n>>> f('a b')\n>>> g(3)\n"
    assert examples_of(docs, "f") == ["[1], n=2", "'a b'"]
    assert example_literals(docs) == [1, 2, "a b", 3]


def test_helpers_constants_and_imports_are_carried_along(tmp_path):
    world = tree_of(
        tmp_path,
        shared="import re\nWORD = re.compile(r'[a-z]+')\n"
        "def words(t):\n    return WORD.findall(t)\n",
        main="from shared import words as split\nLIMIT = 3\n\n\ndef f(text: str) -> list:\n"
        "    '''Do it now.'''\n    return split(text)[:LIMIT]\n",
    )
    found = assembled(world, "main", "f")
    assert set(found.carried) == {"main.LIMIT", "shared.words", "shared.WORD"}
    assert found.head.startswith("import re\n")
    assert found.head.endswith("'''Do it now.'''") or found.head.endswith('"""Do it now."""')
    names: dict = {}
    exec(found.program, names)
    assert names["f"]("a b c d e") == ["a", "b", "c"]


def test_functions_of_a_neighbour_module_are_renamed_when_they_clash(tmp_path):
    world = tree_of(
        tmp_path,
        luhn="def check(n):\n    return n % 10\n",
        main="import luhn\ndef check(n: int):\n    '''Check it well.'''\n"
        "    return luhn.check(n) + 1\n",
    )
    found = assembled(world, "main", "check")
    names: dict = {}
    exec(found.program, names)
    assert names["check"](27) == 8
    assert "def luhn_check(n):" in found.program


def test_what_cannot_be_carried_is_refused(tmp_path):
    text = (
        "import os, random\nimport requests\n"
        "if x:\n    FLAG = 1\nelse:\n    FLAG = 2\nseen = []\n"
        "def a(n):\n    return requests.get(n)\n"
        "def b(n):\n    return FLAG\n"
        "def c(n):\n    return missing\n"
        "def d(n):\n    seen.append(n)\n    return seen\n"
        "def e(n):\n    return open(n)\n"
        "def f(n):\n    return random.random()\n"
        "def g(n):\n    return e(n)\n"
        "def h(n):\n    import time\n    return time\n"
        "def i(n):\n    seen[n] = 1\n    return 1\n"
    )
    world = tree_of(tmp_path, only=text)
    for name, kind in dict(a=DependencyError, b=DependencyError, c=DependencyError, d=ImpureError,
                           e=ImpureError, f=DependencyError, g=ImpureError, h=ImpureError,
                           i=ImpureError).items():  # fmt: skip
        with pytest.raises(kind):
            assembled(world, "only", name)


def test_the_preface_is_the_modules_docstring(tmp_path):
    text = '"""About f."""\nA = 1\nB = 2\ndef f(n):\n    """Do it."""\n    return A + B\n'
    world = tree_of(tmp_path, only=text)
    node = candidate(world, "only", "f").node
    head = ProgramAssembler(world).assemble(world["only"], node, preface=True).head
    assert head == ('"""About f.\n"""\n\n\nA = 1\nB = 2\n\n\ndef f(n):\n    """Do it."""')


def test_annotations_alone_do_not_stop_a_function(tmp_path):
    text = "from graphs import Graph\ndef f(a: int) -> Graph:\n    '''Do it.'''\n    return a\n"
    found = assembled(tree_of(tmp_path, only=text), "only", "f")
    assert found.head.startswith("from __future__ import annotations")


def test_functions_that_answer_nothing_are_left_out(tmp_path):
    world = tree_of(tmp_path, only="def f(a):\n    '''D.'''\n    a.x = 1\n    return None\n")
    assert result_fault(candidate(world, "only", "f")) == "returns nothing"
    assert isinstance(candidate(world, "only", "f"), Candidate)


def test_trees_forget_names_docstrings_and_annotations():
    first = "def f(a: int) -> int:\n    '''D.'''\n    b = a + 1\n    return b\n"
    other = "def g(x):\n    # note\n    y = (x + 1)\n    return y\n"
    assert tree_key(first) == tree_key(other)
    assert tree_key(first) != tree_key(other.replace("+", "-"))
    assert tree_key("def f(a):\n    return len(a)") != tree_key("def f(a):\n    return sum(a)")
    noted = "from typing import Any, List\ndef g(b: Any) -> List[int]:\n    return len(b)"
    assert tree_key(noted) == tree_key("def f(a):\n    return len(a)")
    both = "from math import {}\ndef f(a):\n    return x(a)"
    assert tree_key(both.format("sin as x, pi")) != tree_key(both.format("cos as x"))


def known_task():
    prompt = (
        'def has_close(numbers, gap):\n    """ Say whether any two numbers of a list are '
        'closer to each other than a gap.\n    >>> has_close([1.0], 0.5)\n    """\n'
    )
    body = "    return any(abs(a - b) < gap for i, a in enumerate(numbers) for b in numbers[:i])\n"
    return Task.from_calls(
        prompt, "has_close", [(([1], 1), False)], task_id="known/1", canonical_solution=body
    )


@pytest.mark.parametrize(
    ("text", "docs", "sign"),
    [
        ("def hasClose(a, b):\n    return 1", "", "signature"),
        ("def f(a):\n    return 1", "Tell, for any two numbers of a list are closer to each "
         "other, what.", "words"),
        ("def f(xs, d):\n    return any(abs(p - q) < d for k, p in enumerate(xs) for q in xs[:k])",
         "", "tree"),
        ("def f(xs, d):\n    return sum(xs) + d", "Add up the numbers of a list.", ""),
    ],
)  # fmt: skip
def test_signs_of_a_benchmark(text, docs, sign):
    known = Benchmarks()
    known.add([known_task()])
    assert known.text_sign(function(text), docs).startswith(sign)
    assert bool(sign) or known.text_sign(function(text), docs) == ""


def test_missing_benchmarks_are_noted():
    known = Benchmarks.of(read_benchmarks(["jsonl:/nowhere.jsonl"]))
    assert "jsonl:/nowhere.jsonl" in known.missing
    assert grams("one two three") == set()
