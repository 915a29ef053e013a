"""Episode page: the program coloured by token, its tests, and a slider over the steps."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import count

from codegym.pages.episode_view import EpisodeView, describe_cases, strengths
from codegym.pages.html_page import frame

_SCRIPT = """
const by = document.getElementById("by"), step = document.getElementById("step");
const said = document.getElementById("said");
const parts = [...document.querySelectorAll(".t")];
function paint() {
  const row = data.shades[by.value] || [];
  const count = Number(step.value);
  parts.forEach((part) => {
    const i = Number(part.dataset.i), x = row[i] || 0;
    part.classList.toggle("later", i >= count);
    part.classList.toggle("minus", x < 0);
    const hue = x > 0 ? "plus" : "minus";
    part.style.background = x ? `rgba(var(--${hue}),${0.5 * Math.abs(x)})` : "";
  });
  const last = count - 1;
  said.textContent = count ? `token ${count}: ` + Object.entries(data.values)
    .map(([name, v]) => `${name} ${v[last].toFixed(3)}`).join(", ") : "before the first token";
}
by.onchange = step.oninput = paint; paint();
"""


def draw(view: EpisodeView) -> str:
    """Return the page. It loads nothing from anywhere, and runs no code of the episode's."""
    values = {name: list(row) for name, row in _rows(view)}
    shades = {name: strengths(row) for name, row in values.items()}
    choices = "".join(f"<option>{name}</option>" for name in values) or "<option>reward</option>"
    size = len(view.pieces)
    earned = "" if view.reward is None else f", reward {view.reward:+.3f}"
    body = (
        f"<h1>{escape(view.task_id)}</h1><p>{size} tokens{earned}</p>"
        f'<p><label>colour by <select id="by">{choices}</select></label>'
        f'<label>step <input id="step" type="range" min="0" max="{size}" value="{size}"></label>'
        f'<output id="said" for="step by" class="soft"></output></p>'
        '<p class="soft">Blue tokens gained, orange and underlined tokens lost; the stronger the '
        "more. The end of the program, &#9632;, has a strength of its own.</p>"
        f"{program(view)}{verdict(view)}"
    )
    return frame(view.task_id, body, script=_SCRIPT, data={"values": values, "shades": shades})


def program(view: EpisodeView, *, coloured: bool = False) -> str:
    """Return the prompt and the program in lines; the line at fault is marked as a whole.

    Args:
        view: The episode.
        coloured: Whether tokens are coloured by their credit without a script.
    """
    fault = view.verdict.error_line if view.verdict is not None else None
    shades = strengths(view.credit) if coloured else []
    prompt, _, begun = view.prompt.rpartition("\n")
    above = prompt.split("\n") if prompt or view.prompt.startswith("\n") else []
    first = view.first_line - len(above) if view.prompt_is_code else 1
    numbers: Iterator[int] = count(first)
    lines = [f'<span class="prompt">{escape(line)}</span>' for line in above]
    current = f'<span class="prompt">{escape(begun)}</span>' if begun else ""
    for number, piece in enumerate(view.pieces):
        for place, part in enumerate(piece.split("\n") if piece else ["\u25a0"]):
            if place:
                lines.append(current)
                current = ""
            if part:
                current += _token(part, number, shades, is_end=not piece)
    lines.append(current)
    rows = []
    for line in lines:
        number = next(numbers)
        of_code = view.prompt_is_code or number > len(above)
        shown = number if view.prompt_is_code else number - len(above)
        marked = " fault" if of_code and shown == fault else ""
        label = shown if of_code else ""
        rows.append(f'<span class="l{marked}" data-n="{label}">{line}\n</span>')
    return f'<pre tabindex="0" aria-label="the program">{"".join(rows)}</pre>'


def verdict(view: EpisodeView) -> str:
    """Return the verdict and what became of each test; tests with the same end share a line."""
    judged = view.verdict
    if judged is None:
        return '<p class="soft">under way</p>'
    kind = "ok" if judged.passed else "no"
    cut = ", cut by the token budget" if judged.cut else ""
    rows = "".join(
        f"<li class={'ok' if passed else 'no'}>{'✓' if passed else '✗'} {escape(words)}</li>"
        for passed, words in describe_cases(judged)
    )
    outcome = escape(judged.outcome.value.replace("_", " "))
    return f"<h2 class={kind}>{outcome}{cut}</h2><ul>{rows}</ul>"


def _rows(view: EpisodeView) -> list[tuple[str, Sequence[float]]]:
    rows = (
        ("reward", view.credit),
        ("value", view.values),
        ("probability", view.probabilities),
    )
    return [(name, row) for name, row in rows if row]


def _token(text: str, number: int, shades: Sequence[float], *, is_end: bool) -> str:
    shade = shades[number] if number < len(shades) else 0.0
    kinds = ["t", *(["end"] if is_end else []), *(["minus"] if shade < 0 else [])]
    paint = "plus" if shade > 0 else "minus"
    colour = f' style="background:rgba(var(--{paint}),{abs(shade) / 2:.2f})"' if shade else ""
    return f'<span class="{" ".join(kinds)}" data-i="{number}"{colour}>{escape(text)}</span>'
