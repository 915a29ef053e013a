"""The byte-level Hugging Face tokenizer: no text is lost, spans are right, special text is text."""

import sysconfig
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st

from codegym.errors import CheckpointError, ConfigError
from codegym.tokenizers.hf import END, HFTokenizer

SOURCE = Path(__file__).read_text()
TRAINED = HFTokenizer.train([SOURCE], vocab_size=400)


@given(st.text(alphabet=st.characters(codec=None)))
def test_no_text_is_lost(text):
    for tokenizer in (TRAINED, HFTokenizer()):
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("name", ["abc.py", "json/decoder.py", "textwrap.py", "tabnanny.py"])
def test_the_standard_library_comes_back(name):
    text = (Path(sysconfig.get_path("stdlib")) / name).read_text()
    assert TRAINED.decode(TRAINED.encode(text)) == text


def test_training_makes_texts_shorter():
    assert TRAINED.vocab_size == 401
    assert len(TRAINED.encode(SOURCE)) < 0.6 * len(HFTokenizer().encode(SOURCE))


@given(st.lists(st.integers(0, TRAINED.vocab_size - 1)))
@example([127, 0, 95])
def test_spans_cover_the_text_in_order(ids):
    text, spans = TRAINED.decode(ids), TRAINED.spans(ids)
    assert (np.diff(spans, axis=0) >= 0).all()
    assert (spans[:, 0] <= spans[:, 1]).all()
    covered = {at for start, end in spans.tolist() for at in range(start, end)}
    assert covered == set(range(len(text)))


def test_spans_by_hand():
    ids = HFTokenizer().encode("aé")
    assert HFTokenizer().spans([*ids, 256]).tolist() == [[0, 1], [1, 2], [1, 2], [2, 2]]
    torn = [*ids[:2], 256, ids[2]]  # an end token in the middle of a character
    assert HFTokenizer().spans(torn).tolist() == [[0, 1], [1, 2], [1, 2], [1, 2]]


def test_what_looks_like_the_end_token_is_text():
    ids = TRAINED.encode(f"x{END}y")
    assert TRAINED.end_id not in ids
    assert TRAINED.decode(ids) == f"x{END}y"
    assert TRAINED.encode_markup(f"x{END}y")[1] == TRAINED.end_id


def test_pad_is_one_past_the_model_unless_it_has_its_own():
    assert TRAINED.pad_id == TRAINED.model_size == TRAINED.vocab_size - 1
    backend = HFTokenizer().backend
    backend.add_special_tokens(["<pad>"])
    own = HFTokenizer(backend, config={"eos_token": {"content": END}, "pad_token": "<pad>"})
    assert (own.pad_id, own.vocab_size) == (257, 258)
    same = HFTokenizer(backend, config={"eos_token": END, "pad_token": END})
    assert same.pad_id == same.model_size == 258


def test_a_normaliser_loses_nothing():
    backend = HFTokenizer().backend
    backend.normalizer = tokenizers.normalizers.NFC()
    tokenizer = HFTokenizer(backend)
    decomposed = "e\u0301"
    assert tokenizer.decode(tokenizer.encode(decomposed)) == decomposed


def test_save_and_load(tmp_path):
    tokenizer = HFTokenizer(TRAINED.backend, chat_template="{{ x }}")
    tokenizer.save(tmp_path)
    loaded = HFTokenizer.load(tmp_path)
    assert loaded.encode(SOURCE) == TRAINED.encode(SOURCE)
    assert loaded.chat_template == "{{ x }}"
    assert (loaded.end_id, loaded.pad_id) == (TRAINED.end_id, TRAINED.pad_id)


def test_bad_input_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no tokenizer"):
        HFTokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no tokenizer"):
        HFTokenizer.load(tmp_path)
    spaces = tokenizers.Tokenizer(tokenizers.models.BPE())
    spaces.decoder = tokenizers.decoders.Metaspace()
    with pytest.raises(ConfigError, match="not byte-level"):
        HFTokenizer(spaces)
    with pytest.raises(ConfigError, match="no end token"):
        HFTokenizer(HFTokenizer().backend, config={"eos_token": "</s>"})
    with pytest.raises(ConfigError, match="outside the vocabulary"):
        TRAINED.decode([9999])
