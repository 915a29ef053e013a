"""The 100 hand-written atomic functions: ten topics of ten, one file each.

``numbers``, ``decimals``, ``selecting``, ``filtering``, ``mapping``, ``aggregating``, ``sorting``,
``strings``, ``words`` and ``tables`` hold the functions; ``base`` says what an atom is, ``inputs``
draws arguments, ``catalogue`` gathers all of it. How atoms are joined is ``codegym.synthesis``.

Source: Chen et al., arXiv 2406.10305 (100 atomic Python functions, ten topics); the functions,
their wording and their types are ours.
"""

from codegym.atoms.atom import Atom
from codegym.atoms.catalogue import TOPICS, by_topic, catalogue

__all__ = ["TOPICS", "Atom", "by_topic", "catalogue"]
