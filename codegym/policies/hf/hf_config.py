"""HFConfig: how a language model is opened and trained; names of models."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from codegym.errors import CheckpointError, ConfigError
from codegym.policies.hf.hf_model import DTYPES, positions
from codegym.policies.hf.prompting import STOPS, Prompting, Style
from codegym.policies.hf.smollm2 import find_smollm2
from codegym.policies.variant import parse_options
from codegym.tokenizers.hf import HFTokenizer

_NAMED = {"smollm2": find_smollm2}
# Options of a variant: those that take a number, and those that take a word.
_NUMBERS = ("lora", "alpha", "value_hidden", "max_tokens", "checkpointing", "score_rows", "pickles")
_WORDS = {"dtype": tuple(DTYPES), "engine": (), "style": tuple(STOPS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HFConfig:
    """How a language model is opened and trained.

    Attributes:
        max_tokens: Longest prompt plus program.
        lora_rank: Rank of LoRA adapters on all linear layers; 0 trains every weight.
        lora_alpha: Their scale is ``lora_alpha / lora_rank``.
        dtype: Number format of the weights: ``float32``, ``bfloat16`` or ``float16``. Adapters and
            the value head stay in float32.
        gradient_checkpointing: Save memory in training at the price of a second forward pass.
        pickles: Open weights that are a pickle, which can run code of whoever wrote them.
        engine: What writes in place of this process, see ``make_engine``; "" for this process.
        prompting: How tasks are shown and what ends a program.
        score_rows: Actions scored at once against the vocabulary; 0 chooses by its size.
        value_hidden: Units of the value head's hidden layer; 0 makes it one linear map.
    """

    max_tokens: int = 1024
    lora_rank: int = 0
    lora_alpha: int = 16
    dtype: str = "float32"
    gradient_checkpointing: bool = False
    pickles: bool = False
    engine: str = ""
    prompting: Prompting = field(default_factory=Prompting)
    score_rows: int = 0
    value_hidden: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError("dtype is unusable", value=self.dtype, expected=", ".join(DTYPES))
        bounds = {"max_tokens": 2, "lora_rank": 0, "score_rows": 0, "value_hidden": 0}
        for name, lowest in bounds.items():
            if getattr(self, name) < lowest:
                raise ConfigError(
                    f"{name} is unusable", value=getattr(self, name), expected=f">= {lowest}"
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


def read_variant(variant: str) -> tuple[str, HFConfig]:
    """Return the model and the settings that a variant names; see ``HFPolicy.create``.

    Raises:
        UnknownNameError: There is no such option.
        ConfigError: No model is named, there is no such model, or an option is unusable.
    """
    name, options, words = parse_options(variant, "hf", _NUMBERS, _WORDS)
    if not name:
        raise ConfigError("which language model?", expected="hf:smollm2, hf:FOLDER or hf:HUB/NAME")
    for key in ("checkpointing", "pickles"):
        if options.get(key, 0) > 1:
            raise ConfigError(f"{key} is unusable", value=options[key], expected="0 or 1")
    if "alpha" in options and not options.get("lora"):
        raise ConfigError("alpha scales adapters, and there are none", cure="add lora=8")
    most = HFConfig().max_tokens
    lora = options.get("lora", 0)
    config = HFConfig(
        lora_rank=lora,
        lora_alpha=options.get("alpha", HFConfig().lora_alpha),
        value_hidden=options.get("value_hidden", 0),
        max_tokens=options.get("max_tokens")
        or min(most, positions(locate(name), pickles=bool(options.get("pickles"))) or most),
        dtype=words.get("dtype", "float32"),
        gradient_checkpointing=bool(options.get("checkpointing", 0)),
        score_rows=options.get("score_rows", 0),
        pickles=bool(options.get("pickles", 0)),
        engine=words.get("engine", ""),
        prompting=Prompting(style=cast("Style", words.get("style", "code"))),
    )
    return name, config


def locate(name: str) -> str:
    """Return the folder or hub name of a model; ``smollm2`` is converted first."""
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
