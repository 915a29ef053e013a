"""Experiment report: draws tables for the terminal and for report.md, and a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codegym.measuring.plotting import STYLES, new_figure
from codegym.measuring.result_table import Cell, Column, Difference, ResultTable, words
from codegym.measuring.run_report import KINDS, departure_lines
from codegym.measuring.statistics import Interval

CAUTION = (
    "The paper's figures are from other models and data. A sign that agrees does not replicate the "
    "paper's number, and an undecided sign does not refute it."
)
INTERVALS = (
    "Intervals cover the choice of seeds and of compositions. Contrasts are decided with Holm's "
    "correction for the table and a correction for looking after each seed, at 5 % together; "
    "their intervals are at the corrected level. `no effect`: the interval lies within +-.02."
)

_HEADS = {
    "train-set": "on training tasks",
    "hidden": "hidden tests passed",
    "hidden-gap": "hidden-test gap",
}


def tables(results: Mapping[str, Any]) -> dict[str, ResultTable]:
    """Return the tables of an experiment: per kind the arms, then the contrasts."""
    return {
        **{kind: _arms(results, kind) for kind in KINDS},
        "contrasts": _contrasts(results),
    }


def _arms(results: Mapping[str, Any], kind: str) -> ResultTable:
    measured = next(iter(results["arms"].values()))[kind]
    further = [name for name in measured if name not in ("before", "after", "gain", "gap")]
    heads: list[Column | str] = [
        words("arm"),
        Column("programs", digits=0),
        "before",
        "after",
        "gain",
        words("after, by seed"),
        *(_HEADS.get(name, f"on {name}") for name in further),
        *(("train-test gap",) if "gap" in measured else ()),
    ]
    cells: list[list[Cell]] = []
    for label, arm in results["arms"].items():
        figures = arm[kind]
        row: list[Cell] = [
            label,
            sum(arm["programs"]) / len(arm["programs"]),
            Interval(**figures["before"]["mean"]),
            Interval(**figures["after"]["mean"]),
            Difference(Interval(**figures["gain"]["mean"])),
            " ".join(f"{value:.3f}" for value in figures["after"]["seeds"]),
        ]
        row += [Interval(**figures[name]["mean"]) for name in further]
        row += [Difference(Interval(**figures["gap"]["mean"]))] if "gap" in figures else []
        cells.append(row)
    return ResultTable(heads, cells, title=f"{kind}: pass@1 on held-out tasks, 95 % intervals")


def _contrasts(results: Mapping[str, Any]) -> ResultTable:
    heads = (
        words("contrast"),
        words("programs", "kind"),
        "difference",
        words("by seed"),
        "seeds",
        words("verdict"),
        words("the paper"),
    )
    cells: list[list[Cell]] = []
    for contrast in results["contrasts"]:
        for kind in KINDS:
            figure = contrast[kind]
            first = kind == KINDS[0]
            cells.append(
                [
                    contrast["name"] if first else "",
                    kind,
                    Difference(Interval(**figure["mean"])),
                    " ".join(f"{value:+.3f}" for value in figure["seeds"]),
                    figure["decided_at"],
                    figure["verdict"],
                    contrast["paper"] if first else "",
                ]
            )
    title = "contrasts: differences, paired by task and seed, corrected intervals"
    return ResultTable(heads, cells, title=title)


def calibration_lines(results: Mapping[str, Any]) -> list[str]:
    """Return a line for each kind of pass@1: what the null arm says of the procedure."""
    lines = []
    for kind, row in results["calibration"].items():
        if row is None:
            lines.append(f"Calibration, {kind}: needs three seeds.")
            continue
        lines.append(
            f"Calibration, {kind}: `{row['arm']}` against itself with other seeds differs by "
            f"{' '.join(f'{value:+.3f}' for value in row['differences'])}; fitted SD over seeds "
            f"{row['seed_sd']:.3f}. Of {row['comparisons']} comparisons drawn from that, "
            f"{row['false_sign_rate']:.1%} have a false sign"
            + ("." if row["holds"] else ": more than 7 %, so no sign of this table counts.")
        )
    return lines


def markdown(results: Mapping[str, Any]) -> str:
    """Return the whole report as Markdown."""
    machine = results["machine"]
    parts = [
        f"# {results['experiment']}",
        f"{results['paper']}. {results['question']}",
        f"Scale `{results['scale']}`, seeds {', '.join(map(str, results['seeds']))}, "
        f"{results['eval_count']} held-out tasks of `{results['eval_tasks']}` "
        f"in `{results['env']}`, one greedy and {results['eval_samples']} sampled programs each.",
    ]
    for table in tables(results).values():
        title = table.title
        parts.append(f"**{title[0].upper()}{title[1:]}**\n\n{table.markdown()}")
    parts += [
        "![pass@1 by arm, and the contrasts](plot.png)",
        "\n".join(f"- {line}" for line in calibration_lines(results)),
        "\n".join(f"- {note}" for note in (*results["notes"], INTERVALS, CAUTION)),
        "\n".join(f"- {line}" for line in departure_lines(results["departures"])),
        f"Made by `{results['command']}` with codegym {results['versions']['codegym']} "
        f"({results['commit'] or 'no checkout'}), torch {machine['torch']} on {machine['threads']} "
        f"of {machine['cores']} cores, Python {machine['python']}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plot(results: Mapping[str, Any], path: Path) -> None:
    """Draw pass@1 of each arm and the contrasts, with the seeds as dots, as a PNG."""
    arms, contrasts = results["arms"], results["contrasts"]
    height = 1.6 + 0.45 * max(len(arms), len(contrasts))
    figure = new_figure(12, height)
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
    figure.suptitle(
        f"{results['experiment']}: intervals over seeds and compositions; dots: seeds {seeds}"
    )
    figure.savefig(path, dpi=110)


def _draw(axes: Any, lines: Mapping[str, Mapping[str, Any]]) -> None:
    for shift, (kind, style) in enumerate(zip(KINDS, STYLES, strict=False)):
        colour = style["color"]
        for place, label in enumerate(lines):
            figure = lines[label][kind]
            mean, height = figure["mean"], place + 0.2 * (shift - 0.5)
            axes.plot([mean["low"], mean["high"]], [height, height], color=colour)
            axes.plot(
                mean["mean"],
                height,
                style["marker"],
                color=colour,
                label=kind if place == 0 else None,
            )
            axes.plot(
                figure["seeds"], [height] * len(figure["seeds"]), ".", color=colour, alpha=0.5
            )
    axes.set_yticks(range(len(lines)), list(lines))
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
