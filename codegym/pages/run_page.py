"""Run page: curves with bands, outcomes over time, settings, and programs with their credit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from codegym.grading.verdict import GRAVITY
from codegym.pages.charts import Series, line_chart, share_chart
from codegym.pages.episode_page import program, verdict
from codegym.pages.episode_view import EpisodeView
from codegym.pages.html_page import frame, note, table

# Metric -> title of its chart; those that an agent does not log are left out.
_METRICS = {
    "loss": "Loss",
    "entropy": "Entropy of the policy, nats a token",
    "approx_kl": "KL divergence of an update (approximate)",
    "kl": "KL divergence of an update",
    "grad_norm": "Norm of the gradient",
    "programs_per_s": "Throughput, programs a second",
    "tokens": "Tokens of a program",
}
_KINDS = ("greedy", "sampled")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContent:
    """What a run's page shows.

    Attributes:
        name: Name of the run.
        config: Its settings.
        metrics: A row for each update.
        curve: A row for each evaluation.
        summary: Gains of a complete run; None of another.
        departures: Agent -> setting -> (value, the paper's value).
        notes: Plain sentences about the run.
        best, worst: Programs of the last evaluation.
        refresh_s: Seconds after which a page that is served looks for news; 0 for never.
    """

    name: str
    config: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    curve: Sequence[Mapping[str, Any]]
    summary: Mapping[str, Any] | None = None
    departures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    best: Sequence[EpisodeView] = ()
    worst: Sequence[EpisodeView] = ()
    refresh_s: int = 0


def draw(run: RunContent) -> str:
    """Return the page of a run, complete or under way."""
    config = run.config
    reward = escape(str(config.get("reward") or "own"))
    state = "complete" if run.summary is not None else "not complete"
    head = (
        f"<h1>{escape(run.name)}</h1><p>{escape(str(config.get('agent')))} with "
        f"{escape(str(config.get('policy')))}, reward {reward}, "
        f"seed {config.get('seed')}: <strong>{state}</strong>. {_progress(run)}</p>"
    )
    parts = [head, *map(note, run.notes), _summary(run), _charts(run), _departures(run)]
    if run.worst or run.best:
        parts.append("<h2>Programs of the last evaluation</h2>")
        parts.append(
            '<p class="soft">Blue tokens gained, orange and underlined tokens lost under the '
            "reward of the run.</p>"
        )
        parts += [_episode(view, "worst", number) for number, view in enumerate(run.worst)]
        parts += [_episode(view, "best", number) for number, view in enumerate(run.best)]
    rows = [(name, _shown(value)) for name, value in config.items()]
    parts.append(
        "<details><summary>All settings</summary>"
        f"{table(('setting', 'value'), rows, words=2)}</details>"
    )
    return frame(run.name, "".join(parts), script=_live(run.refresh_s))


def _live(refresh_s: int) -> str:
    """Return the script of a served page: it takes the news in without losing the place."""
    if not refresh_s:
        return ""
    return f"""
async function renew() {{
  try {{
    const text = await (await fetch(location.href, {{cache: "no-store"}})).text();
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("main");
    const main = document.querySelector("main");
    const open = [...main.querySelectorAll("details")].map((each) => each.open);
    if (fresh.innerHTML !== main.dataset.seen) {{
      main.dataset.seen = fresh.innerHTML;
      main.innerHTML = fresh.innerHTML;
      const now = main.querySelectorAll("details");
      now.forEach((each, i) => {{ each.open = open[i] ?? each.open; }});
    }}
  }} catch (error) {{ document.title = "no news: " + document.title.replace(/^no news: /, ""); }}
  setTimeout(renew, {refresh_s * 1000});
}}
setTimeout(renew, {refresh_s * 1000});
"""


def _progress(run: RunContent) -> str:
    if not run.metrics:
        return "No update yet."
    last = run.metrics[-1]
    total = (
        f"{last['programs']:,} programs of phase {last['phase']}, "
        f"{last['train_s'] / 60:.1f} minutes of training"
    )
    return escape(total) + "."


def _interval(row: Mapping[str, float], *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{row['mean']:{sign}.3f} [{row['low']:{sign}.3f}, {row['high']:{sign}.3f}]"


def _summary(run: RunContent) -> str:
    if run.summary is None:
        return ""
    hidden = any(run.summary[kind].get("hidden_gap_after") for kind in _KINDS)
    rows = []
    for kind in _KINDS:
        figures = run.summary[kind]
        row = [
            kind,
            _interval(figures["before"]),
            _interval(figures["after"]),
            _interval(figures["gain"], signed=True),
        ]
        if hidden:
            gaps = (figures.get(f"hidden_gap_{moment}") for moment in ("before", "after"))
            row += [_interval(gap) if gap else "-" for gap in gaps]
        rows.append(row)
    title = f"pass@1 on {run.summary['n_tasks']} held-out tasks, 95\u00a0% intervals"
    heads = (
        *("programs", "before RL", "after RL", "gain"),
        *(("hidden-test gap before", "hidden-test gap after") if hidden else ()),
    )
    return f"<h2>{escape(title)}</h2>{table(heads, rows, label=title)}"


def _charts(run: RunContent) -> str:
    learning = [row for row in run.metrics if row["phase"] != "warm start"]
    before = next((row for row in run.curve if row["moment"] == "before"), None)
    start = before["programs"] / 1000 if before else 0.0
    x_label = "thousand programs"
    mark = (start, "RL begins") if start else None
    held_out = [_curve(run.curve, kind) for kind in _KINDS]
    training = [row for row in learning if "pass_rate" in row]
    xs = [start + row["programs"] / 1000 for row in training]
    held_out.append(Series("training tasks", xs, [row["pass_rate"] for row in training]))
    title = "pass@1 on held-out tasks, bands: 95\u00a0%"
    charts = [line_chart(title, held_out, x_label=x_label, bounds=(0.0, 1.0), mark=mark)]
    names = [str(outcome) for outcome in reversed(GRAVITY)]
    shares = {
        name.replace("_", " "): [row.get(f"outcome/{name}", 0.0) for row in training]
        for name in names
        if any(row.get(f"outcome/{name}") for row in training)
    }
    charts.append(share_chart("Outcomes of training programs", xs, shares, x_label=x_label))
    charts += [gap_chart(run.curve, training, start, x_label)]
    phases = dict.fromkeys(row["phase"] for row in run.metrics)
    for name, title in _METRICS.items():
        lines = []
        for phase in phases:
            rows = [row for row in run.metrics if row["phase"] == phase and name in row]
            offset = 0.0 if phase == "warm start" else start
            places = [offset + row["programs"] / 1000 for row in rows]
            lines.append(Series(phase, places, [row[name] for row in rows]))
        charts.append(line_chart(title, lines, x_label=x_label))
    return f'<h2>Curves</h2><div class="grid">{"".join(charts)}</div>'


def _curve(curve: Sequence[Mapping[str, Any]], kind: str) -> Series:
    points = [row[kind]["pass_at"]["1"] for row in curve]
    return Series(
        kind,
        [row["programs"] / 1000 for row in curve],
        [point["mean"] for point in points],
        [point["low"] for point in points],
        [point["high"] for point in points],
    )


def gap_chart(
    curve: Sequence[Mapping[str, Any]],
    training: Sequence[Mapping[str, Any]],
    start: float,
    x_label: str,
) -> str:
    """Return a chart of the gap of hidden tests, where the run logs one."""
    logged = [row for row in training if "hidden_gap" in row]
    xs = [start + row["programs"] / 1000 for row in logged]
    lines = [Series("training", xs, [row["hidden_gap"] for row in logged])]
    for kind in _KINDS:
        measured = [row for row in curve if row[kind].get("hidden_gap")]
        places = [row["programs"] / 1000 for row in measured]
        gaps = [row[kind]["hidden_gap"] for row in measured]
        bounds = ([gap[name] for gap in gaps] for name in ("mean", "low", "high"))
        lines.append(Series(f"held-out, {kind}", places, *bounds))
    return line_chart("Passed the tests but not the hidden ones", lines, x_label=x_label)


def _departures(run: RunContent) -> str:
    rows = [
        (agent, name, _shown(pair[0]), _shown(pair[1]))
        for agent, settings in run.departures.items()
        for name, pair in settings.items()
    ]
    if not rows:
        return ""
    heads = ("agent", "setting", "here", "the paper")
    shown = table(heads, rows, words=2, label="departures from the papers")
    return f"<h2>Settings that depart from the papers</h2>{shown}"


def _episode(view: EpisodeView, what: str, number: int) -> str:
    reward = "" if view.reward is None else f", reward {view.reward:+.3f}"
    outcome = view.verdict.outcome.value.replace("_", " ") if view.verdict else ""
    opened = " open" if number == 0 else ""
    return (
        f"<details{opened}><summary>{what}: {escape(view.task_id)}, {escape(outcome)}{reward}"
        f"</summary>{program(view, coloured=True)}"
        f"{verdict(view).replace('<h2', '<p').replace('</h2>', '</p>')}</details>"
    )


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each}" for name, each in value.items()) or "none"
    return str(value) if value != "" else "none"
