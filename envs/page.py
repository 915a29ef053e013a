"""Page: an episode as a self-contained HTML page: tokens coloured, tests, a slider over steps."""

import html
import json

from codegym.envs.view import EpisodeView, describe_cases

_STYLE = """
body{font:15px system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;
background:#fafaf6;color:#1e1e1e}
pre{font:14px ui-monospace,monospace;background:#fff;border:1px solid #ddd;padding:1rem;
overflow-x:auto;line-height:1.5}
.prompt{color:#888}.fault{outline:2px solid #c33;outline-offset:1px}
.later{visibility:hidden}.ok{color:#14823c}.no{color:#b91e1e}
label{margin-right:1.5rem}input[type=range]{width:24rem;vertical-align:middle}
@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}pre{background:#111;
border-color:#333}.t{color:#ddd}}
"""
_SCRIPT = """
const data = JSON.parse(document.getElementById("data").textContent);
const tokens = [...document.querySelectorAll(".t")];
const by = document.getElementById("by"), step = document.getElementById("step");
const said = document.getElementById("said");
function paint() {
  const row = data[by.value] || [];
  const top = Math.max(1e-9, ...row.map(Math.abs));
  const count = Number(step.value);
  tokens.forEach((token, i) => {
    token.classList.toggle("later", i >= count);
    const x = (row[i] || 0) / top;
    token.style.background = x > 0 ? `rgba(40,170,80,${0.75 * x})`
      : x < 0 ? `rgba(220,50,50,${-0.75 * x})` : "";
  });
  const last = count - 1;
  said.textContent = count ? Object.entries(data).filter(([, v]) => v.length)
    .map(([name, v]) => `${name} ${v[last].toFixed(3)}`).join(", ") : "";
}
by.onchange = step.oninput = paint; paint();
"""


def draw(view: EpisodeView) -> str:
    """Return the page. It loads nothing from anywhere, and runs no code of the episode's."""
    data = {
        name: list(row)
        for name, row in (
            ("reward", view.credit),
            ("value", view.values),
            ("probability", view.probabilities),
        )
        if row
    }
    choices = "".join(f"<option>{name}</option>" for name in data) or "<option>reward</option>"
    count = len(view.pieces)
    earned = "" if view.reward is None else f", reward {view.reward:+.3f}"
    # In JSON inside a script element only "<" can end it.
    encoded = json.dumps(data).replace("<", "\\u003c")
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{html.escape(view.task_id)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(view.task_id)}</h1><p>{count} tokens{earned}</p>"
        f"<p><label>colour by <select id=by>{choices}</select></label>"
        f"<label>step <input id=step type=range min=0 max={count} value={count}></label>"
        f"<span id=said></span></p>"
        f"<pre><span class=prompt>{html.escape(view.prompt)}</span>{_tokens(view)}</pre>"
        f"{_verdict(view)}"
        f"<script type=application/json id=data>{encoded}</script>"
        f"<script>{_SCRIPT}</script></html>\n"
    )


def _tokens(view: EpisodeView) -> str:
    fault = view.verdict.error_line if view.verdict is not None else None
    line, out = view.first_line, []
    for piece in view.pieces:
        blank = not piece.strip()
        at = line + piece.count("\n") if piece.startswith("\n") else line
        marked = " fault" if at == fault and not blank else ""
        out.append(f'<span class="t{marked}">{html.escape(piece) if piece else "&#9632;"}</span>')
        line += piece.count("\n")
    return "".join(out)


def _verdict(view: EpisodeView) -> str:
    verdict = view.verdict
    if verdict is None:
        return "<p>under way</p>"
    kind = "ok" if verdict.passed else "no"
    cut = ", cut by the token budget" if verdict.cut else ""
    rows = "".join(
        f"<li class={'ok' if passed else 'no'}>{'✓' if passed else '✗'} {html.escape(words)}</li>"
        for passed, words in describe_cases(verdict)
    )
    outcome = html.escape(verdict.outcome.value.replace("_", " "))
    return f"<h2 class={kind}>{outcome}{cut}</h2><ul>{rows}</ul>"
