"""Mining: inputs, mutants, counters and the order of sets."""

import ast
from random import Random

import pytest

from codegym.mining.finding import patterns_of
from codegym.mining.inside.instrument import Arcs, Meter, OverBudget, Ticking
from codegym.mining.inside.mutants import make, sites
from codegym.mining.inside.patterns import text_matching
from codegym.mining.inside.samplers import Sampler
from codegym.mining.ordering import reordered
from codegym.mining.strategies import draw_inputs


def function(text):
    return ast.parse(text).body[0]


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
