"""Splits of mined tasks: similar tasks, shared code and shared modules stay in the same split."""

import json
from pathlib import Path

from codegym import Task, load_tasks
from codegym.mining.families import SPLITS, assign_splits, find_copies, find_families

MANY = 400


def mined(name: str, body: str, *, module: str = "", head: str = "") -> Task:
    return Task.from_calls(
        f'{head}def {name}(x):\n    """Do {name}."""',
        name,
        [((1,), 2)],
        task_id=f"mined/{module or name}/{name}",
        canonical_solution="\n" + body,
        metadata={"licence": "MIT", "strength": 1.0, "branch_coverage": 1.0,
                  "origin": {"distribution": "d", "module": module or name}},
    )  # fmt: skip


def distinct(number: int) -> Task:
    """Return a task whose code resembles no other's: each has its own chain of calls."""
    digits = [int(digit) for digit in f"{number:08b}"]
    calls = "".join(f".m{at}{digit}{number}(x)" for at, digit in enumerate(digits))
    return mined(f"f{number}", f"    return x{calls}\n")


def together(*tasks: Task) -> bool:
    return len(set(find_families(tasks))) == 1


def test_functions_of_one_module_are_one_family():
    add, call = "    return x + 1\n", "    while x:\n        x = print(x)\n    return max(x)\n"
    assert together(mined("a", add, module="m"), mined("b", call, module="m"))
    assert not together(mined("a", add), mined("b", call))


def test_code_that_is_alike_but_for_names_and_constants_is_one_family():
    first = "    total = 0\n    for y in x:\n        total += y * 3\n    return total % 10\n"
    other = "    s = 1\n    for z in x:\n        s += z * 5\n    return s % 97\n"
    assert together(mined("a", first), mined("b", other))
    tables = [
        f"    w = {table}\n    return sum(w[i] for i in x)\n" for table in ((1, 2), (5, 4, 3))
    ]
    assert together(mined("a", tables[0]), mined("b", tables[1]))
    assert not together(mined("a", first), mined("b", tables[0]))


def test_a_shared_helper_and_a_carried_solution_make_a_family():
    helper = "def clean(x):\n    return x.strip().lower()\n\n\n"
    first = mined("a", "    return clean(x) + 'a'\n", head=helper)
    other = mined("b", "    for y in clean(x):\n        print(y)\n    return [x]\n", head=helper)
    assert together(first, other)
    own = mined("clean", "    return x.strip().lower()\n")
    assert together(own, first)


def test_splits_depend_on_the_tasks_and_the_seed_alone():
    tasks = [distinct(number) for number in range(MANY)]
    splits = assign_splits(tasks, seed=3)
    assert splits[::-1] == assign_splits(tasks[::-1], seed=3)
    assert splits != assign_splits(tasks, seed=4)
    shares = {name: splits.count(name) / MANY for name in SPLITS}
    assert abs(shares["train"] - 0.7) < 0.07 and abs(shares["test"] - 0.2) < 0.06


def test_a_family_that_outweighs_the_others_is_for_training():
    tasks = [distinct(number) for number in range(20)]
    tasks += [mined(f"g{number}", "    return x\n", module="big") for number in range(5)]
    for seed in range(20):
        assert assign_splits(tasks, seed=seed)[20:] == ["train"] * 5


def test_a_task_without_a_program_is_a_family_of_its_own():
    broken = mined("a", "    return (\n")
    assert not together(broken, mined("b", "    return (\n"))


def test_the_source_splits_the_whole_file_before_it_filters(tmp_path: Path):
    tasks = [distinct(number) for number in range(60)]
    tasks += [mined("long", f"    return {'x + ' * 60}x\n")]
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(task.to_json()) + "\n" for task in tasks))
    ids = {}
    for split in SPLITS:
        source = load_tasks(f"mined:{path}?split={split}&seed=1")
        assert {task.metadata["split"] for task in source} == {split}
        assert source.find(source[2].task_id) == source[2]
        ids[split] = {task.task_id for task in source}
        short = {
            task.task_id
            for task in load_tasks(f"mined:{path}?split={split}&seed=1&max_solution=200")
        }
        assert short == ids[split] - {"mined/long/long"}
    assert sum(map(len, ids.values())) == len(set().union(*ids.values())) == 61


def test_held_apart_by_function_only_the_same_code_stays_together():
    helper = "def clean(x):\n    return x.strip().lower()\n\n\n"
    tasks = [
        mined("f", "    return x + 1", module="a"),
        mined("g", "    return x * 2 - 7", module="a"),
        mined("f", "    return x + 1", module="b"),
        mined("h", "    return clean(x) + 'a'", module="c", head=helper),
        mined("k", "    return clean(x) * 3", module="d", head=helper),
        mined("clean", "    return x.strip().lower()", module="e"),
    ]
    numbers = find_copies(tasks)
    assert numbers[0] == numbers[2] and len({numbers[0], numbers[1], numbers[3]}) == 3
    assert numbers[3] == numbers[4] == numbers[5], "both carry the solution of `clean` along"
    assert find_copies(tasks[3:5])[0] != find_copies(tasks[3:5])[1]
    assert set(assign_splits(tasks, apart="function")) <= set(SPLITS)


def test_code_under_other_names_is_the_same_code():
    first = mined("is_text", "    return isinstance(x, str)\n")
    other = Task.from_calls(
        'from typing import Any\n\n\ndef is_string(value: Any) -> bool:\n    """Check."""',
        "is_string",
        [((1,), 2)],
        task_id="mined/other/is_string",
        canonical_solution="\n    return isinstance(value, str)\n",
    )
    assert len(set(find_copies([first, other]))) == 1 and together(first, other)
    assert len(set(find_copies([first, mined("b", "    return isinstance(x, int)\n")]))) == 2
