"""Splits of compositions, and task sources over them: disjoint, seeded, filtered."""

import re
from collections import Counter
from random import Random
from urllib.parse import urlencode

import pytest

from codegym.atoms import catalogue
from codegym.errors import ConfigError, ConformanceError, TaskError
from codegym.sources import load_tasks
from codegym.synthesis import Composition, SynthesisConfig
from codegym.synthesis.composition import read_key
from codegym.synthesis.generate import draw_composition, members
from codegym.synthesis.pairs import fraction, is_held_out, pair_class, pairs_of
from codegym.synthesis.splits import Split, SplitRule, assert_disjoint

ATOMS = catalogue()


def chain(*names: str) -> Composition:
    return Composition(tuple(ATOMS[name] for name in names))


def test_redundant_pairs_are_left_out():
    following = {name: {a.name for a in found} for name, found in pairs_of(3).following.items()}
    for first, second in [
        ("reverse", "reverse"),
        ("sort_up", "reverse"),
        ("sort_up", "total"),
        ("keep_odd", "count_even"),
        ("take_first", "take_first"),
        ("negate_each", "square_each"),
    ]:
        assert second not in following[first], (first, second)
    assert {"keep_above", "total", "sort_up"} <= following["square_each"]


def test_pairs_that_behave_alike_are_held_out_together():
    assert pair_class(("keep_even", "reverse")) == pair_class(("reverse", "keep_even"))
    for seed in range(20):
        sides = {
            is_held_out(pair, share=0.5, seed=seed)
            for pair in (("keep_even", "reverse"), ("reverse", "keep_even"))
        }
        assert len(sides) == 1
    small, whole = pairs_of(1).classes, pairs_of(3).classes
    assert all(whole.get(pair, found) == found for pair, found in small.items())


def test_a_fifth_of_the_pairs_is_held_out():
    pairs = list(pairs_of(3).classes)
    share = sum(is_held_out(pair, share=0.2, seed=0) for pair in pairs) / len(pairs)
    assert 0.15 < share < 0.25
    assert 0 <= fraction("x") < 1 and fraction("x") == fraction("x") != fraction("y")


@pytest.mark.parametrize("domain", ["small", "big", "all"])
def test_the_four_sets_are_disjoint_by_key_and_by_behaviour(domain):
    sets = {
        split: members(SynthesisConfig(domain=domain, min_depth=d, max_depth=d, split=split), d)
        for split, d in ((Split.ATOMS, 1), (Split.A, 2), (Split.B, 2), (Split.C, 2))
    }
    assert_disjoint(
        {split: [composition.key for composition in found] for split, found in sets.items()}
    )
    space = SynthesisConfig(domain=domain).space
    assert sum(map(len, sets.values())) == len(space.atoms) + space.count(2)
    classes = [{pair_class(composition.pairs[0]) for composition in sets[split]} for split in "abc"]
    assert (
        not classes[0] & classes[1] and not classes[0] & classes[2] and not classes[1] & classes[2]
    )


def test_deeper_sets_are_disjoint_too():
    drawn = {}
    for split, depth in ((Split.A, 3), (Split.B, 3), (Split.C, 3), (Split.C, 4)):
        config = SynthesisConfig(
            domain="all", min_depth=2, max_depth=depth, split=split, shape="any"
        )
        rng = Random(0)
        keys = [draw_composition(config, rng, depth).key for _ in range(300)]
        drawn.setdefault(split, []).extend(keys)
    assert_disjoint(drawn)
    held = [
        any(is_held_out(p, share=0.2, seed=0) for p in read_key(key, argument="int").pairs)
        for key in drawn[Split.A] + drawn[Split.B]
    ]
    assert not any(held)


def test_compositions_deeper_than_training_are_in_c():
    config = SynthesisConfig(domain="small")
    deeper = [
        chain(*(a.name for a in composition.atoms), "square") for composition in members(config, 2)
    ]
    deeper = [composition for composition in deeper if composition.atoms[1].returns == "int"]
    assert deeper and {
        SplitRule(train_depth=2).split_of(composition) for composition in deeper
    } == {Split.C}
    assert Split.A in {SplitRule(train_depth=3).split_of(composition) for composition in deeper}


def test_a_shared_key_is_an_error():
    with pytest.raises(ConformanceError, match="belongs to A and to C"):
        assert_disjoint({Split.A: ["add.square"], Split.C: ["add.square"]})


def test_train_atoms_meet_every_atom_and_test_atoms_other_parameters():
    train = load_tasks("atoms?domain=all")
    assert {train[i].metadata["key"] for i in range(1500)} == set(ATOMS)
    test = load_tasks("atoms?split=test")
    seen = {(train[i].metadata["key"], str(train[i].metadata["parameters"])) for i in range(3000)}
    held = {(test[i].metadata["key"], str(test[i].metadata["parameters"])) for i in range(500)}
    assert len(held) > 10 and not seen & held
    composed = load_tasks("composites?domain=all&depth=1")
    assert not held & {
        (composed[i].metadata["key"], str(composed[i].metadata["parameters"])) for i in range(2000)
    }


def test_task_i_depends_on_seed_and_i_alone():
    uri = "composites?domain=big&depth=1-3&split=train&seed=5"
    forwards, backwards = load_tasks(uri), load_tasks(uri)
    wanted = [forwards[i].to_json() for i in (0, 7, 999_999)]
    assert [backwards[i].to_json() for i in (999_999, 7, 0)][::-1] == wanted
    other = load_tasks(uri.replace("seed=5", "seed=6"))
    assert any(other[i].tests != forwards[i].tests for i in range(3))
    assert wanted[1]["task_id"].startswith("composites/big/d1-3/train/5/7/")


def test_one_task_is_pinned():
    task = load_tasks("composites?domain=small&depth=2&split=test")[17]
    again = load_tasks("composites?domain=small&depth=2&split=test")
    assert task.task_id.startswith("composites/small/d2/test/0/17/")
    assert again.find(task.task_id).to_json() == task.to_json()
    for wrong in (task.task_id + "x", "composites/small/d2/test/0/1000/total", "total", ""):
        with pytest.raises(TaskError, match="no such task"):
            again.find(wrong)


def test_lengths_and_indices():
    assert len(load_tasks("composites")) == 1_000_000
    test = load_tasks("composites?split=test")
    assert len(test) == 1000 and test[-1].to_json() == test[999].to_json()
    assert len(load_tasks("composites?split=b&size=12")) == 12
    with pytest.raises(IndexError):
        test[1000]


def test_depths_are_equally_likely():
    source = load_tasks("composites?domain=all&depth=1-3&shape=any")
    depths = Counter(source[i].metadata["depth"] for i in range(900))
    assert set(depths) == {1, 2, 3} and min(depths.values()) > 240
    assert any("(" in source[i].metadata["key"] for i in range(50))


def test_filters_narrow_atoms_and_types():
    source = load_tasks("composites?depth=2&domain=all&types=int;str&tests=3")
    for index in range(50):
        task = source[index]
        assert set(task.metadata["types"]) <= {"int", "str"} and len(task.tests) == 3
    few = load_tasks("composites?depth=2&atoms=keep_even,square_each,total")
    assert {a for i in range(40) for a in few[i].metadata["key"].split(".")} <= {
        "keep_even",
        "square_each",
        "total",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("depth=5", "unusable depth"),
        ("depth=3-2", "unusable depth"),
        ("depth=two", "unusable depth"),
        ("depth=3", "trains on at most 2 atoms"),
        ("depth=1&split=test", "no composition of this depth"),
        ("split=tset", "did you mean 'test'"),
        ("domain=smal", "did you mean 'small'"),
        ("shape=dag", "unknown shape"),
        ("style=helper", "did you mean 'helpers'"),
        ("tests=1", "outputs must vary"),
        ("size=-1", "negative size"),
        ("atoms=kep_even", "did you mean 'keep_even'"),
        ("types=lst", "unknown type"),
        ("atoms=total", "leave no composition"),
        ("deph=2", "did you mean 'depth'"),
    ],
)
def test_unusable_settings_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        load_tasks(f"composites?{options}")


@pytest.mark.parametrize(("domain", "depth"), [("small", 3), ("small", 4), ("big", 4), ("all", 4)])
@pytest.mark.parametrize("split", ["train", "b"])
def test_the_cure_of_too_deep_a_composition_cures(domain, depth, split):
    options = {"domain": domain, "depth": str(depth), "split": split}
    with pytest.raises(ConfigError) as raised:
        load_tasks(f"composites?{urlencode(options)}")
    cures = re.findall(r"(domain|split)=(\w+)", raised.value.cure)
    assert ("split", "c") in cures
    for name, value in cures:
        assert len(load_tasks(f"composites?{urlencode(options | {name: value})}"))


def test_split_shares_are_checked():
    with pytest.raises(ConfigError, match="not a share"):
        SplitRule(train_depth=2, pair_share=1.0)
