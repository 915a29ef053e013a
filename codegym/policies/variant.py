"""Variants: the part of a policy's name after the colon, ``small@512?value_hidden=128``."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

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
    name, _, query = variant.partition("?")
    expected = " and ".join(f"{key}=NUMBER" for key in known)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ConfigError("unusable options", value=query, expected=expected) from error
    options: dict[str, int] = {}
    for key, text in pairs:
        if key not in known:
            raise UnknownNameError(f"option of {policy}", key, known)
        if not (text.isascii() and text.isdigit()) or key in options:
            raise ConfigError("unusable options", value=query, expected=expected)
        options[key] = int(text)
    return name, options
