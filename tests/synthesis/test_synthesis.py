"""Composition: wiring, task text, validity, duplicates, curriculum."""

import ast
from collections import Counter
from random import Random

import pytest

from codegym.atoms import catalogue
from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.sources import load_tasks
from codegym.synthesis import Composition, Curriculum, CurriculumConfig, Fork, SynthesisConfig
from codegym.synthesis.composition import read_key
from codegym.synthesis.duplicate_tasks import DuplicateFilter, ast_key, behaviour_key
from codegym.synthesis.generate import make_task
from codegym.synthesis.space import Space
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
