"""Checkpoints: folders of policies, checked when they are read and safe to read.

A policy folder has Hugging Face's layout plus ``codegym.json``, the manifest: format, policy name,
vocabulary hash, weight version, size and hash of every file. ``trainer/`` inside it holds what
resuming needs. Nothing read here is unpickled: tensors are safetensors, the rest is JSON.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from codegym import registry
from codegym.errors import CheckpointError, CodegymError, ConfigError
from codegym.policies import nested_state
from codegym.policies.folder_replacement import MANIFEST, replacing, resolve
from codegym.policy import Policy
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.version import __version__

__all__ = [
    "FORMAT",
    "MANIFEST",
    "TRAINER",
    "Manifest",
    "file_digest",
    "load_policy",
    "refuse_pickles",
    "load_tokenizer",
    "load_trainer",
    "read_json",
    "read_manifest",
    "read_tensors",
    "replacing",
    "resolve",
    "save_policy",
    "vocabulary_hash",
    "write_json",
    "write_manifest",
    "write_tensors",
]

FORMAT = 1
TRAINER = "trainer"
# Endings of files that torch unpickles.
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin.index.json")
_TREE, _TENSORS = "state.json", "state.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The contents of ``codegym.json`` in a policy folder.

    Attributes:
        format: Version of this layout.
        codegym: Version of the package that wrote it.
        policy: Name the policy is registered under.
        tokenizer: Name its tokenizer is registered under.
        vocabulary: Hash of the vocabulary, see ``vocabulary_hash``.
        weight_version: ``Policy.version`` when it was saved.
        files: Relative path -> (bytes, SHA-256) of every other file.
    """

    format: int
    codegym: str
    policy: str
    tokenizer: str
    vocabulary: str
    weight_version: int
    files: dict[str, tuple[int, str]]


def save_policy(
    policy: Policy, folder: Path | str, *, trainer: Mapping[str, Any] | None = None
) -> None:
    """Write a policy, and the state that resuming its training needs, as one folder.

    A checkpoint that is there already is replaced; anything else is left alone and refused.

    Args:
        policy: The policy.
        folder: Where to write it.
        trainer: State of the training; ``codegym.policies.nested_state`` says what it may hold.

    Raises:
        CheckpointError: The folder cannot be written, or holds something that is no checkpoint.
    """
    with replacing(Path(folder)) as aside:
        policy.save(aside)
        if trainer is not None:
            tree, tensors = nested_state.flatten(trainer)
            (aside / TRAINER).mkdir()
            write_tensors(aside / TRAINER / _TENSORS, tensors)
            digest = file_digest(aside / TRAINER / _TENSORS)
            row = {"format": FORMAT, "tensors": digest, "state": tree}
            write_json(aside / TRAINER / _TREE, row)


def load_policy(folder: Path | str) -> Policy:
    """Read a policy of the kind that ``codegym.json`` names.

    Raises:
        CheckpointError: The folder is missing, truncated, foreign or of another version.
    """
    found = resolve(Path(folder))
    manifest = read_manifest(found)
    policy: Policy = registry.get("policies", manifest.policy).load(found)
    return policy


def load_trainer(folder: Path | str) -> dict[str, Any]:
    """Read the training state that ``save_policy`` wrote with a policy.

    Raises:
        CheckpointError: There is none, or it is truncated or foreign.
    """
    found = resolve(Path(folder)) / TRAINER
    row = read_json(found / _TREE)
    _check_format(row, found / _TREE)
    _check_file(found / _TENSORS, row.get("tensors"))
    try:
        state = nested_state.restore(row["state"], _load_tensors(found / _TENSORS))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{found / _TREE} is no training state: {error}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{found / _TREE} is no training state")
    return state


def write_manifest(folder: Path, policy: Policy) -> None:
    """Write the tokenizer's files and ``codegym.json``, which closes a policy folder.

    Call it last: it records size and hash of every file in the folder.
    """
    policy.tokenizer.save(folder)
    files = {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = Manifest(
        format=FORMAT,
        codegym=__version__,
        policy=policy.name,
        tokenizer=policy.tokenizer.name,
        vocabulary=vocabulary_hash(policy.tokenizer),
        weight_version=policy.version,
        files=files,
    )
    write_json(folder / MANIFEST, asdict(manifest))


def read_manifest(folder: Path, *, policy: str = "") -> Manifest:
    """Read ``codegym.json`` and check every file against it.

    Args:
        folder: A policy folder.
        policy: The name that the policy must have; "" for any.

    Raises:
        CheckpointError: The folder is truncated, foreign, of another version or another policy's.
        ConfigError: Its weights are pickled.
    """
    refuse_pickles(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is no codegym checkpoint",
            expected=f"a folder with {MANIFEST}",
            cure="a model of another library is opened by the hf policy",
        )
    row = read_json(path)
    _check_format(row, path)
    names = set(Manifest.__slots__)
    if set(row) != names or not isinstance(row["files"], dict):
        raise CheckpointError(
            f"{path} is malformed", value=sorted(row), expected=str(sorted(names))
        )
    if policy and row["policy"] != policy:
        raise CheckpointError(
            f"{folder} holds another kind of policy",
            value=row["policy"],
            expected=policy,
            cure="codegym.policies.checkpoint.load_policy opens any kind",
        )
    for name, digest in row["files"].items():
        _check_file(folder / name, digest)
    return Manifest(**row)


def load_tokenizer(folder: Path, manifest: Manifest) -> Tokenizer:
    """Read the tokenizer of a policy folder.

    Raises:
        CheckpointError: It is not registered, or its ids have changed since it was saved.
    """
    try:
        tokenizer: Tokenizer = registry.get("tokenizers", manifest.tokenizer).load(folder)
    except CheckpointError:
        raise
    except CodegymError as error:
        raise CheckpointError(f"the tokenizer of {folder} cannot be read: {error}") from error
    found = vocabulary_hash(tokenizer)
    if found != manifest.vocabulary:
        raise CheckpointError(
            "the vocabulary is not the one the weights were trained with",
            value=found,
            expected=manifest.vocabulary,
            cure="install the codegym version that wrote it: " + manifest.codegym,
        )
    return tokenizer


def vocabulary_hash(tokenizer: Tokenizer) -> str:
    """Return a hash of what every id means, equal for tokenizers that agree on all ids."""
    head = [tokenizer.name, tokenizer.vocab_size, tokenizer.pad_id, tokenizer.end_id]
    texts = [tokenizer.decode([token]) for token in range(tokenizer.vocab_size)]
    return hashlib.sha256(json.dumps([head, texts]).encode()).hexdigest()


def refuse_pickles(folder: Path) -> None:
    """Refuse a folder whose weights would be unpickled, which can run code; no file is loaded.

    Args:
        folder: A folder in Hugging Face's layout, of a model or of adapters.

    Raises:
        ConfigError: The weights are pickled, or an index names a file that is no safetensors file.
    """
    if any((folder / f"{stem}.safetensors").is_file() for stem in ("model", "adapter_model")):
        return
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = read_json(index).get("weight_map")
        names = map(str, shards.values()) if isinstance(shards, dict) else ()
        pickled = sorted(name for name in names if not name.endswith(".safetensors"))
    else:
        found = sorted(path.name for path in folder.glob("*model*"))
        pickled = [name for name in found if name.endswith(_PICKLES)]
    if pickled:
        raise ConfigError(
            "these weights are a pickle, which codegym does not open",
            value=str(folder / pickled[0]),
            expected="model.safetensors, or adapter_model.safetensors",
            cure="where you trust them, hf:NAME?pickles=1 opens those of a model; or load them "
            "with transformers or peft and save_pretrained them, which writes safetensors",
        )


def write_json(path: Path, row: Mapping[str, Any]) -> None:
    """Write JSON for people and machines."""
    path.write_text(json.dumps(row, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: The file is missing, truncated or something else.
    """
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(row, dict):
        raise CheckpointError(f"{path} holds no JSON object", value=row)
    return row


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors as safetensors, in the layout transformers expects."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(whole, path, metadata={"format": "pt"})


def read_tensors(path: Path, *, into: torch.nn.Module, prefix: str = "") -> None:
    """Fill a module's parameters from safetensors; the file must hold exactly these.

    Args:
        path: The file.
        into: The module.
        prefix: Text that the file puts before every name of the module.

    Raises:
        CheckpointError: The file is missing or truncated, or its names or shapes differ.
    """
    tensors = _load_tensors(path)
    wanted = {prefix + name: tensor.shape for name, tensor in into.state_dict().items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if wanted != found:
        differing = sorted(
            name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
        )
        raise CheckpointError(
            f"{path} holds the weights of another model",
            value={name: found.get(name) for name in differing[:3]},
            expected=str({name: wanted.get(name) for name in differing[:3]}),
        )
    into.load_state_dict({name.removeprefix(prefix): value for name, value in tensors.items()})


def _load_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def _check_format(row: Mapping[str, Any], path: Path) -> None:
    if row.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is of another format",
            value=row.get("format"),
            expected=f"format {FORMAT}",
            cure=f"written by codegym {row.get('codegym', 'of unknown version')}",
        )


def _check_file(path: Path, digest: object) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    found = file_digest(path)
    if not isinstance(digest, list | tuple) or list(digest) != list(found):
        raise CheckpointError(f"{path} is truncated or changed", value=found, expected=str(digest))


def file_digest(path: Path) -> tuple[int, str]:
    """Return the size of a file in bytes and its SHA-256."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
