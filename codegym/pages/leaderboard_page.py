"""Leaderboard page: several runs and seeds with intervals, to filter and to sort."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from codegym.pages.html_page import frame

_HEADS = ("rank", "run", "programs", "gain", "95 %", "after", "before", "seeds", "budget")
_GAP = "hidden-test gap"
_GAP_SENTENCE = (
    "The hidden-test gap is the share of the programs after RL that pass the tests but not the "
    "hidden ones."
)
_SCRIPT = """
const body = document.querySelector("tbody"), rows = [...body.rows];
const text = document.getElementById("text"), kind = document.getElementById("kind");
const shown = document.getElementById("shown");
function filter() {
  let number = 0;
  rows.forEach((row) => {
    const wanted = row.textContent.toLowerCase().includes(text.value.toLowerCase())
      && (!kind.value || row.dataset.kind === kind.value);
    row.hidden = !wanted;
    number += wanted;
  });
  shown.textContent = `${number} of ${rows.length} rows`;
}
document.querySelectorAll("th button").forEach((button) => {
  button.onclick = () => {
    const head = button.parentElement, place = head.cellIndex;
    const up = head.getAttribute("aria-sort") === "descending";
    document.querySelectorAll("th").forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[place].dataset.v ?? row.cells[place].textContent;
    rows.sort((a, b) => {
      const x = value(a), y = value(b), numbers = !isNaN(x) && !isNaN(y);
      return (up ? 1 : -1) * (numbers ? x - y : x.localeCompare(y));
    });
    body.append(...rows);
  };
});
text.oninput = kind.onchange = filter; filter();
"""


def draw(rows: Sequence[Mapping[str, Any]], *, title: str = "Leaderboard") -> str:
    """Return the page.

    Args:
        rows: Rows with ``label, kind, seeds, tasks, programs, minutes, before, after, gain``; the
            last three with ``mean``, ``low`` and ``high``, and so ``hidden_gap``, where it is
            known. Those of a kind are in order.
        title: Title of the page.
    """
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    ranks: dict[str, int] = {}
    lines = []
    reach = max((abs(row["gain"][side]) for row in rows for side in ("low", "high")), default=1.0)
    hidden = any(row.get("hidden_gap") for row in rows)
    for row in rows:
        ranks[row["kind"]] = ranks.get(row["kind"], 0) + 1
        lines.append(_row(row, ranks[row["kind"]], reach or 1.0, hidden=hidden))
    choices = "".join(f"<option>{escape(kind)}</option>" for kind in kinds)
    heads = "".join(
        f'<th scope="col"{" class=words" if name in ("run", "programs") else ""}>'
        f'<button type="button">{name}</button></th>'
        for name in (*_HEADS, *((_GAP,) if hidden else ()))
    )
    tasks = ", ".join(f"{count:,}" for count in sorted({row["tasks"] for row in rows}))
    body = (
        f"<h1>{escape(title)}</h1><p>pass@1 on {tasks or 'no'} held-out tasks. Intervals are 95 %, "
        "over tasks, each averaged over the seeds; gains are paired by task. Two runs whose "
        "intervals overlap may be in either order."
        f"{' ' + _GAP_SENTENCE if hidden else ''}</p>"
        '<p><label>filter <input id="text" type="search"></label>'
        f'<label>programs <select id="kind"><option value="">all</option>{choices}</select></label>'
        '<output id="shown" class="soft"></output></p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="leaderboard"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
    return frame(title, body, script=_SCRIPT)


def _row(row: Mapping[str, Any], rank: int, reach: float, *, hidden: bool) -> str:
    seeds = ", ".join(map(str, row["seeds"]))
    budget = f"{row['programs']:,.0f}<br><small>{row['minutes']:.1f} min</small>"
    cells = [
        _cell(str(rank), rank),
        f'<td class="words run">{escape(row["label"])}</td>',
        f'<td class="words">{escape(row["kind"])}</td>',
        _cell(_stacked(row["gain"], "+"), row["gain"]["mean"]),
        _cell(_bar(row["gain"], reach), row["gain"]["low"]),
        *(_cell(_stacked(row[name], ""), row[name]["mean"]) for name in ("after", "before")),
        _cell(seeds, len(row["seeds"])),
        _cell(budget, row["programs"]),
    ]
    if hidden:
        gap = row.get("hidden_gap")
        cells.append(_cell(_stacked(gap, ""), gap["mean"]) if gap else "<td>-</td>")
    return f'<tr data-kind="{escape(row["kind"])}">{"".join(cells)}</tr>'


def _cell(text: str, value: float) -> str:
    """Return a cell of HTML, and the value by which its column is sorted."""
    return f'<td data-v="{value}">{text}</td>'


def _stacked(row: Mapping[str, float], sign: str) -> str:
    """Return a mean with its interval below."""
    return (
        f"{row['mean']:{sign}.3f}<br>"
        f'<small class="soft">[{row["low"]:{sign}.3f}, {row["high"]:{sign}.3f}]</small>'
    )


def _bar(gain: Mapping[str, float], reach: float) -> str:
    """Return an interval as a line with a dot, around 0 in the middle."""
    low, mean, high = (60 + 56 * gain[name] / reach for name in ("low", "mean", "high"))
    text = f"gain {gain['mean']:+.3f}, from {gain['low']:+.3f} to {gain['high']:+.3f}"
    return (
        f'<svg viewBox="0 0 120 16" role="img" aria-label="{text}" style="width:120px">'
        '<line x1="60" x2="60" y1="0" y2="16" stroke="var(--soft)"/>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="8" y2="8" stroke="var(--s0)" stroke-width="3"/>'
        f'<circle cx="{mean:.1f}" cy="8" r="4" fill="var(--s0)"/></svg>'
    )
