"""Composition: wiring, task text, validity, splits, reproducibility, duplicates, curriculum."""

import ast
import re
from collections import Counter
from random import Random
from urllib.parse import urlencode

import pytest

from codegym.atoms import catalogue
from codegym.errors import ConfigError, ConformanceError, TaskError, UnknownNameError
from codegym.sources import load_tasks
from codegym.synthesis import Composition, Curriculum, CurriculumConfig, Fork, SynthesisConfig
from codegym.synthesis.composition import read_key
from codegym.synthesis.duplicate_tasks import DuplicateFilter, ast_key, behaviour_key
from codegym.synthesis.generate import draw_composition, make_task, members
from codegym.synthesis.pairs import fraction, is_held_out, pair_class, pairs_of
from codegym.synthesis.space import Space
from codegym.synthesis.splits import Split, SplitRule, assert_disjoint
from codegym.synthesis.task_text import write_prompt, write_solution
from codegym.synthesis.validity import all_atoms_matter, is_varied, outputs_of
from codegym.tasks.task import Task

ATOMS = catalogue()
ALL = "composites?domain=all&shape=any"


def chain(*names: str) -> Composition:
    return Composition(tuple(ATOMS[name] for name in names))


def run(task: Task, program: str | None = None):
    """Run a task's program in this process: it is our own code."""
    space: dict = {}
    exec(task.program(program or task.canonical_solution), space)
    return space[task.entry_point]


def test_a_chain_by_hand():
    composition = chain("keep_above", "multiply_each", "total")
    parameters = ({"k": 3}, {"k": 2}, {})
    assert composition.key == "keep_above.multiply_each.total"
    assert (composition.arguments, composition.returns, composition.depth) == (
        ("list[int]",),
        "int",
        3,
    )
    assert composition.pairs == (("keep_above", "multiply_each"), ("multiply_each", "total"))
    assert composition.bind(parameters)([1, 4, 5]) == 18
    assert composition.bind(parameters, without=1)([1, 4, 5]) == 9
    assert write_solution(composition, parameters, "inline") == (
        "    xs = [x for x in xs if x > 3]\n    xs = [x * 2 for x in xs]\n    return sum(xs)\n"
    )


def test_a_fork_by_hand():
    fork = Fork(
        left=(ATOMS["largest"],), right=(ATOMS["unique"], ATOMS["total"]), join=ATOMS["gap"]
    )
    composition = Composition((fork, ATOMS["multiply"]), "list[int]")
    parameters = ({}, {}, {}, {}, {"k": 2})
    assert composition.key == "gap(largest,unique.total).multiply"
    assert set(composition.pairs) == {
        ("largest", "gap"),
        ("unique", "total"),
        ("total", "gap"),
        ("gap", "multiply"),
    }
    assert composition.bind(parameters)([3, 3, 4]) == 2 * (7 - 4)
    assert write_solution(composition, parameters, "inline") == (
        "    a = max(xs, default=0)\n"
        "    b = list(dict.fromkeys(xs))\n"
        "    b = sum(b)\n"
        "    n = abs(a - b)\n"
        "    return n * 2\n"
    )


def test_leaving_an_atom_out_reaches_into_both_branches():
    fork = Fork(left=(ATOMS["add"],), right=(ATOMS["multiply"],), join=ATOMS["gap"])
    composition = Composition((fork,), "int")
    parameters = ({"k": 1}, {"k": 3}, {})
    results = [composition.bind(parameters, without=i)(10) for i in (-1, 0, 1)]
    assert results == [abs(11 - 30), abs(10 - 30), abs(11 - 10)]
    longer = Composition((ATOMS["square"], fork))
    results = [longer.bind(({}, *parameters), without=i)(3) for i in range(3)]
    assert results == [abs(4 - 9), abs(9 - 27), abs(10 - 9)]


def test_the_prompt_is_two_lines_in_each_of_three_templates():
    composition = chain("take_first", "total")
    prompts = {write_prompt(composition, ({"k": 2}, {}), Random(i)) for i in range(200)}
    for prompt in prompts:
        signature, docstring, rest = prompt.split("\n")
        assert signature == "def f(xs: list[int]) -> int:"
        assert docstring.startswith('    """') and docstring.endswith('."""') and rest == ""
        ast.parse(prompt)
    text = "".join(prompts)
    assert "Keep the first 2 items, then take the sum." in text
    assert "First take the first 2 items, finally add up all numbers." in text
    assert "Take the sum, but before that keep only the first 2 items." in text


def test_one_item_is_said_in_the_singular():
    composition = chain("take_first", "drop_last")
    prompts = [write_prompt(composition, ({"k": 1}, {"k": 11}), Random(i)) for i in range(60)]
    assert any("Take the first item, then drop the last 11 items." in prompt for prompt in prompts)
    assert not any("1 item," in prompt or "first 1 " in prompt for prompt in prompts)
    letters = {write_prompt(chain("keep_long"), ({"k": 1},), Random(i)) for i in range(30)}
    assert all("1 letter." in prompt for prompt in letters)


def test_two_arguments_are_named_in_the_signature_and_in_the_words():
    composition = chain("join_lists", "count_items")
    prompt = write_prompt(composition, ({}, {}), Random(1))
    assert prompt.startswith("def f(xs: list[int], ys: list[int]) -> int:\n")
    assert " xs" in prompt.split('"""')[1] and " ys" in prompt.split('"""')[1]


@pytest.mark.parametrize("style", ["inline", "helpers"])
@pytest.mark.parametrize("options", ["depth=1-3", "depth=2-4&split=test", "depth=2-3&split=b"])
def test_every_solution_passes_its_tests_and_each_statement_is_one_atom(options, style):
    source = load_tasks(f"{ALL}&{options}&style={style}")
    for index in range(150):
        task = source[index]
        function = run(task)
        for case in task.tests.cases:
            assert repr(function(*case.args)) == repr(case.expected)
        body = ast.parse(task.program(task.canonical_solution)).body[0].body[1:]
        assert len(body) == task.metadata["depth"]
        assert task.prompt_is_code and task.prompt.endswith('"""\n')
        assert max(map(len, task.canonical_solution.split("\n"))) <= 100


def test_helpers_are_called_by_name_and_defined_once_after_the_function():
    task = make_task(
        chain("add", "add"), Random(0), config=SynthesisConfig(style="helpers", domain="small")
    )
    assert task.canonical_solution.count("def add(n: int, k: int) -> int:") == 1
    assert task.canonical_solution.startswith("    n = add(n, ")


def test_tasks_keep_the_validity_rules():
    source = load_tasks(f"{ALL}&depth=1-3")
    for index in range(200):
        task = source[index]
        outputs = [repr(case.expected) for case in task.tests.cases]
        assert "None" not in outputs
        assert Counter(outputs).most_common(1)[0][1] <= 6
        inputs = [repr(case.args) for case in task.tests.cases]
        assert len(set(inputs)) == len(inputs)


def test_what_validity_turns_away():
    inputs = [([1, 2, 3],), ([5],), ([],), ([2, 2],)]
    nothing = ({}, {})
    assert outputs_of(chain("sort_up", "total"), nothing, inputs) is None  # sorting is not noticed
    assert outputs_of(chain("keep_odd", "count_even"), nothing, inputs) is None  # always 0
    assert outputs_of(chain("reverse", "differences"), nothing, inputs) == [[-1, -1], [], [], [0]]
    assert outputs_of(chain("mean", "to_text"), nothing, inputs) is not None
    assert not is_varied(["1", "1", "1", "1"]) and not is_varied(["1"] * 7 + ["2"])
    assert is_varied(["1"] * 6 + ["2", "2"]) and is_varied(["1", "2"])
    assert all_atoms_matter(chain("keep_odd", "total"), nothing, inputs, ["4", "5", "0", "0"])


def test_an_error_is_turned_away(monkeypatch):
    def broken(xs):
        return xs[10]

    total = ATOMS["total"]
    failing = type(total)(
        **{name: getattr(total, name) for name in total.__slots__} | {"function": broken}
    )
    assert outputs_of(Composition((failing,)), ({},), [([1],), ([2],)]) is None
    silent = type(total)(
        **{name: getattr(total, name) for name in total.__slots__}
        | {"function": lambda xs: xs or None}
    )
    assert outputs_of(Composition((silent,)), ({},), [([1],), ([],), ([2],)]) is None


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


def test_chains_are_drawn_as_often_as_they_are_listed():
    space = Space(1, atoms=frozenset({"keep_even", "total", "square", "add"}))
    listed = [composition.key for composition in space.chains(3)]
    assert len(listed) == space.count(3) == len(set(listed))
    rng = Random(0)
    drawn = Counter(space.draw_chain(rng, 3).key for _ in range(200 * len(listed)))
    assert set(drawn) == set(listed)
    assert all(120 < number < 280 for number in drawn.values())


def test_a_key_names_its_composition():
    for key, argument in (
        ("keep_even.total", ""),
        ("gap(largest,unique.total).square", "list[int]"),
    ):
        assert read_key(key, argument=argument).key == key
    with pytest.raises(UnknownNameError, match="did you mean 'total'"):
        read_key("totl")
    with pytest.raises(ConfigError, match="not the key"):
        read_key("keep_even..total")


def test_duplicates_are_known_by_code_and_by_behaviour():
    config = SynthesisConfig(domain="small")
    first, second = (make_task(chain("add", "add"), Random(i), config=config) for i in (0, 1))
    found = DuplicateFilter()
    assert found.admit(first) and not found.admit(first) and found.by_ast == 1
    assert found.admit(second) == (first.metadata["parameters"] != second.metadata["parameters"])
    first = make_task(chain("keep_even", "reverse"), Random(0), config=config)
    second = make_task(chain("reverse", "keep_even"), Random(0), config=config)
    assert behaviour_key(first) == behaviour_key(second)
    assert found.admit(first) and not found.admit(second) and found.by_behaviour == 1
    with pytest.raises(TaskError, match="not a composed task"):
        behaviour_key(Task.from_calls("def f(x):\n", "f", [((1,), 2)]))


def test_ast_key_sees_code_and_nothing_else():
    assert ast_key('def f(x):\n    """Doc."""\n    return x+1  # why\n') == ast_key(
        "def f(x):\n\n    return x + 1"
    )
    assert ast_key("def f(x):\n    return x + 1") != ast_key("def f(x):\n    return x + 2")


def test_the_curriculum_climbs_and_falls_by_the_success_rate():
    curriculum = Curriculum(CurriculumConfig(window=10, up_at=0.7, down_at=0.2, review=0.0))
    for task in curriculum.draw(10):
        assert task.metadata["depth"] == 1
        curriculum.observe(task, passed=True)
    assert curriculum.level == 1 and curriculum.success_rate is None
    for number, task in enumerate(curriculum.draw(10)):
        curriculum.observe(task, passed=number % 2 == 0)
    assert curriculum.level == 1 and curriculum.success_rate == 0.5
    late = curriculum.draw(10)
    for task in late:
        curriculum.observe(task, passed=False)
    assert curriculum.level == 0
    for task in late:
        curriculum.observe(task, passed=True)
    assert curriculum.level == 0 and curriculum.success_rate is None


def test_the_curriculum_stays_within_its_lessons_and_reviews_old_ones():
    config = CurriculumConfig(window=2, review=0.5)
    curriculum = Curriculum(config)
    lessons = set()
    for _ in range(400):
        (task,) = curriculum.draw(1)
        lessons.add((curriculum.level, task.metadata["lesson"]))
        curriculum.observe(task, passed=True)
    assert curriculum.level == len(config.lessons) - 1
    assert (5, 5) in lessons and (5, 0) in lessons and (0, 1) not in lessons


def test_the_curriculum_goes_on_where_it_was_saved():
    first = Curriculum(CurriculumConfig(window=8))
    for task in first.draw(11):
        first.observe(task, passed=True)
    second = Curriculum(CurriculumConfig(window=8))
    second.load_state_dict(first.state_dict())
    assert [t.to_json() for t in first.draw(5)] == [t.to_json() for t in second.draw(5)]
    assert first.state_dict() == second.state_dict()
    with pytest.raises(ConfigError, match="another curriculum"):
        second.load_state_dict({"level": 9, "drawn": 0, "results": []})


@pytest.mark.parametrize(
    "settings",
    [{"window": 0}, {"up_at": 0.1, "down_at": 0.2}, {"review": 1.0}, {"lessons": ()}],
)
def test_an_unusable_curriculum_is_refused(settings):
    with pytest.raises(ConfigError):
        CurriculumConfig(**settings)


def test_split_shares_are_checked():
    with pytest.raises(ConfigError, match="not a share"):
        SplitRule(train_depth=2, pair_share=1.0)
