"""Episode picture: two scripted episodes as an SVG, for the README.

python docs/generators/episode_picture.py writes docs/pictures/episode.svg.
"""

from pathlib import Path
from xml.sax.saxutils import escape

import gymnasium as gym

import codegym  # noqa: F401 - registers the environments

_OUT = Path(__file__).parent.parent / "pictures" / "episode.svg"
_TASKS = "composites?domain=small&depth=2&split=train"
_PROGRAMS = (
    ("A program that raises", "    xs = [3 * x for x in xs]\n    return [y ** 2 for x in xs]"),
    ("A program that passes", "    xs = [3 * x for x in xs]\n    return [x ** 2 for x in xs]"),
)
_CELL, _LINE, _LEFT = 8.45, 25, 24
_STYLE = """<style>
  svg { --ink: #1f2933; --soft: #5b6875; --paper: #ffffff; --good: #15803d; --bad: #b91c1c;
    --plus: #bbe7c8; --minus: #f7c6c6; --token: #eef1f4; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --soft: #a3b1bf; --paper: #1b2128; --good: #4ade80; --bad: #f87171;
      --plus: #1d5a35; --minus: #6d2a2a; --token: #29323b; }
  }
  text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, monospace; fill: var(--ink);
    white-space: pre; }
  .title { font: 600 16px system-ui, "Segoe UI", Roboto, sans-serif; }
  .soft { fill: var(--soft); } .good { fill: var(--good); } .bad { fill: var(--bad); }
  .paper { fill: var(--paper); }
  .token { fill: var(--token); } .plus { fill: var(--plus); } .minus { fill: var(--minus); }
</style>"""


def draw() -> str:
    """Play the episodes under the reward ``rltf``, and return the picture."""
    parts, top = [], 36.0
    for title, text in _PROGRAMS:
        env = gym.make("codegym:CodeGym/Synthesis-v0", tasks=_TASKS, reward="rltf")
        _, opening = env.reset(seed=0)
        tokenizer = env.unwrapped.episodes.tokenizer
        tokens = [*tokenizer.encode(text), tokenizer.end_id]
        for token in tokens:
            *_, info = env.step(token)
        if not parts:
            for line in opening["prompt"].strip("\n").split("\n"):
                parts.append(_text(_LEFT, top, line, "soft"))
                top += _LINE
            top += 18
        parts.append(_text(_LEFT, top, title, "title"))
        pieces = [tokenizer.decode([token]) for token in tokens]
        drawn, top = _tokens(pieces, info["token_rewards"], top + 30)
        parts += drawn
        verdict = info["verdict"]
        kind = "good" if verdict.passed else "bad"
        words = f"{verdict.outcome.value.replace('_', ' ')}: "
        words += "" if verdict.passed else f"{verdict.error_type} on line {verdict.error_line}, "
        passed = sum(case.passed for case in verdict.cases)
        words += f"{passed} of {len(verdict.cases)} tests, credit {sum(info['token_rewards']):+.1f}"
        parts.append(_text(_LEFT, top + 8, words, kind))
        top += 52
    return _svg(parts, 620, top - 20)


def _tokens(pieces: list[str], credit: tuple[float, ...], top: float) -> tuple[list[str], float]:
    """Return a box and a text for each token, coloured by the sign of its credit."""
    parts, left = [], float(_LEFT)
    for piece, share in zip(pieces, credit, strict=True):
        if piece.startswith("\n"):
            left, top, piece = float(_LEFT), top + _LINE, piece[1:]
        shown = piece or "END"
        width = _CELL * len(shown)
        kind = "plus" if share > 0 else "minus" if share < 0 else "token"
        parts.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{top - 15:.1f}" '
            f'width="{width - 1.5:.1f}" height="20" rx="3"/>'
        )
        parts.append(_text(left, top, shown))
        left += width
    return parts, top + _LINE


def _text(left: float, top: float, words: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{left:.1f}" y="{top:.1f}" xml:space="preserve">{escape(words)}</text>'


def _svg(parts: list[str], width: float, height: float) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            'role="img" aria-labelledby="title">',
            '<title id="title">Two episodes of one task, token by token: credit in red and '
            "green, and the tests' verdict</title>",
            _STYLE,
            f'<rect class="paper" width="{width:.0f}" height="{height:.0f}" rx="10"/>',
            *parts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    _OUT.write_text(draw())
