"""Unicode: bytes that may begin a character, anywhere or in a name. Bytes are ``chr(0..255)``."""

from functools import cache

_LAST_OF_PLANE_0 = 0xFFFF


def is_prefix(data: str, *, named: bool, first: bool) -> bool:
    """Whether some bytes begin a character of two bytes or more.

    Args:
        data: The bytes so far.
        named: Whether to accept only characters that may occur in a name (of plane 0).
        first: Whether to accept only characters that may begin a name.
    """
    return character_completion(data, named=named, first=first) is not None


@cache
def character_completion(data: str, *, named: bool, first: bool) -> str | None:
    """Return bytes that complete a character, "" if it is complete, None if none do."""
    if named:
        return _names(first).get(data)
    lead, rest = ord(data[0]), data[1:]
    width = _width(lead)
    if not width or len(data) > width or any(not 0x80 <= ord(byte) < 0xC0 for byte in rest):
        return None
    low = {0xE0: 0xA0, 0xF0: 0x90}.get(lead, 0x80)
    high = {0xED: 0x9F, 0xF4: 0x8F}.get(lead, 0xBF)
    if rest and not low <= ord(rest[0]) <= high:
        return None
    missing = width - len(data)
    return "" if not missing else (chr(low) if not rest else "\x80") + "\x80" * (missing - 1)


def _width(lead: int) -> int:
    if 0xC2 <= lead < 0xE0:
        return 2
    if 0xE0 <= lead < 0xF0:
        return 3
    return 4 if 0xF0 <= lead < 0xF5 else 0


@cache
def _names(first: bool) -> dict[str, str]:
    """Map each prefix of a name character's bytes to the bytes that complete a character."""
    found: dict[str, str] = {}
    for code in range(0x80, _LAST_OF_PLANE_0 + 1):
        if (chr(code) if first else f"a{chr(code)}").isidentifier():
            whole = chr(code).encode().decode("latin-1")
            for length in range(1, len(whole) + 1):
                found.setdefault(whole[:length], whole[length:])
    return found
