r"""Answer shapes: texts as models write them, each with the task it answers.

Every right answer defines ``f`` with ``f(1) == 2``, or reads two numbers and prints their sum; a
draft that must not be chosen gives -1. ``KIND`` says what the text answers:

``named``   a task in plain words that names the function ``f``;
``prompt``  a task whose prompt is the head of ``f``, with an import and a helper;
``stdio``   a task in plain words for a whole program;
``none``    any task; the text holds no program.
"""
# ruff: noqa: E501

from typing import NamedTuple


class Shape(NamedTuple):
    """A text, and the kind of task it answers."""

    kind: str
    name: str
    answer: str


CODE = "def f(x):\n    return x + 1"
DRAFT = "def f(x):\n    return -1"
MAIN = "a, b = map(int, input().split())\nprint(a + b)"
BAD_MAIN = "a, b = map(int, input().split())\nprint(-1)"
SOLUTION = "class Solution:\n    def f(self, x: int) -> int:\n        return x + 1"
DOC = 'def f(x):\n    """Add one.\n\n    ```python\n    >>> f(1)\n    2\n    ```\n    """\n    return x + 1'
SOLVE = "def solve():\n    a, b = map(int, input().split())\n    print(a + b)"


def fence(code: str, label: str = "python", mark: str = "```") -> str:
    """Return code in a fence."""
    return f"{mark}{label}\n{code}\n{mark}"


def indented(text: str, by: str) -> str:
    """Return a text with white space or a mark before each line."""
    return "\n".join(by + line for line in text.split("\n"))


FENCED = fence(CODE)
BOTH = [("named", CODE, DRAFT), ("stdio", MAIN, BAD_MAIN)]

LABELS = [
    "", "py", "py3", "Python", "PYTHON", "python3", "Python3", "python3.11", "language-python",
    "{.python}", "{python}", '{.python .numberLines startFrom="1"}', "python title=\"f.py\"",
    "python:f.py", "python,linenos", "ipython", " python", "python  ", "sage", "lang-py",
]  # fmt: skip
# Around a program in a fence.
AROUND = {
    "prose": "Sure! Here is it:\n\n{}\n\nIt adds the numbers, e.g. 1 and 2.",
    "heading": "# Solution\n\n## Approach\n\nAdd them.\n\n## Code\n\n{}\n\n## Complexity\n\n$O(1)$",
    "latex": "\\section*{{Solution}}\n\nWe use $x + 1$:\n\\[ y = x + 1 \\]\n\n{}\n\n\\textbf{{Done.}}",
    "bash first": "```bash\npip install numpy\npython main.py\n```\n\n{}",
    "output after": "{}\n\nOutput:\n\n```\n3\n```",
    "text after": "{}\n\nExample:\n```text\nf(1) = 2\n```",
    "output block": "{}\n```output\n2\n```\n",
    "json after": '{}\n\n```json\n{{"a": 1}}\n```',
    "C++ after": "{}\n\nIn C++:\n\n```cpp\nint f(int x) {{ return x + 1; }}\n```",
    "JavaScript first": "```javascript\nconst f = x => x + 1;\n```\n\nIn Python:\n\n{}",
    "diff after": "{}\n\n```diff\n- return x\n+ return x + 1\n```",
    "session after": "{}\n\n```pycon\n>>> f(1)\n2\n```",
    "session after, unlabelled": "{}\n\n```\n>>> f(1)\n2\n```",
    "session in prose": "{}\n\n>>> f(1)\n2\n",
    "table": "| a | b |\n|---|---|\n| 1 | 2 |\n\n{}\n\n- fast\n- short\n",
    "inline code": "Use `f` with `x + 1`:\n\n{}\n\nHere `x` is a number.",
    "thought": "<think>Let me think. Perhaps x - 1?</think>\n\n{}",
    "thought, opened by the prompt": "Let me think.\n</think>\n\n{}",
    "thinking": "<thinking>\nadd\n</thinking>\n{}",
    "reasoning": "<reasoning>\nadd\n</reasoning>\n<answer>\n{}\n</answer>",
    "answer tags": "<answer>\n{}\n</answer>",
    "solution tags": "It adds.\n<solution>\n{}\n</solution>\nDone.",
    "unclosed answer tag": "<answer>{}",
    "im_end": "{}<|im_end|>",
    "im_end on a line": "{}\n<|im_end|>\n<|im_start|>user\nThanks!<|im_end|>\n",
    "eot_id": "{}<|eot_id|>",
    "eot_id, then a header": "{}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nMore?",
    "llama header first": "<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
    "s": "<s>{}</s>",
    "endoftext": "{}<|endoftext|>import os\nos.abort(",
    "end": "<|assistant|>\n{}<|end|>",
    "end_of_turn": "<start_of_turn>model\n{}<end_of_turn>\n<end_of_turn>",
    "deepseek": "{}<\uff5cend\u2581of\u2581sentence\uff5c>",
    "instructions": "[INST] Write f. [/INST] {} </s>",
    "chatml": "<|im_start|>assistant\n{}\n<|im_end|>",
    "conversation": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWrite it.<|im_end|>\n"
    "<|im_start|>assistant\n{}<|im_end|>",
    "cohere": "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{}<|END_OF_TURN_TOKEN|>",
    "cohere response": "<|START_THINKING|>add<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "harmony": "<|channel|>analysis<|message|>We add.<|end|><|start|>assistant<|channel|>final"
    "<|message|>{}<|return|>",
    "harmony without special tokens": "analysisWe add them.assistantfinal{}",
    "marks": "[BEGIN]\n{}\n[DONE]\n\nYou are an expert",
    "kimi": "\u25c1think\u25b7add\u25c1/think\u25b7{}",
    "magistral": "[THINK]add[/THINK]{}",
}  # fmt: skip
# A draft {0}, then the program {1}, in fences.
DRAFTS = {
    "draft in prose": "{0}\n\nWait, that is wrong.\n\n{1}",
    "draft in a thought": "<think>Maybe:\n{0}\nNo.</think>\n{1}",
    "draft in a thought that the prompt opened": "Maybe:\n{0}\nNo.\n</think>\n\n{1}",
    "draft in an analysis": "<|channel|>analysis<|message|>{0}<|end|><|start|>assistant<|channel|>"
    "final<|message|>{1}",
    "draft in an answer": "{0}\n\n<answer>\n{1}\n</answer>",
    "several drafts": "{0}\n{0}\nBetter:\n{1}",
    "cut-off draft after": "{0}\n\nBetter:\n\n{1}\n\nFaster still:\n```python\ndef f(x",
    "thought after": "{1}\n<think>\nIs it right? Perhaps\n{0}\n</think>\n",
    "unclosed thought after": "{1}\n<think>\nIs it right? Perhaps\n{0}",
    "other turn after": "{1}<|im_end|>\n<|im_start|>user\nWrong.<|im_end|>\n<|im_start|>assistant\n{0}",
}  # fmt: skip


def _around() -> list[Shape]:
    found = []
    for kind, code, draft in BOTH:
        found += [Shape(kind, f"around: {n}", t.format(fence(code))) for n, t in AROUND.items()]
        found += [
            Shape(kind, f"drafts: {name}", text.format(fence(draft), fence(code)))
            for name, text in DRAFTS.items()
        ]
        found += [Shape(kind, f"label {label!r}", fence(code, label)) for label in LABELS]
    return found


FENCES = {
    "tildes": fence(CODE, mark="~~~"),
    "four backticks": fence(CODE, mark="````"),
    "four backticks around docstring fences": fence(DOC, mark="````"),
    "tildes around docstring fences": fence(DOC, mark="~~~"),
    "docstring fences": fence(DOC),
    "docstring fences, unlabelled": fence(DOC.replace("```python", "```")),
    "docstring fences, then usage": fence(DOC) + "\n\nUse:\n\n" + fence("print(f(1))"),
    "docstring fences at the margin": fence(
        'def f(x):\n    """Add.\n\n```\nf(1)\n```\n"""\n    return x + 1'
    ),
    "fence in a string": fence('def f(x):\n    mark = """\n```\n"""\n    return x + len(mark) - 4'),
    "unclosed": f"Here:\n```python\n{CODE}",
    "unclosed, with prose behind": f"```python\n{CODE}\n\nThis function adds one to the number.",
    "closed on the last line of code": f"```python\n{CODE}```",
    "closed on the last line, prose behind": f"Here:\n```python\n{CODE}```\n\nIt adds one.",
    "opened behind prose": f"Here is the code: ```python\n{CODE}\n```",
    "code on the fence's line": f"```{CODE}\n```",
    "only closed": f"{CODE}\n```\nThis adds one.",
    "closed twice": f"```python\n{CODE}\n```\n```\n",
    "blank lines inside": f"```python\n\n\n{CODE}\n\n\n```",
    "in a list": "1. The function:\n\n" + indented(FENCED, "   ") + "\n\n2. Done.",
    "in a bullet, tabs": "* The function:\n\n" + indented(FENCED, "\t"),
    "behind a list mark": "- ```python\n  def f(x):\n      return x + 1\n  ```",
    "quoted": indented(FENCED, "> "),
    "quoted, with prose": "> As you said:\n>\n" + indented(FENCED, "> "),
    "in a list, closed at the margin": "- so:\n  ```python\n  def f(x):\n      return x + 1\n```",
    "CRLF": f"Sure!\n\n{FENCED}\n\nBye.\n".replace("\n", "\r\n"),
    "byte order mark": f"\ufeff{FENCED}",
    "byte order mark inside": f"```python\n\ufeff{CODE}\n```",
    "no-break spaces": FENCED.replace("    ", "\u00a0\u00a0\u00a0\u00a0"),
    "no-break spaces in the middle": FENCED.replace("x + 1", "x\u00a0+\u202f1"),
    "zero-width characters": FENCED.replace("(x)", "(\u200bx)").replace("return", "return\u2060"),
    "odd spaces stay in strings": fence(
        "def f(x):\n\u00a0\u00a0\u00a0\u00a0return x + len('\u00a0')"
    ),
    "entities": fence("def f(x):\n    if x &gt; 0 and x &lt; 9:\n        return x + 1"),
    "notebook": fence("!pip install numpy\n%matplotlib inline\n" + CODE),
    "session": fence(">>> def f(x):\n...     return x + 1\n...\n>>> f(1)\n2"),
    "never closed, then again": f"```python\ndef f(x):\n    retur\n\nOh no, again:\n{FENCED}",
    "markdown around": f"```markdown\n# Answer\n{FENCED}\n```",
    "main guard": fence(f"{CODE}\n\n\nif __name__ == '__main__':\n    print(f(1))"),
    "async helper and decorator": fence(
        "from functools import cache\n\n\n@cache\ndef f(x: int) -> int:\n    return x + 1"
    ),
    "lambda": fence("f = lambda x: x + 1"),
    "class Solution": fence(SOLUTION),
    "class Solution with prose": f"Here:\n\n{fence(SOLUTION)}\n\nUse `Solution().f(1)`.",
    "class Solution, then usage": fence(SOLUTION) + "\n\n" + fence("print(Solution().f(1))"),
    "class Solution in plain text": f"The class:\n\n{SOLUTION}\n\nThis is all.",
    "helper before": fence("def one():\n    return 1")
    + "\nthen\n"
    + fence("def f(x):\n    return x + one()"),
    "helper behind": fence("def f(x):\n    return x + one()")
    + "\n\nwhere\n\n"
    + fence("def one():\n    return 1"),
    "helper behind with an example": fence("def f(x):\n    return x + one()")
    + "\n"
    + fence("def one():\n    return 1\n\nprint(one())"),
    "import in its block": fence("import math") + "\n" + fence("def f(x):\n    return math.ceil(x) + 1"),
    "class before": fence("class Box:\n    def __init__(self, x):\n        self.x = x")
    + "\n"
    + fence("def f(x):\n    return Box(x).x + 1"),
    "three blocks": fence("import math")
    + fence("def up(x):\n    return math.ceil(x)").join("\n\n")
    + fence("def f(x):\n    return up(x) + 1"),
    "helper of a draft": fence("def one():\n    return 1\n\ndef f(x):\n    return -one()")
    + "\nNo:\n"
    + fence("def f(x):\n    return x + one()"),
    "tests behind": FENCED + "\nTests:\n" + fence("assert f(1) == 2\nassert f(2) == 3"),
    "tests that import": FENCED + "\n" + fence("from main import f\n\ndef test():\n    assert f(1) == 2"),
    "usage first": "Use:\n" + fence("print(f(1))") + "\nDefinition:\n" + FENCED,
    "signature first": "The signature:\n" + fence("def f(x):\n    ...") + "\nAll:\n" + FENCED,
    "signature behind": FENCED + "\nIn short:\n" + fence("def f(x):\n    pass"),
    "signature without a body": fence("def f(x):") + "\n\n" + FENCED,
    "broken draft": fence("def f(x:\n    return x + 1") + "\nOops.\n" + FENCED,
    "broken last draft": FENCED + "\nShorter:\n" + fence("def f(x) return x + 1"),
    "another function behind": FENCED + "\nAnd\n" + fence("def g(x):\n    return f(x)"),
}  # fmt: skip
UNFENCED = {
    "plain": CODE,
    "with a shebang": f"#!/usr/bin/env python3\n{CODE}\n",
    "prose before": f"Sure, here is the code.\n\n{CODE}",
    "prose behind": f"{CODE}\n\nThis returns the number behind x.",
    "prose around": f"Sure, here is the code.\n\n{CODE}\n\nThis adds 1; e.g. f(1) == 2.",
    "a label": f"Solution:\n\n{CODE}\n\nExplanation:\n\nIt adds one.",
    "bold label": f"**Answer**\n\n{CODE}\n\n**Note**: x is a number.",
    "bare word before": f"python\n{CODE}",
    "bare word behind": f"{CODE}\n\nDone",
    "prose that begins like code": f"from the start, we import nothing.\n\n{CODE}\n\nfor all x.",
    "code in two pieces": "First the import:\n\nimport math\n\nNow the function:\n\n"
    "def f(x):\n    return math.ceil(x) + 1\n\nThat is all.",
    "indented as markdown code": "Here:\n\n" + indented(CODE, "    ") + "\n\nThat is all.",
    "session behind": f"{CODE}\n\n>>> f(1)\n2\n>>> f(2)\n3",
    "session only": ">>> def f(x):\n...     return x + 1\n...\n>>> f(1)\n2",
    "inline": "The function is `def f(x): return x + 1`.",
    "inline with double backticks": "Use ``f = lambda x: x + 1`` here.",
    "inline fence": "```f = lambda x: x + 1```",
    "PYTHON tags": f"[PYTHON]\n{CODE}\n[/PYTHON]",
    "PYTHON tags with tests": f"[PYTHON]\n{CODE}\n[/PYTHON]\n[TESTS]\nassert f(1) == 2\n[/TESTS]",
    "code tags": f"Here:\n<code>\n{CODE}\n</code>\nDone.",
    "pre and code": "<pre><code class=\"language-python\">def f(x):\n    if x &lt; 9:\n"
    "        return x + 1\n</code></pre>",
    "python tags": f"<python>\n{CODE}\n</python>",
    "answer tags without a fence": f"<answer>\n{CODE}\n</answer>",
    "answer tags in one line": "<answer>f = lambda x: x + 1</answer>",
    "solution tags": f"It is easy.\n<solution>\n{CODE}\n</solution>",
    "begin_of_solution": f"<|begin_of_thought|>add<|end_of_thought|><|begin_of_solution|>\n{CODE}\n"
    "<|end_of_solution|>",
    "draft in a fence, answer in tags": f"{fence(DRAFT)}\n<answer>\n{CODE}\n</answer>",
    "verbatim": f"\\begin{{verbatim}}\n{CODE}\n\\end{{verbatim}}",
    "listing": f"So:\n\\begin{{lstlisting}}[language=Python]\n{CODE}\n\\end{{lstlisting}}\n$\\square$",
    "minted": f"\\begin{{minted}}{{python}}\n{CODE}\n\\end{{minted}}",
    "BEGIN and DONE": f"[BEGIN]\n{CODE}\n[DONE]",
    "DONE": f"{CODE}\n[DONE]\nYou are an expert Python programmer",
    "DONE, then code": f"{CODE}\n[DONE]\n{DRAFT}",
    "im_end": f"{CODE}<|im_end|>",
    "s": f"{CODE}</s>",
    "endoftext with junk": f"{CODE}<|endoftext|>The following is",
    "end_of_turn": f"{CODE}\n<end_of_turn>",
    "thought": f"<think>\nx - 1?\n</think>\n\n{CODE}",
    "thought with a mention of its end": f"<think>I close with </think> soon.</think>{CODE}",
    "harmony": f"<|channel|>final<|message|>{CODE}<|return|>",
    "CRLF with prose": f"Sure.\n\n{CODE}\n\nBye now.\n".replace("\n", "\r\n"),
    "byte order mark": f"\ufeff{CODE}",
    "end token in a string": 'END = "<|im_end|>"\n\n\ndef f(x):\n    return x + 1',
    "end token in a string, in a fence": fence('END = "<|im_end|>"\n\n\ndef f(x):\n    return x + 1'),
    "end token in a docstring, in a fence": fence(
        'def f(x):\n    """Cuts at <|im_end|>\n    and </s>\n    """\n    return x + 1'
    ),
    "tags in a string": fence("def f(x):\n    tag = '<answer>0</answer>'\n    return x + len(tag) - 17"),
    "thought tags in a string": fence(
        "def f(x):\n    marks = ['<think>', '</think>']\n    return x + len(marks) - 1"
    ),
}  # fmt: skip
BODY = "    return aid(x) + 1"
PROMPT_FORMS = {
    "body": BODY,
    "body with a line break": BODY + "\n",
    "body, then prose": f"{BODY}\n\nThis adds one to the number.",
    "body, then a function": f"{BODY}\n\n\ndef g(x):\n    return f(x)",
    "body without its indentation": "return aid(x) + 1",
    "body whose first line lost its indentation": "y = aid(x)\n    return y + 1",
    "body with two spaces": "  y = aid(x)\n  return y + 1",
    "body with a tab": "\treturn aid(x) + 1",
    "body in a fence": fence(BODY),
    "body in a fence without indentation": fence("y = aid(x)\nreturn y + 1"),
    "body in a fence, prose around": f"The body:\n{fence(BODY)}\nDone.",
    "body with a closing fence": f"{BODY}\n```",
    "body with an end token": f"{BODY}<|endoftext|>",
    "body after a thought": f"<think>\nadd\n</think>\n{BODY}",
    "body in tags": f"<answer>\n{BODY}\n</answer>",
    "body, then DONE": f"{BODY}\n[DONE]",
    "body, then a session": f"{BODY}\n\n>>> f(1)\n2",
    "body, then tests": f"{BODY}\n\n\nassert f(1) == 2",
    "body, then a main guard": f"{BODY}\n\n\nif __name__ == '__main__':\n    print(f(1))",
    "repeated signature": f"def f(x):\n{BODY}",
    "repeated signature in a fence": fence(f"def f(x):\n{BODY}"),
    "repeated signature with prose": f"Sure:\n\ndef f(x):\n{BODY}\n\nDone.",
    "whole prompt": 'from math import floor\n\n\ndef aid(x):\n    return floor(x)\n\n\ndef f(x):\n    """Add."""\n'
    + BODY,
    "whole prompt in a fence": fence(
        'from math import floor\n\n\ndef aid(x):\n    return floor(x)\n\n\ndef f(x):\n    """Add."""\n'
        + BODY
    ),
    "complete program": fence(CODE),
    "needs the prompt's import": fence("def f(x):\n    return floor(x) + 1"),
    "class Solution": fence("class Solution:\n    def f(self, x):\n        return floor(x) + 1"),
    "future import": fence(f"from __future__ import annotations\n\n\ndef f(x: int) -> int:\n{BODY}"),
    "draft, then body": f"{fence(DRAFT)}\nBetter, the body:\n{fence(CODE)}",
    "prose, then body": f"Here is the completion:\n\n{BODY}",
    "body with no-break spaces": BODY.replace(" ", "\u00a0"),
    "body with CRLF": "    y = aid(x)\r\n    return y + 1\r\n",
}  # fmt: skip
STDIO = {
    "plain": MAIN,
    "prose around": f"Here is a program:\n\n{MAIN}\n\nIt reads two numbers and prints their sum.",
    "function and call in two blocks": f"{fence(SOLVE)}\n\nCall it:\n\n{fence('solve()')}",
    "function, then main guard": fence(SOLVE) + "\n" + fence("if __name__ == '__main__':\n    solve()"),
    "main guard": fence(f"{SOLVE}\n\n\nif __name__ == '__main__':\n    solve()"),
    "last draft counts": fence(BAD_MAIN) + "\n\nThat is wrong. Fixed:\n\n" + fence(MAIN),
    "sample input behind": fence(MAIN) + "\n\nInput:\n```\n1 2\n```\nOutput:\n```\n3\n```",
    "sample output is a number": fence(MAIN) + "\n\n```\n3\n```",
    "usage behind": fence(MAIN) + "\n\nRun:\n```sh\necho 1 2 | python3 main.py\n```",
    "demo behind": fence(MAIN) + "\n\nFor instance,\n" + fence("print(1 + 2)"),
    "demo that uses a name": fence(f"def add(a, b):\n    return a + b\n\n{MAIN}")
    + "\n\n"
    + fence("assert add(1, 2) == 3"),
    "snippet behind": fence(MAIN) + "\n\nThe key line:\n\n" + fence("print(a + b)"),
    "snippet before": "The key line:\n" + fence("print(a + b)") + "\nAll:\n" + fence(MAIN),
    "import in its block": fence("import sys") + "\n" + fence(
        "a, b = map(int, sys.stdin.read().split())\nprint(a + b)"
    ),
    "sys.stdin": fence("import sys\nprint(sum(map(int, sys.stdin.read().split())))"),
    "open(0)": fence("print(sum(map(int, open(0).read().split())))"),
    "one line inline": "Just `print(sum(map(int, input().split())))`.",
    "one line": "print(sum(map(int, input().split())))",
    "BEGIN and DONE": f"[BEGIN]\n{MAIN}\n[DONE]",
    "class Solution and a main": fence(
        "class Solution:\n    def add(self, a, b):\n        return a + b\n\n\n"
        "a, b = map(int, input().split())\nprint(Solution().add(a, b))"
    ),
    "tags": f"<answer>\n{MAIN}\n</answer>",
    "cut-off explanation": f"{fence(MAIN)}\n\nThe program reads two numb",
    "unclosed": f"```python\n{MAIN}",
    "closed on the last line": f"```python\n{MAIN}```",
}  # fmt: skip
NONE = {
    "empty": "",
    "blank": " \n\n",
    "refusal": "I'm sorry, but I can't help with that.",
    "prose": "The sum of two numbers is their total. We add the first to the second.",
    "empty fence": "```python\n```",
    "fence alone": "```",
    "tildes alone": "~~~\n\n~~~",
    "unclosed thought": f"<think>\nPerhaps\n{FENCED}\nor not",
    "thought alone": f"<think>\n{FENCED}\n</think>",
    "analysis alone": f"<|channel|>analysis<|message|>Perhaps\n{FENCED}\n<|end|>",
    "analysis alone, without special tokens": f"analysisPerhaps we write\n{FENCED}",
    "end token alone": "<|im_end|>",
    "another language": "```cpp\nint f(int x) { return x + 1; }\n```",
    "output alone": "```\nTime limit exceeded on test 3\n```",
}

SHAPES = (
    _around()
    + [Shape("named", f"fence: {name}", text) for name, text in FENCES.items()]
    + [Shape("named", f"text: {name}", text) for name, text in UNFENCED.items()]
    + [Shape("prompt", name, text) for name, text in PROMPT_FORMS.items()]
    + [Shape("stdio", name, text) for name, text in STDIO.items()]
    + [Shape("none", name, text) for name, text in NONE.items()]
)
