"""Atoms: 100 hand-written functions in ten topics of ten, a file for each topic.

``numbers``, ``decimals``, ``selecting``, ``filtering``, ``mapping``, ``aggregating``, ``sorting``,
``strings``, ``words`` and ``tables`` hold the functions. ``atom`` defines the class Atom,
``inputs`` draws arguments, ``catalogue`` collects all atoms; ``codegym.synthesis`` composes them.

Source: Chen et al., arXiv 2406.10305 (100 atomic Python functions, ten topics); the functions,
their wording and their types are ours.
"""

from codegym.atoms.atom import Atom
from codegym.atoms.catalogue import TOPICS, by_topic, catalogue

__all__ = ["TOPICS", "Atom", "by_topic", "catalogue"]
