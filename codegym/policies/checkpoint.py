"""Checkpoints: folders that are whole or not there, checked when they are read, safe to read.

A policy folder has Hugging Face's layout plus ``codegym.json``, the manifest: format, policy name,
vocabulary hash, weight version, size and hash of every file. ``trainer/`` beside it holds what
resuming needs. Nothing read here is unpickled: tensors are safetensors, the rest is JSON.

A folder is written aside, flushed to disk and renamed. A writer killed at any moment leaves the old
folder or the new one; ``resolve`` finds the old one also in the instant between the two renames.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from codegym import registry
from codegym.errors import CheckpointError, CodegymError
from codegym.policies import nested_state
from codegym.policy import Policy
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.version import __version__

FORMAT = 1
MANIFEST = "codegym.json"
TRAINER = "trainer"
_ASIDE = re.compile(r"\..+\.new-[0-9a-f]{8}$")
_TREE, _TENSORS = "state.json", "state.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What ``codegym.json`` says of a policy folder.

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
    """Write a policy, and what resuming its training needs, as one whole folder.

    A checkpoint that stands there is replaced; anything else is left alone and refused.

    Args:
        policy: What to save.
        folder: Where to.
        trainer: State of the training, see ``codegym.policies.nested_state`` for what it may hold.

    Raises:
        CheckpointError: The folder cannot be written, or holds something that is no checkpoint.
    """
    with replacing(Path(folder)) as aside:
        policy.save(aside)
        if trainer is not None:
            tree, tensors = nested_state.flatten(trainer)
            (aside / TRAINER).mkdir()
            write_tensors(aside / TRAINER / _TENSORS, tensors)
            digest = _digest(aside / TRAINER / _TENSORS)
            row = {"format": FORMAT, "tensors": digest, "state": tree}
            write_json(aside / TRAINER / _TREE, row)


def load_policy(folder: Path | str) -> Policy:
    """Read a policy of whatever kind ``codegym.json`` names.

    Raises:
        CheckpointError: The folder is missing, truncated, foreign or of another version.
    """
    found = resolve(Path(folder))
    manifest = read_manifest(found)
    policy: Policy = registry.get("policies", manifest.policy).load(found)
    return policy


def load_trainer(folder: Path | str) -> dict[str, Any]:
    """Read the training state that ``save_policy`` wrote beside a policy.

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


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill, and put it in the place of ``folder`` when all went well.

    A folder that is being filled aside already is given as it is: who made it renames it.

    Raises:
        CheckpointError: The folder cannot be written, or holds something that is no checkpoint.
    """
    folder = Path(os.path.abspath(folder))
    if _ASIDE.match(folder.name):
        yield folder
        return
    if folder.exists() and not (folder / MANIFEST).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise CheckpointError(
                "will not replace what is no checkpoint",
                value=str(folder),
                expected="a free path, an empty folder or a checkpoint",
            )
    old = _old(folder)
    aside = folder.with_name(f".{folder.name}.new-{secrets.token_hex(4)}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in folder.parent.glob(f".{folder.name}.new-*"):
            shutil.rmtree(leftover)
        aside.mkdir()
        yield aside
        _flush(aside)
        if folder.exists():
            # While ``folder`` stands, what stands aside as old is only left over from a kill.
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        aside.rename(folder)
        _flush_entry(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, OSError):
            raise CheckpointError(f"cannot write the checkpoint: {error}") from error
        raise


def resolve(folder: Path) -> Path:
    """Return where the checkpoint of that path stands now.

    Raises:
        CheckpointError: There is none.
    """
    folder = Path(os.path.abspath(folder))
    if folder.is_dir():
        return folder
    if _old(folder).is_dir():
        return _old(folder)
    raise CheckpointError("no checkpoint stands here", value=str(folder), expected="a folder")


def write_manifest(folder: Path, policy: Policy) -> None:
    """Write the tokenizer's files and ``codegym.json``, which closes a policy folder.

    Call it last: it records size and hash of every file that stands there.
    """
    policy.tokenizer.save(folder)
    files = {
        path.relative_to(folder).as_posix(): _digest(path)
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
        policy: The name the policy must have, if any.

    Raises:
        CheckpointError: The folder is truncated, foreign, of another version or another policy's.
    """
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
        CheckpointError: It is unknown here, or its ids mean something else than when it was saved.
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
    """Fill a module's parameters from safetensors, all of them and no other.

    Args:
        path: The file.
        into: The module.
        prefix: What the file puts before every name of the module.

    Raises:
        CheckpointError: The file is missing or truncated, or its names or shapes are others.
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
    found = _digest(path)
    if not isinstance(digest, list | tuple) or list(digest) != list(found):
        raise CheckpointError(f"{path} is truncated or changed", value=found, expected=str(digest))


def _digest(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        _flush_entry(path)
    _flush_entry(folder)


def _flush_entry(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
