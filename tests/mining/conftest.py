"""Fixtures of the mining tests: a small package, a sandbox, and the tasks mined from it."""

import pytest

import codegym
from codegym.mining.module_tree import find_modules
from codegym.mining.pipeline import Miner

SMALL_PACKAGE = '''"""Small functions.

>>> shout("hey", 2)
'HEY!!'
"""
import random
import time

VOWELS = "aeiou"
seen = {}


def shout(text: str, times: int = 1) -> str:
    """Return the text in capitals with exclamation marks.

    >>> shout("a b")
    'A B!'
    """
    if times < 0:
        raise ValueError("times must not be negative")
    return text.upper() + "!" * times


def vowels(text: str) -> int:
    """Count the vowels of a text."""
    total = 0
    for letter in text.lower():
        if letter in VOWELS:
            total += 1
    return total


def count_vowels(word: str) -> int:
    """Count how many letters of a word are vowels."""
    return len([letter for letter in word.lower() if letter in "aeiou"])


def vowels_again(string: str) -> int:
    """Count the vowels of a text once more."""
    number = 0
    for char in string.lower():
        if char in VOWELS:
            number += 1
    return number


def nothing(text: str) -> str:
    """Return nothing whatever the text."""
    if text is None:
        return text
    return None


def constant(text: str) -> int:
    """Return the answer whatever the text is."""
    return len(text) * 0 + 42


def always_wrong(number: int) -> int:
    """Return what cannot be computed at all."""
    return number.real.nothing


def chance(number: int) -> float:
    """Return a random share of a number."""
    return number * random.random()


def unordered(words: list[str]) -> list[str]:
    """Return the distinct words in any order, without the empty one."""
    found = []
    for word in {*words}:
        if word != "":
            found.append(word + "s")
    return found


def remembers(number: int, memory: list[int] = []) -> list[int]:
    """Return a number and those before it."""
    memory.append(number)
    return memory[-3:]


def endless(number: int) -> int:
    """Count for ever and ever."""
    while number != 0.5:
        number += 1
    return number


def pick(numbers: list[int]) -> list[int]:
    """Return the numbers, more or less, whatever they may be."""
    unused = [number + 3 for number in numbers if number > 1]
    other = [number * 2 for number in unused if number < 5]
    third = [number - 2 for number in other if number != 7]
    return [number for number in numbers]
'''


@pytest.fixture(scope="module")
def sandbox():
    with codegym.make_sandbox(workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "small"
    path.mkdir()
    (path / "__init__.py").write_text(SMALL_PACKAGE)
    (path / "LICENSE").write_text("Permission is hereby granted, free of charge, to any person")
    return path


@pytest.fixture(scope="module")
def mined(sandbox, folder):
    miner = Miner(find_modules(str(folder)), sandbox)
    rows = list(miner.mine())
    assert miner.costs.cpu_s > 0
    return {fate.key.partition(":")[2]: (fate, task) for fate, task in rows}
