"""Mining, the part that only reads: modules, types, assembly, purity, duplicates, licences."""

import ast
import os
from random import Random

import pytest

from codegym.cli.mine import read_benchmarks
from codegym.errors import ConfigError
from codegym.mining.contamination import Benchmarks, grams
from codegym.mining.docstrings import documented_types, example_literals, examples_of, read_type
from codegym.mining.duplicate_programs import tree_key
from codegym.mining.finding import Candidate, find_candidates, patterns_of, result_fault
from codegym.mining.inference import UntypedError, infer
from codegym.mining.inside.instrument import Arcs, Meter, OverBudget, Ticking
from codegym.mining.inside.mutants import make, sites
from codegym.mining.inside.patterns import text_matching
from codegym.mining.inside.samplers import Sampler
from codegym.mining.licences import licence_of_text
from codegym.mining.log import Log
from codegym.mining.module_tree import find_modules
from codegym.mining.ordering import reordered
from codegym.mining.program_assembly import DependencyError, ImpureError, ProgramAssembler
from codegym.mining.strategies import draw_inputs
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


# Types.


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


# Program assembly.


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


def test_targets_that_are_nothing_say_so(tmp_path):
    for target in ("no_such_package_anywhere", str(tmp_path)):
        with pytest.raises(ConfigError):
            find_modules(target)


def test_the_standard_library_has_an_origin():
    modules = find_modules("stdlib")
    assert {module.origin.licence for module in modules} == {"PSF-2.0"}
    assert "textwrap" in {module.name for module in modules}
    assert not [module for module in modules if module.name.startswith(("test.", "site-packages"))]


def test_licences_are_known_by_their_texts():
    assert licence_of_text("Permission is hereby granted, free of\ncharge, to any") == "MIT"
    assert licence_of_text("Apache License\n Version 2.0, January") == "Apache-2.0"
    assert licence_of_text("all rights reserved") == "unknown"


# Duplicates and benchmarks.


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


# Inputs and mutants.


SPECS = ["int", "str", "bool", "float", "bytes", "none", "any", "number", "date", "callable",
         ["list", "int"], ["dict", "str", ["list", "int"]], ["tuple", "int", "str"],
         ["set", ["list", "int"]], ["union", "int", "none"], ["literal", 1, "a"],
         ["iterable", "any"], ["sequence", "str"], ["tuples", "float"]]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_samplers_draw_vary_and_repeat(spec):
    first, other = (Sampler(Random(5), [7, "abc", 1.5], [r"\d{3}-[a-c]+"]) for _ in range(2))
    values = [first.draw(spec) for _ in range(40)]
    assert repr(values)[:40] == repr([other.draw(spec) for _ in range(40)])[:40]
    if spec not in ("callable", ["iterable", "any"], "none", "any"):
        for value in values:
            varied = first.vary(value)
            assert type(varied) is type(value)
    if spec == "int":
        assert {7, 0, 1} <= {first.draw("int") for _ in range(400)} | set(first.boundary("int"))


def test_texts_follow_patterns():
    import re

    for pattern in (r"\d{4}-(0[1-9]|1[0-2])", r"^[A-Z][a-z]*(?:, \w+)?$", r"(ab|c)\1", r"[^,]+"):
        rng = Random(1)
        assert all(re.search(pattern, text_matching(pattern, rng)) for _ in range(30)), pattern
    with pytest.raises(ValueError):
        text_matching("(", Random(0))
    assert patterns_of(ast.parse(r"re.match(r'\d+', x)")) == [r"\d+"]


def test_hypothesis_draws_the_same_inputs_again():
    pytest.importorskip("hypothesis")
    specs = ["int", ["list", "str"]]
    once = draw_inputs(specs, seed=3, count=8)
    assert once == draw_inputs(specs, seed=3, count=8)
    assert len(once) > 4
    assert once != draw_inputs(specs, seed=4, count=8)
    assert all(type(a) is int and type(b) is list for a, b in once)


def test_mutants_change_code_and_nothing_else():
    text = (
        "def f(a: int = 3, *, b='x') -> int:\n    '''Keep 1 and this.'''\n"
        "    if a > 2 and b:\n        raise ValueError('never 5 mutated')\n"
        "    return a * 2\n"
    )
    node = function(text)
    made = [make(node, site) for site in sites(node)]
    texts = {ast.unparse(mutant.tree) for mutant in made}
    assert ast.unparse(node) == ast.unparse(function(text))
    assert len(texts) == len(made)
    assert all("never 5 mutated" in text or "pass" in text or "return" in text for text in texts)
    assert all("Keep 1 and this." in text and "a: int=3, *, b='x'" in text for text in texts)
    body = "\n".join(texts)
    for expected in ("a >= 2 and b", "a <= 2 and b", "a > 2 or b", "a > 3 and b", "a > 1 and b",
                     "if True:", "if False:", "not (a > 2 and b)", "return a + 2", "return a // 2",
                     "return a * 3", "return a * 1", "return None"):  # fmt: skip
        assert expected in body, expected
    assert {mutant.line for mutant in made} <= {1, 3, 4, 5}


def test_counters_see_branches_and_end_loops():
    arcs, meter = Arcs(), Meter()
    tree = ast.parse("def f(n):\n    while n:\n        n -= 1\n    return 1 if n else 2\n")
    tree.body[0] = arcs.visit(tree.body[0])
    names = meter.names()
    exec(compile(ast.fix_missing_locations(Ticking().visit(tree)), "t", "exec"), names)
    assert len(arcs.wanted) == 4
    meter.start(100)
    assert names["f"](3) == 2
    assert len(meter.arcs) == 3
    assert meter.used == 4
    meter.start(100)
    with pytest.raises(OverBudget):
        names["f"](-1)


def test_sets_iterate_in_another_order():
    text = "def f(a):\n    return list({3, 1, 2} | set(a)), {1} & set(a), isinstance(a, set)\n"
    plain: dict = {}
    other: dict = {}
    exec(text, plain)
    exec(reordered(text, "f"), other)
    mine, theirs = plain["f"]({2, 9}), other["f"]({2, 9})
    assert sorted(mine[0]) == sorted(theirs[0])
    assert mine[0] != theirs[0]
    assert mine[1:] == theirs[1:]
    assert type(theirs[1]) is set


def test_logs_refuse_other_settings(tmp_path):
    path = tmp_path / "tasks.jsonl"
    with Log(path, {"seed": 1}):
        pass
    with pytest.raises(ConfigError, match="other settings"):
        Log(path, {"seed": 2}, resume=True).__enter__()


def test_odd_files_are_read_as_python_reads_them_or_told_apart(tmp_path):
    code = "def f(x: int) -> str:\n    '''Say caf\xe9 x times.'''\n    return 'caf\xe9' * x\n"
    files = {
        "plain": code.encode(),
        "marked": b"\xef\xbb\xbf" + code.encode(),
        "latin": b"# -*- coding: latin-1 -*-\n" + code.encode("latin-1"),
        "windows": code.replace("\n", "\r\n").encode(),
        "undeclared": code.encode("latin-1"),
        "klingon": b"# -*- coding: klingon -*-\nx = 1\n",
        "two": b"print 'hello'\n",
        "null": b"x = 1\0\n",
        "deep": b"x = " + b"-" * 100_000 + b"1\n",
        "long": b"x = '" + b"y" * (1 << 20) + b"'\n",
    }
    for name, data in files.items():
        (tmp_path / f"{name}.py").write_bytes(data)
    found = {module.name: module for module in find_modules(str(tmp_path))}
    assert {name: module.unread for name, module in found.items() if module.unread} == {
        "undeclared": "not in its encoding",
        "klingon": "not in its encoding",
        "two": "not this Python's syntax",
        "null": "not this Python's syntax",
        "deep": "nested too deeply",
        "long": "over a megabyte",
    }
    for name in ("plain", "marked", "latin", "windows"):
        (candidate,) = find_candidates(found[name])
        assert candidate.docstring == "Say caf\xe9 x times." and "\r" not in found[name].text


def test_pipes_links_that_go_round_and_closed_folders_stop_nothing(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.py").write_text("x = 2\n")
    (tmp_path / "sub" / "round").symlink_to("..")
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    (tmp_path / "closed").mkdir(mode=0)
    assert [module.name for module in find_modules(str(tmp_path))] == ["a", "sub.b"]
    (tmp_path / "closed").chmod(0o700)


def test_two_runs_do_not_write_to_one_file(tmp_path):
    path = tmp_path / "tasks.jsonl"
    with Log(path, {}), pytest.raises(ConfigError, match="another run"), Log(path, {}):
        pass
    with Log(path, {}, resume=True) as log:
        assert log.done == []
