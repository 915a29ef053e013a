"""LoRA adapters of an hf policy: added, read, folded in for sampling, switched off."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from codegym.errors import ConfigError, MissingExtraError
from codegym.policies.checkpoint import refuse_pickles
from codegym.policies.hf.hf_model import HFModule, hide_renames


class Adapters:
    """The LoRA adapters of a module; without adapters, no method changes the module.

    While sampling, they are folded into the weights. The original tensors are kept and put back, so
    that no rounding is left behind.

    Args:
        module: The module.

    Attributes:
        stamp: Identifies the weights in use, for caches; compared by ``is``.
    """

    def __init__(self, module: HFModule) -> None:
        self.stamp = object()
        self._module = module
        self._off = False
        self._originals: list[tuple[Any, torch.Tensor]] = []

    def fold(self) -> None:
        """Fold the adapters into the weights, unless they are folded in or switched off."""
        if self._originals or self._off or not self._module.adapted:
            return
        layers = [
            layer for layer in self._module.model.modules() if isinstance(layer, _lora_layer())
        ]
        self._originals = [(layer, layer.get_base_layer().weight.data) for layer in layers]
        for layer in layers:
            layer.merge(safe_merge=True)

    def unfold(self) -> None:
        """Put the original weights back, if the adapters are folded in."""
        for layer, weight in self._originals:
            layer.unmerge()
            layer.get_base_layer().weight.data = weight
        self._originals = []

    def renew(self) -> None:
        """Unfold, and change the stamp: the weights have changed."""
        self.unfold()
        self.stamp = object()

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """Switch the adapters off for a while.

        Raises:
            ConfigError: There are none.
        """
        if not self._module.adapted:
            raise ConfigError(
                "a policy that trains every weight keeps no reference",
                value="lora_rank = 0",
                expected="lora_rank > 0",
                cure="open the model a second time, or train adapters",
            )
        self.unfold()
        stamp, self.stamp = self.stamp, object()
        self._off = True
        try:
            with cast("Any", self._module.model).disable_adapter():
                yield
        finally:
            self._off = False
            self.stamp = stamp


def add_lora(model: Any, *, rank: int, alpha: int, seed: int) -> nn.Module:
    """Freeze a model and put LoRA adapters on all its linear layers.

    Args:
        model: The model; it is changed in place.
        rank: Rank of the adapters.
        alpha: The adapters' scale is ``alpha / rank``.
        seed: Seed of the adapters' first weights.

    Source: Hu et al. 2021 (2106.09685).
    """
    peft = _peft()
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]), hide_renames():
        torch.default_generator.manual_seed(seed)
        adapted: nn.Module = peft.get_peft_model(model, config)
    return adapted.eval()


def read_lora(model: Any, folder: Path) -> nn.Module:
    """Put the adapters of a folder on a model.

    Raises:
        ConfigError: The adapters are pickled.
    """
    refuse_pickles(folder)
    with hide_renames():
        adapted: nn.Module = _peft().PeftModel.from_pretrained(model, folder, is_trainable=True)
    return adapted.eval()


def fingerprint(module: HFModule) -> str:
    """Return a hash of all frozen weights, which identifies the base model."""
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
