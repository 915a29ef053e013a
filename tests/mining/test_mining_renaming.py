"""Renamed tasks: the same function under other names, in text, solution and cases alike."""

import json
from random import Random

import pytest

import codegym
from codegym import CallCase, Task, load_tasks
from codegym.errors import ConfigError, UnknownNameError
from codegym.mining.renaming import parameter_names, with_other_names, with_plain_names

PROMPT = 'HEAD = "x"\n\n\ndef f(xs, key=None):\n    """Sort xs by key, then join xs."""'
SOLUTION = '\n    xs = sorted(xs, key=key or str)\n    return HEAD + ", ".join(xs) + "xs"\n'
POOL = ["alpha", "beta", "gamma"]


def task(prompt: str = PROMPT, solution: str = SOLUTION, **case: object) -> Task:
    cases = [CallCase(**(case or {"args": (["b", "a"],), "expected": "xa, bxs"}))]
    return Task.from_calls(prompt, "f", cases, task_id="one", canonical_solution=solution,
                           metadata={"licence": "MIT", "strength": 1.0, "branch_coverage": 1.0,
                                     "origin": {"distribution": "d", "module": "m"}})  # fmt: skip


def test_names_change_wherever_they_mean_the_parameter_and_nowhere_else():
    other = with_other_names(task(), POOL, Random(0))
    names = other.metadata["renamed"]
    xs, key = names["xs"], names["key"]
    assert {xs, key} < set(POOL) and xs != key
    assert other.prompt == (
        f'HEAD = "x"\n\n\ndef f({xs}, {key}=None):\n    """Sort {xs} by {key}, then join {xs}."""'
    )
    assert other.canonical_solution == (
        f'\n    {xs} = sorted({xs}, key={key} or str)\n    return HEAD + ", ".join({xs}) + "xs"\n'
    )


def test_the_solution_still_passes_and_keywords_follow():
    named = task(args=(["b", "a"],), kwargs={"key": None}, expected="xa, bxs")
    other = with_other_names(named, POOL, Random(1))
    assert list(other.tests.cases[0].kwargs) == [other.metadata["renamed"]["key"]]
    with codegym.make_sandbox() as sandbox:
        assert codegym.judge(other.canonical_solution, other, sandbox=sandbox).passed
        assert not codegym.judge(SOLUTION, other, sandbox=sandbox).passed


@pytest.mark.parametrize(
    ("prompt", "solution"),
    [
        ("def f():\n", "    return 1\n"),
        ("def f(x):\n", "    return f'{x}'\n"),
        ("def f(x):\n", "    return (\n"),
        ("def f(a, b, c, d):\n", "    return a\n"),  # more than the pool has
        ("def f(x):\n", "    def g(x):\n        return x\n    return g(x=x)\n"),
        ("def f(x):\n", "    g = lambda x: x\n    return g(x=x)\n"),
    ],
)
def test_what_cannot_be_renamed_surely_is_left_out(prompt, solution):
    assert with_other_names(task(prompt, solution), POOL, Random(0)) is None


def test_only_keywords_of_other_functions_keep_their_names():
    lines = (
        "    a, x = x.rpartition('é')[:2], sorted(x, key=x)\n",
        "    g = lambda x=1: x\n",
        "    return f(x=a, key=key) if a else min('é', key=len) + 'x' + dict(x=x)\n",
    )
    other = with_plain_names(task("def f(x, key=None):\n", "".join(lines)))
    assert other.prompt == "def f(x, y=None):\n"
    assert other.canonical_solution.split("\n") == [
        "    a, x = x.rpartition('é')[:2], sorted(x, key=x)",
        "    g = lambda x=1: x",
        "    return f(x=a, y=y) if a else min('é', key=len) + 'x' + dict(x=x)",
        "",
    ]
    unpacked = task("def f(host):\n", "    user, host = host.split('@')\n    return host\n")
    assert with_plain_names(unpacked).canonical_solution == (
        "    user, x = x.split('@')\n    return x\n"
    )
    nested = task("def f(n):\n", "    return (lambda n=1: n)() + dict(n=n)['n']\n")
    assert with_plain_names(nested).canonical_solution == (
        "    return (lambda x=1: x)() + dict(n=x)['n']\n"
    )


def test_a_parameter_may_be_a_prefix_an_escape_or_the_function_itself():
    raw = task('def f(r):\n    r"""Say r."""\n', "    return r\n")
    assert with_plain_names(raw).prompt == 'def f(x):\n    r"""Say x."""\n'
    escaped = task('def f(n):\n    "n,\\n n"\n', "    return n\n")
    assert with_plain_names(escaped).prompt == 'def f(x):\n    "x,\\n x"\n'
    itself = task("def f(n, f=None):\n", "    return (n, f)\n")
    other = with_plain_names(itself)
    assert other.prompt + other.canonical_solution == "def f(x, y=None):\n    return (x, y)\n"


def test_a_new_name_is_never_one_of_the_program():
    original = task("def f(x):\n", "    alpha = beta = x\n    return alpha\n")
    for seed in range(20):
        other = with_other_names(original, POOL, Random(seed))
        assert other.metadata["renamed"] == {"x": "gamma"}


def test_plain_names_are_the_same_in_every_function():
    other = with_plain_names(task())
    assert other.prompt == (
        'HEAD = "x"\n\n\ndef f(y, z=None):\n    """Sort y by z, then join y."""'
    )  # x is a word of the program, if only of a text of it
    assert other.canonical_solution == (
        '\n    y = sorted(y, key=z or str)\n    return HEAD + ", ".join(y) + "xs"\n'
    )
    # Parameters may change places; what the function calls x itself keeps its name.
    swapped = with_plain_names(task("def f(y, x):\n", "    return x - y\n"))
    assert (swapped.prompt, swapped.canonical_solution) == ("def f(x, y):\n", "    return y - x\n")
    local = with_plain_names(task("def f(n):\n", "    x = n + 1\n    return x * n\n"))
    assert local.canonical_solution == "    x = y + 1\n    return x * y\n"
    unsure = task("def f(n):\n", "    return f'{n}'\n")
    assert with_plain_names(unsure) == unsure


def test_the_source_can_give_plain_names_but_not_drawn_ones_too(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(task().to_json()) + "\n")
    with codegym.make_sandbox() as sandbox:
        [plain] = load_tasks(f"mined:{path}?names=plain")
        assert "def f(y, z=None)" in plain.prompt
        assert codegym.judge(plain.canonical_solution, plain, sandbox=sandbox).passed
    with pytest.raises(ConfigError, match="not both"):
        load_tasks(f"mined:{path}?names=plain&renamed=2")
    with pytest.raises(UnknownNameError, match="plain"):
        load_tasks(f"mined:{path}?names=plane")


def test_the_source_adds_variants_that_depend_on_the_seed_alone(tmp_path):
    many = [task(f"def f(p{n}, q{n}):\n", f"    return p{n}\n", args=(1, 2), expected=1)
            for n in range(6)]  # fmt: skip
    rows = [row.to_json() | {"task_id": f"t{n}"} for n, row in enumerate(many)]
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(parameter_names(many)) == 12
    source = load_tasks(f"mined:{path}?renamed=2")
    assert len(source) == 18 and source[6].task_id == "t0~1"
    assert source.find("t3~2").metadata["renamed"].keys() == {"p3", "q3"}
    again = load_tasks(f"mined:{path}?renamed=2")
    assert [variant.prompt for variant in again] == [original.prompt for original in source]
    assert [variant.prompt for variant in load_tasks(f"mined:{path}?renamed=2&seed=1")] != [
        original.prompt for original in source
    ]


def test_a_summary_is_the_first_paragraph_on_one_line(tmp_path):
    long = 'def f(x):\n    """Say it\n    twice.\n\n    Args:\n        x: It.\n    """'
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(task(long, "\n    return x\n").to_json()) + "\n")
    (short,) = load_tasks(f"mined:{path}?docstring=summary&max_prompt=60")
    assert short.prompt == 'def f(x):\n    """Say it twice."""'
