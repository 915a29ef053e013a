"""Folders of hf policies: the model or its adapters, and how they were opened."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn

from codegym.errors import CheckpointError, ConfigError
from codegym.policies import checkpoint
from codegym.policies.hf.adapters import fingerprint, read_lora
from codegym.policies.hf.hf_config import HFConfig, locate
from codegym.policies.hf.hf_model import HFModule, open_model, quiet

_SETTINGS = "codegym_hf.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFolder:
    """What a folder of an hf policy holds.

    Attributes:
        model: The language model, with its adapters if it has any.
        config: How it was opened.
        base: Name the frozen model was opened by.
        base_hash: Hash of the frozen weights; "" where every weight is in the folder.
    """

    model: nn.Module
    config: HFConfig
    base: str
    base_hash: str

    def check_base(self, module: HFModule) -> None:
        """Require that adapters are on the weights they were trained on.

        Raises:
            CheckpointError: They are not.
        """
        if self.base_hash and fingerprint(module) != self.base_hash:
            raise CheckpointError(
                "the adapters were trained on other weights than the base model's",
                value=self.base,
                cure="put the base model back that the adapters belong to",
            )


def write_model(folder: Path, module: HFModule, config: HFConfig, *, base: str) -> None:
    """Write a model, or its adapters, in Hugging Face's layout, and how it was opened."""
    settings = asdict(config) | {"base": base}
    if module.adapted:
        settings["base_hash"] = fingerprint(module)
    with quiet():
        cast("Any", module.model).save_pretrained(folder)
    checkpoint.write_json(folder / _SETTINGS, settings)


def read_model(folder: Path) -> OpenedFolder:
    """Read what ``write_model`` wrote.

    Raises:
        CheckpointError: The folder is foreign, or the base model of its adapters is not found.
    """
    row = checkpoint.read_json(folder / _SETTINGS)
    try:
        base, base_hash = row.pop("base"), row.pop("base_hash", "")
        config = HFConfig.from_json(row)
        source = locate(base) if base_hash else str(folder)
        # Whoever asked for pickles asked for the base model's; this folder holds safetensors.
        pickles = config.pickles and bool(base_hash)
        model: nn.Module = open_model(source, dtype=config.dtype, device="cpu", pickles=pickles)
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{folder} does not open as an hf policy: {error}") from error
    if base_hash:
        model = read_lora(model, folder)
    return OpenedFolder(model=model, config=config, base=base, base_hash=base_hash)
