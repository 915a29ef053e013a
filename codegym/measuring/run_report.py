"""Run report: the results of a finished run as JSON, as a table and as a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from codegym.measuring.statistics import Interval, paired_gain

KINDS = ("greedy", "sampled")


def summarise(curve: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compare the evaluations before and after, task by task.

    Args:
        curve: The lines of ``curve.jsonl``.

    Returns:
        For ``greedy`` and ``sampled``: ``before``, ``after`` and ``gain`` of pass@1, each with its
        95 % interval, the outcomes of all programs, and the gap between visible and hidden tests
        before and after (None without hidden tests); ``n_tasks``; ``train_s``; ``programs``.
    """
    first = next(row for row in curve if row["moment"] == "before")
    last = next(row for row in reversed(curve) if row["moment"] == "after")
    summary: dict[str, Any] = {
        "n_tasks": last["greedy"]["n_tasks"],
        "programs": last["programs"] - first["programs"],
        "train_s": last["train_s"] - first["train_s"],
        "warm_start_programs": first["programs"],
        "warm_start_train_s": first["train_s"],
    }
    for kind in KINDS:
        before, after = first[kind], last[kind]
        gain = paired_gain(_passed(before), _passed(after), seed=after["seed"])
        summary[kind] = {
            "before": before["pass_at"]["1"],
            "after": after["pass_at"]["1"],
            "gain": {"mean": gain.mean, "low": gain.low, "high": gain.high},
            "outcomes_before": before["outcomes"],
            "outcomes_after": after["outcomes"],
            "hidden_gap_before": before.get("hidden_gap"),
            "hidden_gap_after": after.get("hidden_gap"),
        }
    return summary


def table(summary: Mapping[str, Any], *, agent: str) -> Table:
    """Draw a summary as a table."""
    drawn = Table(
        title=f"pass@1 on {summary['n_tasks']} held-out tasks, 95 % intervals",
        caption=f"{agent}: {summary['programs']} programs, {summary['train_s']:.0f} s of training",
    )
    hidden = any(summary[kind].get("hidden_gap_after") for kind in KINDS)
    heads = ("", "before RL", "after RL", "gain")
    for head in (*heads, *(("hidden-test gap before", "after") if hidden else ())):
        drawn.add_column(head, justify="right" if head else "left")
    for kind in KINDS:
        cells = [str(Interval(**summary[kind][name])) for name in ("before", "after")]
        gain = Interval(**summary[kind]["gain"])
        cells.append(f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
        if hidden:
            gaps = (summary[kind][f"hidden_gap_{moment}"] for moment in ("before", "after"))
            cells += [str(Interval(**gap)) if gap else "" for gap in gaps]
        drawn.add_row(kind, *cells)
    return drawn


def plot(
    curve: Sequence[Mapping[str, Any]],
    metrics: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    title: str,
) -> None:
    """Draw held-out pass@1 and the training pass rate over seconds of training, as a PNG.

    Args:
        curve: The lines of ``curve.jsonl``.
        metrics: The lines of ``metrics.jsonl``.
        path: File of the picture.
        title: Title of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # The object interface: pyplot would keep global state.
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    start = next((row["train_s"] for row in curve if row["moment"] == "before"), 0.0)
    for kind, colour in zip(KINDS, ("tab:blue", "tab:orange"), strict=True):
        seconds = [row["train_s"] for row in curve]
        points = [row[kind]["pass_at"]["1"] for row in curve]
        means = [point["mean"] for point in points]
        spread = [
            [max(0.0, point["mean"] - point["low"]) for point in points],
            [max(0.0, point["high"] - point["mean"]) for point in points],
        ]
        axes.errorbar(
            seconds,
            means,
            yerr=spread,
            color=colour,
            marker="o",
            capsize=3,
            label=f"held-out pass@1, {kind}",
        )
    learning = [row for row in metrics if row["phase"] != "warm start" and "pass_rate" in row]
    if learning:
        axes.plot(
            [start + row["train_s"] for row in learning],
            [row["pass_rate"] for row in learning],
            color="tab:gray",
            alpha=0.5,
            linewidth=1,
            label="training tasks, sampled",
        )
    if start:
        axes.axvline(start, color="black", linewidth=0.8, linestyle=":")
        axes.text(start, 0.02, " RL begins", va="bottom", fontsize="small")
    axes.set(
        xlabel="seconds of training", ylabel="share that passes all tests", ylim=(0, 1), title=title
    )
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def _passed(report: Mapping[str, Any]) -> list[float]:
    return [row["passed"] / report["n"] for row in report["rows"]]


def departure_lines(departures: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[str]:
    """Return a line for each agent whose settings differ from its paper's.

    Args:
        departures: Agent -> setting -> (value, the paper's value).
    """
    return [
        f"{agent} differs from the paper in "
        + ", ".join(f"{name}={value} ({paper})" for name, (value, paper) in settings.items())
        for agent, settings in departures.items()
        if settings
    ]
