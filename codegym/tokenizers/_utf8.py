"""Lenient UTF-8: decodes any bytes and records which character each byte belongs to.

It serves tokenizers that fall back to bytes: a policy may write any bytes, so decoding never fails.
"""

REPLACEMENT = "\ufffd"


def encode_utf8(text: str) -> bytes:
    """Return the bytes of any text, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def decode_utf8(data: bytes) -> tuple[str, list[int]]:
    """Return the text of any bytes, and for each byte the index of its character.

    A byte outside any character becomes a replacement character.

    Example:
        >>> decode_utf8("aé".encode() + b"!")
        ('aé!', [0, 1, 1, 2])
    """
    characters: list[str] = []
    owners: list[int] = []
    position = 0
    while position < len(data):
        width = _width(data[position])
        piece = data[position : position + width]
        try:
            character = piece.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            width, character = 1, REPLACEMENT
        owners.extend([len(characters)] * width)
        characters.append(character)
        position += width
    return "".join(characters), owners


def _width(lead: int) -> int:
    if lead < 0xC0:
        return 1
    if lead < 0xE0:
        return 2
    return 3 if lead < 0xF0 else 4
