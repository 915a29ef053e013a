"""Licences: reads SPDX names from a package's metadata or a folder's LICENSE file."""

import re
from collections.abc import Iterable
from email.message import Message
from pathlib import Path

UNKNOWN = "unknown"
_FILES = ("LICENSE", "LICENCE", "COPYING", "LICENSE.txt", "LICENSE.md", "LICENSE.rst",
          "LICENCE.txt", "LICENCE.md", "COPYING.txt", "COPYING.LESSER")  # fmt: skip
# Each licence's text contains all of these words.
_TEXTS = (
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("LGPL-3.0", ("gnu lesser general public license", "version 3")),
    ("LGPL-2.1", ("gnu lesser general public license", "version 2.1")),
    ("AGPL-3.0", ("gnu affero general public license",)),
    ("GPL-3.0", ("gnu general public license", "version 3")),
    ("GPL-2.0", ("gnu general public license", "version 2")),
    ("MPL-2.0", ("mozilla public license", "2.0")),
    ("PSF-2.0", ("python software foundation license",)),
    ("BSD-3-Clause", ("redistribution and use in source and binary", "neither the name")),
    ("BSD-2-Clause", ("redistribution and use in source and binary",)),
    ("ISC", ("permission to use, copy, modify, and/or distribute",)),
    ("MIT", ("permission is hereby granted, free of charge",)),
    ("Unlicense", ("free and unencumbered software released into the public domain",)),
    ("CC0-1.0", ("cc0 1.0 universal",)),
)
# Patterns of short names in metadata, in order of priority.
_NAMES = (
    (r"apache", "Apache-2.0"),
    (r"agpl|affero", "AGPL-3.0"),
    (r"lgpl.*3|lesser.*\(?lgplv3", "LGPL-3.0"),
    (r"lgpl|lesser", "LGPL-2.1"),
    (r"gpl.*3|gplv3|general public license v3", "GPL-3.0"),
    (r"gpl|general public license", "GPL-2.0"),
    (r"mpl|mozilla", "MPL-2.0"),
    (r"psf|python software foundation", "PSF-2.0"),
    (r"bsd.*2|2-clause", "BSD-2-Clause"),
    (r"bsd", "BSD-3-Clause"),
    (r"\bisc\b", "ISC"),
    (r"\bmit\b", "MIT"),
    (r"unlicense", "Unlicense"),
    (r"cc0|public domain", "CC0-1.0"),
    (r"zlib", "Zlib"),
)
_LONG = 100


def licence_of_metadata(metadata: Message) -> str:
    """Return the licence that a distribution's metadata name.

    Args:
        metadata: Metadata from ``importlib.metadata``; an expression takes priority over a
            classifier, a classifier over the free text.
    """
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression).strip()
    classifiers: Iterable[str] = metadata.get_all("Classifier") or ()
    for line in (*(name for name in classifiers if name.startswith("License ::")),
                 str(metadata.get("License") or "")):  # fmt: skip
        found = _by_name(line) if len(line) <= _LONG else licence_of_text(line)
        if found != UNKNOWN:
            return found
    return UNKNOWN


def licence_of_tree(folder: Path) -> str:
    """Return the licence of the LICENSE file in a folder or up to three folders above it."""
    for place in (folder, *list(folder.parents)[:3]):
        for name in _FILES:
            file = place / name
            if file.is_file():
                return licence_of_text(file.read_text(encoding="utf-8", errors="replace"))
    return UNKNOWN


def licence_of_text(text: str) -> str:
    """Return the SPDX name of a licence's full text."""
    start = " ".join(text[:6000].lower().split())
    return next((name for name, words in _TEXTS if all(word in start for word in words)), UNKNOWN)


def _by_name(text: str) -> str:
    lowered = text.lower()
    return next((name for pattern, name in _NAMES if re.search(pattern, lowered)), UNKNOWN)
