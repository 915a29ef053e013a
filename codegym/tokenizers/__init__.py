"""Tokenizers: a file for each tokenizer, found by name."""

from pathlib import Path
from typing import Any

from codegym.tokenizers.tokenizer import Tokenizer

__all__ = ["Tokenizer", "load_tokenizer", "make_tokenizer"]


def make_tokenizer(spec: str) -> Tokenizer:
    """Make the tokenizer that a string names.

    Args:
        spec: ``name`` for a shipped tokenizer (``lexemes``, ``bytes``), or ``name:folder`` for a
            saved tokenizer (``lexemes:runs/1/tokenizer``).

    Raises:
        UnknownNameError: The tokenizer is unknown; the error holds the nearest known name.
        ConfigError: The tokenizer exists only in a folder.
        CheckpointError: The folder holds no such tokenizer.
    """
    from codegym import registry
    from codegym.errors import ConfigError

    name, _, folder = spec.partition(":")
    cls: Any = registry.get("tokenizers", name)
    if folder:
        loaded: Tokenizer = cls.load(Path(folder))
        return loaded
    try:
        made: Tokenizer = cls()
    except TypeError as error:
        raise ConfigError(
            f"tokenizer {name!r} needs a folder", value=spec, expected=f"{name}:/folder"
        ) from error
    return made


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """Load the tokenizer of a folder, in codegym's format or in Hugging Face's.

    Raises:
        CheckpointError: The folder holds no tokenizer.
    """
    import json

    from codegym.errors import CheckpointError

    folder = Path(folder)
    ours = folder / "codegym_tokenizer.json"
    if not ours.exists():
        if not (folder / "tokenizer.json").exists():
            raise CheckpointError(
                f"no tokenizer in {folder}",
                expected="codegym_tokenizer.json or tokenizer.json",
            )
        return make_tokenizer(f"hf:{folder}")
    try:
        name = json.loads(ours.read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"no tokenizer in {folder}: {error}") from None
    return make_tokenizer(f"{name}:{folder}")
