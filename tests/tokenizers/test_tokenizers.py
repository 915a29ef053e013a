"""Tokenizers lose no text, name every character's token, and survive a folder."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegym.atoms import catalogue
from codegym.errors import CheckpointError, ConfigError, UnknownNameError
from codegym.tokenizers import load_tokenizer, make_tokenizer
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.tokenizers.lexemes import LEXEME, LexemeTokenizer

PROGRAM = 'def f(xs: list[int]) -> int:\n    """Add them."""\n    total = 0\n    return sum(xs)\n'
MADE = {"lexemes": LexemeTokenizer(), "bytes": ByteTokenizer(), "few": LexemeTokenizer(["return"])}
ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=40)  # lone surrogates included


@pytest.mark.parametrize("name", MADE)
@given(text=ANY_TEXT | st.text(alphabet="ab_ \n\t01=+(é🐍", max_size=60))
def test_no_text_is_lost(name, text):
    tokens = MADE[name]
    ids = tokens.encode(text)
    assert tokens.decode(ids) == text
    assert tokens.decode(np.array(ids, dtype=np.int32)) == text
    assert not {tokens.pad_id, tokens.end_id} & set(ids)
    assert all(0 <= token < tokens.vocab_size for token in ids)


@pytest.mark.parametrize("name", MADE)
@given(data=st.data())
def test_spans_partition_any_sequence_of_ids(name, data):
    tokens = MADE[name]
    ids = data.draw(st.lists(st.integers(0, tokens.vocab_size - 1), max_size=30))
    text, spans = tokens.decode(ids), tokens.spans(ids)
    assert spans.shape == (len(ids), 2)
    assert (np.diff(spans[:, 0]) >= 0).all()
    covered = sorted({(a, b) for a, b in spans.tolist() if a < b})
    assert "".join(text[a:b] for a, b in covered) == text
    for token, (start, end) in zip(ids, spans.tolist(), strict=True):
        if token in (tokens.pad_id, tokens.end_id):
            assert start == end


def test_spans_of_a_program_are_its_lexemes():
    tokens = LexemeTokenizer.fit([PROGRAM], 100)
    ids = tokens.encode(PROGRAM)
    pieces = [PROGRAM[a:b] for a, b in tokens.spans(ids)]
    assert pieces == LEXEME.findall(PROGRAM)
    assert pieces[:6] == ["def", " f", "(", "xs", ":", " list"]
    assert "\n    " in pieces


def test_a_word_out_of_the_vocabulary_is_spelt():
    tokens = LexemeTokenizer(["ab", " ab", "\n    ", "    "])
    assert [tokens.piece(token) for token in tokens.encode("ab ab abc")] == [
        "ab",
        " ab",
        " ",
        "a",
        "b",
        "c",
    ]
    deep = tokens.encode("\n" + "    " * 9 + "ab")
    assert [tokens.piece(token) for token in deep] == ["\n    ", *["    "] * 8, "ab"]


def test_half_bytes_share_their_characters_span():
    tokens = LexemeTokenizer([])
    ids = tokens.encode("aé")
    assert tokens.spans(ids).tolist() == [[0, 1], [1, 2], [1, 2], [1, 2], [1, 2]]
    assert tokens.decode(ids[:-1]) == "a\ufffd\ufffd"


def test_fit_takes_the_most_frequent_words_in_any_order_of_texts():
    texts = ["x = total + total\n", "total = other"]
    tokens = LexemeTokenizer.fit(texts, 3)
    assert tokens.words == LexemeTokenizer.fit(texts[::-1], 3).words
    assert tokens.words == (" =", " total", " +")
    assert tokens.vocab_size == 118


def test_ids_do_not_depend_on_the_hash_seed():
    script = (
        "from codegym.tokenizers.lexemes import LexemeTokenizer as T;"
        "print(T.fit(['b a c a', 'ab ba']).words, T().encode('return sum(xs)'))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_default_vocabulary_is_small_and_covers_python():
    tokens = make_tokenizer("lexemes")
    assert tokens.vocab_size <= 540
    assert len(tokens.encode("    return sorted(xs)[:3]\n")) == 11


def test_the_default_vocabulary_holds_every_word_of_every_prompt():
    known = set(make_tokenizer("lexemes").words)
    for atom in catalogue().values():
        for phrase in atom.phrases:
            text = phrase.format(a="xs", b="ys", k=2)
            lexemes = LEXEME.findall(f" {text}") + LEXEME.findall(text.capitalize())[:1]
            words = {
                lexeme for lexeme in lexemes if len(lexeme.strip()) > 1 and lexeme.strip().isalpha()
            }
            assert words <= known, words - known


@pytest.mark.parametrize("name", MADE)
def test_a_folder_brings_back_the_same_tokenizer(name, tmp_path):
    MADE[name].save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert type(again) is type(MADE[name])
    assert again.encode(PROGRAM) == MADE[name].encode(PROGRAM)
    assert make_tokenizer(f"{again.name}:{tmp_path}").vocab_size == again.vocab_size


def test_bad_input_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="lexemes"):
        make_tokenizer("lexeme")
    with pytest.raises(CheckpointError, match="no tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "codegym_tokenizer.json").write_text('{"name": "lexemes"')
    with pytest.raises(CheckpointError):
        load_tokenizer(tmp_path)
    for word in ("x", "two words", "twice", "1a"):
        with pytest.raises(ConfigError, match="word"):
            LexemeTokenizer(["twice", word])
    for ids in ([512, 10_000], [-1], [40, -1]):
        for tokens in MADE.values():
            with pytest.raises(ConfigError, match="outside the vocabulary"):
                tokens.decode(ids)
