"""Variants: the part of a policy's name after the colon, ``small@512?value_hidden=128``."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote

from codegym.errors import ConfigError, UnknownNameError


def parse_variant(variant: str, policy: str, known: Sequence[str]) -> tuple[str, dict[str, int]]:
    """Split a variant into its name and its options, which are whole numbers.

    Args:
        variant: ``name`` or ``name?key=value&key=value``.
        policy: Name of the policy, for messages.
        known: The options that the policy takes.

    Raises:
        UnknownNameError: There is no such option; names the nearest.
        ConfigError: An option has no whole number, or is given twice.
    """
    name, numbers, _ = parse_options(variant, policy, known, {})
    return name, numbers


def parse_options(
    variant: str, policy: str, numbers: Sequence[str], words: Mapping[str, Sequence[str]]
) -> tuple[str, dict[str, int], dict[str, str]]:
    """Split a variant into its name, its numbers and its words.

    Args:
        variant: ``name`` or ``name?key=value&key=value``.
        policy: Name of the policy, for messages.
        numbers: The options that take a whole number.
        words: The options that take a word, and the words that each accepts; any where it has none.

    Raises:
        UnknownNameError: There is no such option or word; names the nearest.
        ConfigError: An option has no whole number, or is given twice.
    """
    name, _, query = variant.partition("?")
    expected = " and ".join([f"{key}=NUMBER" for key in numbers] + [f"{key}=WORD" for key in words])
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ConfigError("unusable options", value=query, expected=expected) from error
    found: dict[str, int] = {}
    spoken: dict[str, str] = {}
    for key, text in pairs:
        if key not in numbers and key not in words:
            raise UnknownNameError(f"option of {policy}", key, [*numbers, *words])
        if key in found or key in spoken:
            once = f"{expected}, each option once"
            raise ConfigError("unusable options", value=query, expected=once)
        if key in words:
            if words[key] and text not in words[key]:
                raise UnknownNameError(f"{key} of {policy}", text, words[key])
            spoken[key] = text
        elif text.isascii() and text.isdigit():
            found[key] = int(text)
        else:
            raise ConfigError("unusable options", value=query, expected=expected)
    return name, found, spoken


def with_option(name: str, key: str, value: str) -> str:
    """Return a policy's name with one more option: ``hf:m?lora=8`` becomes ``hf:m?lora=8&...``."""
    return f"{name}{'&' if '?' in name else '?'}{key}={quote(value, safe='')}"
