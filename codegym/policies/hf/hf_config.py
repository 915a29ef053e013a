"""HFConfig: how a language model is opened and trained, and where names of models lead."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codegym.errors import CheckpointError, ConfigError
from codegym.policies.hf.hf_model import DTYPES
from codegym.policies.hf.prompting import Prompting
from codegym.policies.hf.smollm2 import find_smollm2
from codegym.tokenizers.hf import HFTokenizer

_NAMED = {"smollm2": find_smollm2}


@dataclass(frozen=True, slots=True, kw_only=True)
class HFConfig:
    """How a language model is opened and trained.

    Attributes:
        max_tokens: Longest prompt plus program.
        lora_rank: Rank of LoRA adapters on all linear layers; 0 trains every weight.
        lora_alpha: Their scale is ``lora_alpha / lora_rank``.
        dtype: Of the weights: ``float32``, ``bfloat16`` or ``float16``. Adapters and the value head
            stay in float32.
        gradient_checkpointing: Save memory in training at the price of a second forward pass.
        prompting: How tasks are shown, and what ends a program.
        score_rows: Actions scored at once against the vocabulary.
        value_hidden: Units of the value head's hidden layer; 0 makes it one linear map.
    """

    max_tokens: int = 1024
    lora_rank: int = 0
    lora_alpha: int = 16
    dtype: str = "float32"
    gradient_checkpointing: bool = False
    prompting: Prompting = field(default_factory=Prompting)
    score_rows: int = 1024
    value_hidden: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError("dtype is unusable", value=self.dtype, expected=", ".join(DTYPES))
        bounds = {"max_tokens": 2, "lora_rank": 0, "score_rows": 1, "value_hidden": 0}
        for name, least in bounds.items():
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{name} is unusable", value=getattr(self, name), expected=f">= {least}"
                )

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "HFConfig":
        """Read what ``dataclasses.asdict`` made, after it went through JSON.

        Raises:
            KeyError, TypeError: A field is missing or unknown.
            ConfigError: A setting is unusable.
        """
        stops = row["prompting"]["stops"]
        prompting = row["prompting"] | {"stops": None if stops is None else tuple(stops)}
        return cls(**row | {"prompting": Prompting(**prompting)})


def locate(name: str) -> str:
    """Return the folder or hub name that a name stands for; ``smollm2`` is made first."""
    return str(_NAMED[name]()) if name in _NAMED else name


def open_tokenizer(name: str) -> HFTokenizer:
    """Read the tokenizer of a folder or hub name.

    Raises:
        ConfigError: There is none, or it is not byte-level.
    """
    if Path(name).is_dir():
        try:
            return HFTokenizer.load(Path(name))
        except CheckpointError as error:
            raise ConfigError(f"the model has no usable tokenizer: {error}") from error
    from huggingface_hub import snapshot_download

    patterns = ["tokenizer*.json", "*.jinja"]
    return HFTokenizer.load(Path(snapshot_download(name, allow_patterns=patterns)))
