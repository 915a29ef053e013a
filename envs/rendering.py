"""Rendering: Gymnasium's render modes, a module for each."""

import sys
from collections.abc import Sequence
from typing import Any

from codegym.errors import UnknownNameError
from codegym.pages.episode_view import EpisodeView

RENDER_MODES = ("ansi", "human", "html", "rgb_array")


def check_mode(mode: str | None, known: Sequence[str] = RENDER_MODES) -> str | None:
    """Return a render mode.

    Raises:
        UnknownNameError: There is no such mode; names the nearest.
    """
    if mode is not None and mode not in known:
        raise UnknownNameError("render mode", mode, known)
    return mode


def render(view: EpisodeView, mode: str) -> Any:
    """Draw an episode.

    Returns:
        Text for ``ansi`` and ``html``, (480, 800, 3) uint8 for ``rgb_array``, None for ``human``,
        which goes to the terminal.

    Raises:
        MissingExtraError: ``rgb_array`` without Pillow.
    """
    if mode == "html":
        from codegym.pages import episode_page

        return episode_page.draw(view)
    if mode == "rgb_array":
        from codegym.envs import picture

        return picture.draw(view)
    from codegym.envs import terminal

    text = terminal.draw(view)
    if mode == "ansi":
        return text
    sys.stdout.write(terminal.CLEAR + text)
    sys.stdout.flush()
    return None
