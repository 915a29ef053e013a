"""Picture: an episode as an array of pixels, so that Gymnasium's RecordVideo works."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.errors import MissingExtraError
from codegym.pages.episode_view import EpisodeView, describe_cases, strengths

WIDTH, HEIGHT = 800, 480
_CELL = (8, 16)
_COLUMNS, _ROWS = WIDTH // _CELL[0] - 2, HEIGHT // _CELL[1] - 2
_PAPER, _INK, _FADED = (250, 250, 246), (30, 30, 30), (120, 120, 120)
_GREEN, _RED = (20, 130, 60), (190, 30, 30)


def draw(view: EpisodeView) -> NDArray[np.uint8]:
    """Draw an episode: (480, 800, 3) uint8. A long episode shows its last lines.

    Raises:
        MissingExtraError: Pillow is not installed (extra ``render``).
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ModuleNotFoundError as error:
        raise MissingExtraError("pillow", "render") from error
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=13)
    rows = _rows(view)[-_ROWS:]
    for row, cells in enumerate(rows):
        top = (row + 1) * _CELL[1]
        for column, (character, ink, paper) in enumerate(cells):
            left = (column + 1) * _CELL[0]
            if paper is not None:
                pen.rectangle((left, top, left + _CELL[0] - 1, top + _CELL[1] - 1), fill=paper)
            if character != " ":
                pen.text((left, top), character, fill=ink, font=font)
    pixels: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
    return pixels.copy()


_Cell = tuple[str, tuple[int, int, int], Any]


def _rows(view: EpisodeView) -> list[list[_Cell]]:
    title = f"{view.task_id}   {len(view.pieces)} tokens"
    if view.reward is not None:
        title += f"   reward {view.reward:+.3f}"
    rows: list[list[_Cell]] = [[]]

    def write(text: str, ink: tuple[int, int, int], paper: Any = None) -> None:
        for character in text:
            if character == "\n" or len(rows[-1]) >= _COLUMNS:
                rows.append([])
            if character != "\n":
                rows[-1].append((character, ink, paper))

    write(f"{title}\n\n", _FADED)
    write(view.prompt, _FADED)
    amounts = strengths(view.credit)
    for number, piece in enumerate(view.pieces):
        amount = amounts[number] if amounts else 0.0
        write(piece or " ", _INK, _shade(amount) if amount else None)
    if view.verdict is not None:
        write("\n\n", _INK)
        for passed, words in describe_cases(view.verdict):
            write(f"{'+' if passed else '-'} {words}\n", _GREEN if passed else _RED)
    return rows


def _shade(amount: float) -> tuple[int, int, int]:
    faint = round(235 - 110 * abs(amount))
    return (faint, 240, faint) if amount > 0 else (250, faint, faint)
