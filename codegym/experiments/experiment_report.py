"""Experiment report: draws tables for the terminal and for report.md, and a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from codegym.measuring.run_report import KINDS, departure_lines
from codegym.measuring.statistics import Interval

CAUTION = (
    "The paper's figures are from other models and data. A sign that agrees does not replicate the "
    "paper's number, and an undecided sign does not refute it. Intervals resample tasks only, not "
    "seeds."
)

Rows = tuple[str, Sequence[str], list[list[str]]]  # title, heads, cells


def rows(results: Mapping[str, Any]) -> list[Rows]:
    """Return the tables of an experiment as text: per kind the arms, then the contrasts."""
    return [*(_arms(results, kind) for kind in KINDS), _contrasts(results)]


def _arms(results: Mapping[str, Any], kind: str) -> Rows:
    measured = next(iter(results["arms"].values()))[kind]
    heads = ["arm", "programs", "before", "after", "gain", "after, by seed"]
    if "train-set" in measured:
        heads += ["on training tasks", "train-test gap"]
    cells = []
    for label, arm in results["arms"].items():
        figures = arm[kind]
        row = [
            label,
            f"{sum(arm['programs']) / len(arm['programs']):.0f}",
            str(Interval(**figures["before"]["mean"])),
            str(Interval(**figures["after"]["mean"])),
            signed(figures["gain"]["mean"]),
            " ".join(f"{value:.3f}" for value in figures["after"]["seeds"]),
        ]
        if "train-set" in figures:
            row.append(str(Interval(**figures["train-set"]["mean"])))
            row.append(signed(figures["gap"]["mean"]))
        cells.append(row)
    return f"{kind}: pass@1 on held-out tasks, 95 % intervals", heads, cells


def _contrasts(results: Mapping[str, Any]) -> Rows:
    heads = ["contrast", "", "difference", "by seed", "verdict", "the paper"]
    cells = []
    for contrast in results["contrasts"]:
        for kind in KINDS:
            figure = contrast[kind]
            first = kind == KINDS[0]
            cells.append(
                [
                    contrast["name"] if first else "",
                    kind,
                    signed(figure["mean"]),
                    " ".join(f"{value:+.3f}" for value in figure["seeds"]),
                    figure["verdict"],
                    contrast["paper"] if first else "",
                ]
            )
    return "contrasts: differences, paired by task, 95 % intervals", heads, cells


def signed(figure: Mapping[str, float]) -> str:
    """Return a difference and its interval, with signs."""
    return f"{figure['mean']:+.3f} [{figure['low']:+.3f}, {figure['high']:+.3f}]"


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Draw the tables for the terminal."""
    drawn = []
    for title, heads, cells in rows(results):
        table = Table(title=title)
        for head in heads:
            words = head in ("arm", "contrast", "", "verdict", "the paper")
            table.add_column(head, justify="left" if words else "right", overflow="fold")
        for row in cells:
            table.add_row(*row)
        drawn.append(table)
    return drawn


def markdown(results: Mapping[str, Any]) -> str:
    """Return the whole report as Markdown."""
    machine = results["machine"]
    parts = [
        f"# {results['experiment']}",
        f"{results['paper']}. {results['question']}",
        f"Scale `{results['scale']}`, seeds {', '.join(map(str, results['seeds']))}, "
        f"{results['eval_count']} held-out tasks of `{results['eval_tasks']}` "
        f"in `{results['env']}`.",
    ]
    for title, heads, cells in rows(results):
        lines = [heads, ["---"] * len(heads), *cells]
        body = "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        )
        parts.append(f"**{title[0].upper()}{title[1:]}**\n\n{body}")
    parts += [
        "![pass@1 by arm, and the contrasts](plot.png)",
        "\n".join(f"- {note}" for note in (*results["notes"], CAUTION)),
        "\n".join(f"- {line}" for line in departure_lines(results["departures"])),
        "Intervals resample the tasks, whose figures are averaged over the seeds. The columns by "
        "seed show how much the seeds vary.",
        f"Made by `{results['command']}` with codegym {results['versions']['codegym']}, torch "
        f"{machine['torch']} on {machine['threads']} of {machine['cores']} cores, Python "
        f"{machine['python']}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plot(results: Mapping[str, Any], path: Path) -> None:
    """Draw pass@1 of each arm and the contrasts, with the seeds as dots, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    arms, contrasts = results["arms"], results["contrasts"]
    height = 1.6 + 0.45 * max(len(arms), len(contrasts))
    figure = Figure(figsize=(12, height), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw(
        left, {label: {kind: arm[kind]["after"] for kind in KINDS} for label, arm in arms.items()}
    )
    _draw(
        right,
        {contrast["name"]: {kind: contrast[kind] for kind in KINDS} for contrast in contrasts},
    )
    right.axvline(0.0, color="black", linewidth=0.8)
    left.set_xlabel("pass@1 on held-out tasks at the end")
    right.set_xlabel("difference")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    seeds = ", ".join(map(str, results["seeds"]))
    figure.suptitle(f"{results['experiment']}: 95 % intervals over tasks; dots: seeds {seeds}")
    figure.savefig(path, dpi=110)


def _draw(axes: Any, lines: Mapping[str, Mapping[str, Any]]) -> None:
    for shift, (kind, colour) in enumerate(zip(KINDS, ("tab:blue", "tab:orange"), strict=True)):
        for place, label in enumerate(lines):
            figure = lines[label][kind]
            mean, height = figure["mean"], place + 0.2 * (shift - 0.5)
            axes.plot([mean["low"], mean["high"]], [height, height], color=colour)
            axes.plot(mean["mean"], height, "s", color=colour, label=kind if place == 0 else None)
            axes.plot(
                figure["seeds"], [height] * len(figure["seeds"]), ".", color=colour, alpha=0.5
            )
    axes.set_yticks(range(len(lines)), list(lines))
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
