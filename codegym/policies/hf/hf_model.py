"""Opening causal language models: from a folder or the hub, whole or with LoRA adapters.

Everything here is about weights; how they become a Policy stands in ``hf``. Objects of transformers
are typed ``Any``: half of its methods have no annotations.
"""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from codegym.errors import ConfigError, MissingExtraError
from codegym.policies.decoding.row_masks import NEVER
from codegym.policies.value_head import ValueHead

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def positions(name: str) -> int | None:
    """Return how many positions a model has; None where its configuration does not say.

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
        device: Where to put it.

    Raises:
        ConfigError: There is no such model, or it cannot be scored by its head alone.
    """
    with _opening(name):
        config = AutoConfig.from_pretrained(name)
        for field, value in config.to_dict().items():
            # Dropout would make evaluation differ from what was sampled.
            if ("dropout" in field or "pdrop" in field) and isinstance(value, float):
                setattr(config, field, 0.0)
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(name, config=config, dtype=DTYPES[dtype])
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
        vocab_size: Ids of the tokenizer; the model may have more rows, which are never written.
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
        """Return (..., V) float32 scores of the next token; those never written are excluded."""
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


def add_lora(model: Any, *, rank: int, alpha: int, seed: int) -> nn.Module:
    """Freeze a model and put LoRA adapters on all its linear layers.

    Args:
        model: What to adapt; it is changed in place.
        rank: Of the adapters.
        alpha: Their scale is ``alpha / rank``.
        seed: Of their first weights.

    Source: Hu et al. 2021 (2106.09685).
    """
    peft = _peft()
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]), _before_transformers_6():
        torch.default_generator.manual_seed(seed)
        adapted: nn.Module = peft.get_peft_model(model, config)
    return adapted.eval()


def read_lora(model: Any, folder: Path) -> nn.Module:
    """Put the adapters of a folder on a model."""
    with _before_transformers_6():
        adapted: nn.Module = _peft().PeftModel.from_pretrained(model, folder, is_trainable=True)
    return adapted.eval()


@contextmanager
def _before_transformers_6() -> Iterator[None]:
    """Hide what late versions of transformers 5 say of names that early ones need."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`.*gradient_checkpointing", FutureWarning)
        yield


def checkpoint_activations(module: HFModule) -> None:
    """Save memory in training at the price of a second forward pass."""
    with _before_transformers_6():
        module.causal.gradient_checkpointing_enable({"use_reentrant": False})
    if module.adapted:
        module.causal.enable_input_require_grads()


class Merger:
    """Folds adapters into the weights while sampling, and takes them out again without a trace.

    The original tensors are kept and put back, so that no rounding is left behind.

    Args:
        module: Whose adapters.

    Attributes:
        paused: While True, ``merge`` does nothing: the adapters are switched off.
    """

    def __init__(self, module: HFModule) -> None:
        self._module = module
        self.paused = False
        self._originals: list[tuple[Any, torch.Tensor]] = []

    def merge(self) -> None:
        """Fold the adapters in; nothing happens if they are, or if there are none."""
        if self._originals or self.paused or not self._module.adapted:
            return
        layers = [
            layer for layer in self._module.model.modules() if isinstance(layer, _lora_layer())
        ]
        self._originals = [(layer, layer.get_base_layer().weight.data) for layer in layers]
        for layer in layers:
            layer.merge(safe_merge=True)

    def unmerge(self) -> None:
        """Take the adapters out; nothing happens if they are out."""
        for layer, weight in self._originals:
            layer.unmerge()
            layer.get_base_layer().weight.data = weight
        self._originals = []


def fingerprint(module: HFModule) -> str:
    """Return a hash of all frozen weights, to find the same base again."""
    digest = hashlib.sha256()
    for _, weight in sorted(module.causal.named_parameters()):
        if not weight.requires_grad:
            digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _peft() -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise MissingExtraError("peft", "agents") from error
    return peft


def _lora_layer() -> type[Any]:
    _peft()
    from peft.tuners.lora import LoraLayer

    return cast("type[Any]", LoraLayer)
