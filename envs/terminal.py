"""Terminal: an episode as coloured text; for people, in mode ``ansi`` or live in mode ``human``."""

from codegym.pages.episode_view import EpisodeView, describe_cases, strengths

_DIM, _BOLD, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_RED, _GREEN = "\x1b[31m", "\x1b[32m"
# Shades of the 256-colour palette, faint to strong.
_BLAME = (224, 217, 210, 203)
_PRAISE = (194, 157, 120, 83)
CLEAR = "\x1b[2J\x1b[H"


def draw(view: EpisodeView) -> str:
    """Draw an episode: the prompt, the program so far, and at the end its rewards and tests.

    Tokens that earned something have a background, red below zero and green above.
    """
    title = f"{_BOLD}{view.task_id}{_RESET}  {len(view.pieces)} tokens"
    if view.reward is not None:
        title += f"  reward {view.reward:+.3f}"
    body = "".join(_piece(view, number) for number in range(len(view.pieces)))
    parts = [title, f"{_DIM}{view.prompt}{_RESET}{body}"]
    if view.verdict is not None:
        parts.append(_verdict(view))
    return "\n".join(parts) + "\n"


def _piece(view: EpisodeView, number: int) -> str:
    text = view.pieces[number]
    amount = strengths(view.credit)[number] if view.credit else 0.0
    if not amount:
        return text
    shades = _PRAISE if amount > 0 else _BLAME
    shade = shades[min(len(shades) - 1, int(abs(amount) * len(shades)))]
    # A background that runs over a line's end would fill the next line.
    shown = text if text else "\N{END OF PROOF}"
    return "\n".join(
        f"\x1b[30;48;5;{shade}m{part}{_RESET}" if part else "" for part in shown.split("\n")
    )


def _verdict(view: EpisodeView) -> str:
    verdict = view.verdict
    assert verdict is not None
    colour = _GREEN if verdict.passed else _RED
    lines = [f"{colour}{verdict.outcome.value.replace('_', ' ')}{_RESET}"]
    if verdict.cut:
        lines[0] += ", cut by the token budget"
    for passed, words in describe_cases(verdict):
        lines.append(f"  {_GREEN + '✓' if passed else _RED + '✗'}{_RESET} {words}")
    return "\n".join(lines)
