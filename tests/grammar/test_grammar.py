"""Masks: every allowed program is Python and fits the budget."""

import ast
import keyword
import sysconfig
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("lark")

from codegym.errors import ConfigError
from codegym.grammar import PythonMask, shared_mask
from codegym.grammar.mask import NEVER
from codegym.grammar.vocabulary import read_vocabulary
from codegym.grammar.word_tokens import FOREIGN_OPERATORS, KEYWORDS, OPERATORS, SOFT
from codegym.sources import load_tasks
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.tokenizers.lexemes import LexemeTokenizer


def subwords():
    """Subwords that cross lines, brackets and lexemes."""
    try:
        from codegym.tokenizers.hf import HFTokenizer
    except ImportError:
        return {}
    texts = [f"def f(x):\n    y = [(g(x))]\n    return {{'a': y{n}}}\n\n" for n in range(30)]
    return {"subwords": HFTokenizer.train(texts * 5, vocab_size=400)}


TOKENS = {
    "lexemes": LexemeTokenizer(),
    "bytes": ByteTokenizer(),
    "few": LexemeTokenizer(["\n    ", "return", " return", " x"]),
    **subwords(),
}
MASKS = {name: PythonMask(tokens) for name, tokens in TOKENS.items()}
PROMPTS = ["", "def f(x):\n", 'def f(x: list[int]) -> int:\n    """Text."""\n', "try:\n    x\n"]


def parses(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as "is" with a literal
        try:
            ast.parse(text)
        except SyntaxError:
            return False
    return True


def compile_quietly(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(text, "text", "exec")


def write(mask, tokens, prompt, budget, rng, sharpness=0.0):
    """Let a policy write that knows but the mask, and likes some tokens more than others."""
    state, ids = mask.start(prompt), []
    logits = sharpness * rng.normal(size=mask.size)
    for remaining in range(budget, 0, -1):
        allowed = np.flatnonzero(mask.allowed(state, remaining))
        noise = rng.gumbel(size=len(allowed))
        ids.append(int(allowed[np.argmax(logits[allowed] + noise)]))
        if ids[-1] == tokens.end_id:
            break
        state = mask.advance(state, ids[-1])
    return ids


@pytest.mark.parametrize("name", MASKS)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    prompt=st.sampled_from(PROMPTS),
    budget=st.integers(1, 60),
    sharpness=st.sampled_from([0.0, 1.0, 4.0, 30.0]),
)
def test_any_policy_writes_only_programs_that_parse(name, seed, prompt, budget, sharpness):
    """Policies range from uniform (sharpness 0) to always writing a favourite token."""
    mask, tokens = MASKS[name], TOKENS[name]
    start = mask.needs(mask.start(prompt))
    if start.min() >= budget:
        return  # no program fits
    ids = write(mask, tokens, prompt, budget, np.random.default_rng(seed), sharpness)
    program = prompt + tokens.decode(ids)
    assert ids[-1] == tokens.end_id, program
    assert parses(program), program


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(0, 40))
def test_a_shortest_way_out_takes_what_was_said(seed, length):
    mask, tokens = MASKS["lexemes"], TOKENS["lexemes"]
    rng = np.random.default_rng(seed)
    state = mask.start("def f(x):\n")
    for _ in range(length):
        token = int(rng.choice(np.flatnonzero(mask.needs(state) < NEVER)))
        if token == tokens.end_id:
            break
        state = mask.advance(state, token)
    left = int(mask.needs(state).min())
    for _ in range(left):
        token = int(mask.needs(state).argmin())
        assert mask.needs(state)[token] <= left
        left -= 1
        if token == tokens.end_id:
            break
        state = mask.advance(state, token)
    assert mask.ends(state)


@pytest.mark.parametrize("uri", ["atoms", "composites?depth=2&domain=all"])
@pytest.mark.parametrize("name", MASKS)
def test_reference_solutions_are_allowed(uri, name):
    mask, tokens = MASKS[name], TOKENS[name]
    source = load_tasks(uri)
    for index in range(60):
        task = source[index]
        state = mask.start(task.prompt)
        for token in tokens.encode(task.canonical_solution):
            assert mask.needs(state)[token] < NEVER, (
                task.canonical_solution,
                tokens.decode([token]),
            )
            state = mask.advance(state, token)
        assert mask.ends(state)


STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
CASES = Path(__file__).parent / "data_grammar"


@pytest.mark.parametrize("line", (CASES / "lines.txt").read_text().splitlines())
def test_the_grammar_knows(line):
    assert parses(line)
    compile_quietly(line)
    assert MASKS["lexemes"].ends(MASKS["lexemes"].start(line))


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("block", (CASES / "blocks.txt").read_text().split("---\n"))
@pytest.mark.slow
def test_the_grammar_knows_blocks(block, name):
    assert parses(block)
    compile_quietly(block)
    mask, tokens = MASKS[name], TOKENS[name]
    state = mask.start()
    for token in tokens.encode(block):
        assert mask.needs(state)[token] < NEVER, tokens.decode([token])
        state = mask.advance(state, token)
    assert mask.ends(state)


@pytest.mark.parametrize("line", (CASES / "refused.txt").read_text().splitlines())
def test_the_grammar_refuses(line):
    text = line.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t")
    text = text.replace("\\r", "\r").replace("\0", "\\")
    mask = MASKS["lexemes"]
    try:
        ends = mask.ends(mask.start(text))
    except ConfigError:
        ends = False
    assert not ends


def accepts(path):
    """Whether the masks read a file, or how its first refusal reads; None if CPython does not."""
    try:
        text = path.read_text(encoding="utf-8")
        compile_quietly(text)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return None
    mask = MASKS["lexemes"]
    try:
        return mask.ends(mask.start(text))
    except ConfigError as error:
        return str(error.value)


@pytest.mark.parametrize("name", ["bisect", "colorsys", "keyword", "contextlib", "sched"])
def test_the_standard_library_is_python(name):
    assert accepts(STANDARD_LIBRARY / f"{name}.py") is True


def test_words_and_operators_are_pythons_own():
    assert set(keyword.kwlist) == set(KEYWORDS)
    assert set(SOFT) <= set(keyword.softkwlist)
    import token

    ours = {*OPERATORS, *FOREIGN_OPERATORS}
    assert set(token.EXACT_TOKEN_TYPES) <= ours | {"!"}


def test_the_budget_closes_what_is_open():
    mask, tokens = MASKS["lexemes"], TOKENS["lexemes"]
    state = mask.start("def f(x):\n    return [(x")
    allowed = [tokens.decode([token]) for token in np.flatnonzero(mask.allowed(state, 3))]
    assert allowed == [")"]
    assert ")" in [tokens.decode([token]) for token in np.flatnonzero(mask.allowed(state, 4))]
    # Where no program fits, only a shortest way out is left.
    assert [tokens.decode([token]) for token in np.flatnonzero(mask.allowed(state, 1))] == [")"]


def test_prompts_out_of_the_grammar_are_named():
    with pytest.raises(ConfigError, match="line 2"):
        MASKS["lexemes"].start("x = 1\n@decorated)\n")


def test_keeping_few_states_changes_nothing(monkeypatch):
    monkeypatch.setattr("codegym.grammar.mask._STATES_KEPT", 5)
    tokens = TOKENS["lexemes"]
    forgetful, mask = PythonMask(tokens), MASKS["lexemes"]
    for seed in range(3):
        rngs = [np.random.default_rng(seed) for _ in range(2)]
        kept_few, kept_all = (
            write(each, tokens, "", 30, rng)
            for each, rng in zip((forgetful, mask), rngs, strict=True)
        )
        assert kept_few == kept_all


def test_the_same_vocabulary_is_read_once():
    assert shared_mask(LexemeTokenizer()) is shared_mask(LexemeTokenizer())
    assert read_vocabulary(ByteTokenizer()) is read_vocabulary(ByteTokenizer())
