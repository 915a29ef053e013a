"""Catalogue: every atom by name, read from the topic files at first use."""

import importlib
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from codegym.atoms.atom import Atom, read_atoms
from codegym.errors import ConfigError, UnknownNameError

TOPICS = (
    "numbers",
    "decimals",
    "selecting",
    "filtering",
    "mapping",
    "aggregating",
    "sorting",
    "strings",
    "words",
    "tables",
)
"""The ten topic files, in teaching order."""


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, Atom]:
    """Return every atom by name, in the order of the topics and of their files.

    Raises:
        ConfigError: Two atoms share a name.
    """
    found: dict[str, Atom] = {}
    for topic in TOPICS:
        for atom in read_atoms(importlib.import_module(f"codegym.atoms.{topic}")):
            if atom.name in found:
                raise ConfigError("two atoms share a name", value=atom.name)
            found[atom.name] = atom
    return MappingProxyType(found)


def by_topic(topic: str) -> list[Atom]:
    """Return the atoms of a topic.

    Raises:
        UnknownNameError: The topic is unknown; the error holds the nearest known name.
    """
    if topic not in TOPICS:
        raise UnknownNameError("topic", topic, TOPICS)
    return [atom for atom in catalogue().values() if atom.topic == topic]
