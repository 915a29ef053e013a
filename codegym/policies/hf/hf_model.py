"""Causal language models of transformers: opened from a folder or the hub, with a value head.

Objects of transformers are typed ``Any``: half of its methods have no annotations.

In shapes, B is rows, L the longest row, d the width, V the vocabulary.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from codegym.errors import ConfigError
from codegym.policies.checkpoint import refuse_pickles
from codegym.policies.decoding.row_masks import NEVER
from codegym.policies.value_head import ValueHead

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def positions(name: str) -> int | None:
    """Return how many positions a model has; None if its configuration does not say.

    Args:
        name: A folder, or a name on the hub.

    Raises:
        ConfigError: There is no such model.
    """
    with _opening(name):
        config = AutoConfig.from_pretrained(name)
    limit = getattr(config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) else None


@contextmanager
def _opening(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no causal language model can be opened: {error}",
            value=name,
            cure="give a folder, or a hub name while online",
        ) from error


def open_model(name: str, *, dtype: str, device: torch.device | str) -> Any:
    """Load a causal language model without dropout.

    Args:
        name: A folder, or a name on the hub.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        device: Where to put the model.

    Raises:
        ConfigError: There is no such model, its weights are pickled, or its scores are changed
            after the head.
    """
    if Path(name).is_dir():
        refuse_pickles(Path(name))
    with _opening(name):
        config = AutoConfig.from_pretrained(name)
        for field, value in config.to_dict().items():
            # With dropout, evaluation would differ from sampling.
            if ("dropout" in field or "pdrop" in field) and isinstance(value, float):
                setattr(config, field, 0.0)
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(
                name, config=config, dtype=DTYPES[dtype], use_safetensors=True
            )
    model = cast("Any", model).to(device).eval()
    for weight in model.parameters():
        # Out of the file's memory: matrix products round otherwise where it is not aligned.
        weight.data = weight.data.clone()
    _check_head(model)
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing progress bars."""
    bars: Any = transformers_logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def trunk_of(model: Any) -> Any:
    """Return the model without its head; its output is the last hidden state."""
    trunk = model.base_model
    if trunk is model:
        raise ConfigError("the model has no trunk apart from its head", value=type(model).__name__)
    return trunk


@torch.no_grad()
def _check_head(model: Any) -> None:
    """Refuse models that change their scores after the head (soft caps, scaling)."""
    ids = torch.zeros(1, 2, dtype=torch.int64, device=model.device)
    hidden = trunk_of(model)(input_ids=ids, use_cache=False).last_hidden_state
    head = model.get_output_embeddings()
    found = None if head is None else head(hidden).float()
    wanted = model(input_ids=ids, use_cache=False).logits.float()
    if found is None or not torch.allclose(found, wanted, atol=1e-2, rtol=1e-2):
        raise ConfigError(
            "the model changes its scores after the head, which training would miss",
            value=type(model).__name__,
            expected="scores = head(last hidden state)",
        )


class HFModule(nn.Module):
    """Every weight of an hf policy: the language model and the value head beside it.

    Args:
        model: The language model, a ``peft`` model if it has adapters.
        vocab_size: Number of the tokenizer's ids; the model may have more, which are never written.
        pad_id: The id that is never written.
        value_hidden: Units of the value head's hidden layer; 0 for none.
    """

    def __init__(
        self, model: nn.Module, *, vocab_size: int, pad_id: int, value_hidden: int = 0
    ) -> None:
        super().__init__()
        self.model = model
        self._vocab_size, self._pad_id = vocab_size, pad_id
        width = self.causal.get_input_embeddings().weight.shape[1]
        self.value_head = ValueHead(width, value_hidden).to(self.causal.device)

    @property
    def causal(self) -> Any:
        """The language model itself, with adapters in place if it has any."""
        inner = cast("Any", self.model)
        return inner.get_base_model() if self.adapted else inner

    @property
    def adapted(self) -> bool:
        """Whether the model has adapters."""
        return not isinstance(self.model, PreTrainedModel)

    @property
    def trunk(self) -> Any:
        """The language model without its head."""
        return trunk_of(self.causal)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return (..., V) float32 scores of the next token; ids never written have ``NEVER``."""
        head = self.causal.get_output_embeddings()
        scores: torch.Tensor = head(hidden)[..., : self._vocab_size].float()
        missing = self._vocab_size - scores.shape[-1]
        if missing > 0:
            scores = nn.functional.pad(scores, (0, missing), value=NEVER)
        if self._pad_id < self._vocab_size - max(missing, 0):
            blank = torch.zeros(self._vocab_size, device=scores.device)
            blank[self._pad_id] = NEVER
            scores = scores + blank
        return scores

    def score(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (..., V) scores of the next token and (...,) values of (..., d) hidden states."""
        return self.logits(hidden), self.value_head(hidden)

    def read(self, tokens: NDArray[np.integer[Any]]) -> torch.Tensor:
        """Return the (B, L, d) last hidden states of (B, L) ids, padded on the right."""
        # Padding on the right is never looked at; its id may be none of the model's.
        ids = np.where(tokens == self._pad_id, 0, tokens).astype(np.int64)
        device = self.value_head.bias.device
        out = self.trunk(input_ids=torch.from_numpy(ids).to(device), use_cache=False)
        hidden: torch.Tensor = out.last_hidden_state
        return hidden


def checkpoint_activations(module: HFModule) -> None:
    """Save memory in training at the price of a second forward pass."""
    with hide_renames():
        module.causal.gradient_checkpointing_enable({"use_reentrant": False})
    if module.adapted:
        module.causal.enable_input_require_grads()


@contextmanager
def hide_renames() -> Iterator[None]:
    """Hide the warnings of late versions of transformers 5 about names that early ones need."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`.*gradient_checkpointing", FutureWarning)
        yield


def tiny_llama(*, vocab_size: int, end_id: int, seed: int) -> Any:
    """Return a Llama of a few thousand fresh weights with a context of 128 tokens, for checks."""
    shape = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=end_id,
        pad_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: Any = LlamaForCausalLM(shape)
    return model.eval()
