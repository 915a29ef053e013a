"""Run report: the results of a finished run as JSON, as a table and as a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codegym.measuring.plotting import STYLES, new_figure, place_legend
from codegym.measuring.result_table import Cell, Difference, ResultTable, words
from codegym.measuring.statistics import Interval, paired_gain

KINDS = ("greedy", "sampled")
# Of sampled programs on held-out tasks; below, most updates meet no program that passes.
_LEAST_START = 0.01


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


def table(summary: Mapping[str, Any], *, agent: str) -> ResultTable:
    """Return a summary as a table; with hidden tests, their gap too."""
    hidden = any(summary[kind].get("hidden_gap_after") for kind in KINDS)
    rows: list[Sequence[Cell]] = []
    for kind in KINDS:
        figures = summary[kind]
        rates = (Interval(**figures[name]) for name in ("before", "after"))
        row: list[Cell] = [kind, *rates, Difference(Interval(**figures["gain"]))]
        if hidden:
            gaps = (figures[f"hidden_gap_{moment}"] for moment in ("before", "after"))
            row += [Interval(**gap) if gap else None for gap in gaps]
        rows.append(row)
    return ResultTable(
        (
            words("programs", "kind"),
            "before RL",
            "after RL",
            "gain",
            *(("hidden-test gap before", "hidden-test gap after") if hidden else ()),
        ),
        rows,
        title=f"pass@1 on {summary['n_tasks']} held-out tasks, 95 % intervals",
        caption=f"{agent}: {summary['programs']} programs, {summary['train_s']:.0f} s of training",
    )


def start_note(sampled: float, start: str) -> str:
    """Return a plain sentence about a start that is too weak to learn from rewards; "" otherwise.

    Args:
        sampled: Share of sampled programs that pass before reinforcement learning.
        start: The start in words.
    """
    if sampled >= _LEAST_START:
        return ""
    return (
        f"{start} was too small to learn from: {sampled:.1%} of the sampled programs pass after "
        "it, so rewards say hardly anything. Give it more demonstrations (--warm-start-programs, "
        "--warm-start-minutes), or easier tasks."
    )


def notes(summary: Mapping[str, Any]) -> list[str]:
    """Return plain sentences about a run's result."""
    start = "the warm start" if summary["warm_start_programs"] else "the policy at the start"
    note = start_note(summary["sampled"]["before"]["mean"], start)
    return [note] if note else []


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
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    start = next((row["train_s"] for row in curve if row["moment"] == "before"), 0.0)
    _draw_curves(axes, curve)
    learning = [row for row in metrics if row["phase"] != "warm start" and "pass_rate" in row]
    if learning:
        axes.plot(
            [start + row["train_s"] for row in learning],
            [row["pass_rate"] for row in learning],
            color="0.45",
            linewidth=1,
            zorder=1,
            label="training tasks, sampled",
        )
    if start:
        axes.axvline(start, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(
            "RL begins",
            (start, 1.0),
            (3, -3),
            textcoords="offset points",
            va="top",
            fontsize="small",
        )
    axes.set(
        xlabel="seconds of training",
        ylabel="share that passes all tests",
        ylim=(-0.02, 1.02),
        title=title,
    )
    place_legend(figure, axes)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def _draw_curves(axes: Any, curve: Sequence[Mapping[str, Any]]) -> None:
    """Draw held-out pass@1 with its intervals."""
    for kind, style in zip(KINDS, STYLES, strict=False):
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
            **style,
            capsize=3,
            # A curve at 0 or 1 is drawn over the frame, not cut by it.
            clip_on=False,
            label=f"held-out pass@1, {kind}",
        )


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
