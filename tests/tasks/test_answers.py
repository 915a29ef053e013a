"""Answers: programs are found between fences, prose and interactive sessions."""

import ast

import pytest

from codegym.tasks.answers import extract_program, program_from_answer, read_program, start_of
from codegym.tasks.task import Task

CODE = "def f(x):\n    return x + 1"


@pytest.mark.parametrize(
    "answer",
    [
        CODE,
        f"```\n{CODE}\n```",
        f"```python\n{CODE}\n```",
        f"```Python3\n{CODE}\n```",
        f"``` py\n{CODE}\n```",
        f'```python title="f.py"\n{CODE}\n```',
        f"```{{.python}}\n{CODE}\n```",
        f"~~~python\n{CODE}\n~~~",
        f"````python\n{CODE}\n````",
        f"```python\r\n{CODE}\r\n```\r\n".replace("\n    ", "\r\n    "),
        f"Sure! Here it is:\n\n```python\n{CODE}\n```\n\nIt adds one, e.g. f(1) == 2.",
        f"Here:\n```python\n{CODE}",
        f"{CODE}\n```\nThis adds one.",
        "1. The function:\n\n   ```python\n   def f(x):\n       return x + 1\n   ```\n2. Done.",
        "\t```python\n\tdef f(x):\n\t    return x + 1\n\t```",
        "> ```python\n> def f(x):\n>     return x + 1\n> ```",
        "```python\n>>> def f(x):\n...     return x + 1\n...\n>>> f(1)\n2\n```",
        f"Use it so:\n```python\nprint(f(1))\n```\nDefinition:\n```python\n{CODE}\n```",
        f"```python\n{CODE}\n```\nUse:\n```python\nassert f(1) == 2\n```",
        f"```bash\npip install f\n```\n```python\n{CODE}\n```\n```text\n2\n```",
        f"```python\ndef f(x):\n    return x\n```\nThat was wrong.\n```python\n{CODE}\n```",
        f"```python\n{CODE}\n```\nTests:\n```python\ndef test_f():\n    assert f(1) == 2\n```",
        f"<think>Maybe\n```python\ndef f(x): return 0\n```\n</think>\n```python\n{CODE}\n```",
        f"Sure, here is the code.\n\n{CODE}\n\nThis returns the successor.",
        f"{CODE}\n\nThis is the answer; it's simple.",
    ],
)
def test_the_function_is_found(answer):
    names = {}
    exec(extract_program(answer, "f"), names)
    assert names["f"](1) == 2


def test_a_fence_inside_a_string_of_plain_code_is_no_fence():
    code = 'def f(x):\n    """Doc.\n\n```python\ng()\n```\n"""\n    return x + 1\n'
    assert extract_program(code, "f") == code


def test_a_longer_fence_holds_shorter_ones():
    code = 'def f(x):\n    """\n    ```\n    f(1)\n    ```\n    """\n    return x + 1'
    assert extract_program(f"````python\n{code}\n````", "f") == code
    assert extract_program(f"~~~\n{code}\n~~~", "f") == code


def test_helpers_of_earlier_blocks_come_along():
    answer = (
        "```python\nimport math\n\ndef helper(x):\n    return math.floor(x)\n```\nand then\n"
        "```python\ndef unused():\n    return 0\n```\n"
        "```python\ndef f(x):\n    return helper(x) + 1\n```"
    )
    program = extract_program(answer, "f")
    names = {}
    exec(program, names)
    assert names["f"](1.5) == 2
    assert "unused" not in program


def test_the_name_decides_between_blocks():
    answer = "```python\ndef g():\n    return 1\n```\n```python\ndef f():\n    return 2\n```"
    assert "def g" in extract_program(answer, "g")
    assert "def f" in extract_program(answer, "f")
    assert "def f" in extract_program(answer)


@pytest.mark.parametrize("answer", ["", "I cannot do that.", "```", "```python\n```", "~~~\n\n~~~"])
def test_no_program_is_no_error(answer):
    assert isinstance(extract_program(answer, "f"), str)


PROMPT = (
    'from math import floor\n\n\ndef aid(x):\n    return floor(x)\n\n\ndef f(x):\n    """Add."""\n'
)


@pytest.mark.parametrize(
    "answer",
    [
        "    return aid(x) + 1\n",
        "```python\n    return aid(x) + 1\n```",
        "```python\ndef f(x):\n    return aid(x) + 1\n```",
        PROMPT + "    return aid(x) + 1\n",
        f"```python\n{PROMPT}    return aid(x) + 1\n```",
        "```python\nreturn aid(x) + 1\n```",
        "The body:\n```\n    return aid(x) + 1\n```\nDone.",
    ],
)
def test_an_answer_continues_or_replaces_the_prompt(answer):
    task = Task.from_calls(PROMPT, "f", [((1,), 2)])
    program = program_from_answer(task, answer)
    ast.parse(program)
    names = {}
    exec(program, names)
    assert names["f"](1.5) == 2


def test_a_program_that_parses_is_left_alone():
    task = Task.from_calls("def f(x):\n", "f", [((1,), 2)])
    body = '    """\n```\n"""\n    return x + 1\n'
    assert read_program(task, body, "program")[0] == task.prompt + body
    assert read_program(task, f"So:\n```\n{CODE}\n```", "program")[0] == CODE
    assert read_program(task, "no code", "program")[0] == task.prompt + "no code"


def test_places_in_an_answer_are_found_in_its_program():
    answer = f"Sure.\n```python\n{CODE}\n```\nBye."
    program = extract_program(answer, "f")
    start = start_of(program, answer)
    assert program[start + answer.index("return") :].startswith("return x")
    assert start_of("def f(x):\n    return 1", "    return 1") == len("def f(x):\n")
    # A body that was indented behind its prompt.
    answer = "So:\n```\nreturn (x\n```"
    program = "def f(x):\n    return (x"
    assert start_of(program, answer) + answer.index("return") == program.index("return")
