"""Findings table: the papers' findings, each with the verdict of its experiment.

The verdict is that of the finding's first contrast on sampled programs, because the papers sample;
greedy programs and the other contrasts are in the paragraph. A verdict whose null arm shows more
than 7 % false signs is ``undecided``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codegym.experiments.findings import AGREES, DIFFERS, NO_EFFECT, UNDECIDED
from codegym.measuring.result_table import Cell, Difference, ResultTable, words
from codegym.measuring.statistics import Interval

NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding of a paper.

    Attributes:
        name: A few words.
        claim: What the paper says.
        experiment: Name of the experiment that asks for it.
        contrasts: Places of its contrasts in the experiment; the first decides.
    """

    name: str
    claim: str
    experiment: str
    contrasts: tuple[int, ...]


FINDINGS = (
    Finding(
        name="RLTF: coarse, fine, adaptive",
        claim="unit-test feedback adds to supervised learning, and each kind adds to the last",
        experiment="rltf-ablation",
        contrasts=(3, 0, 1, 2),
    ),
    Finding(
        name="RLTF: online",
        claim="programs of the newest weights beat a frozen set",
        experiment="rltf-online",
        contrasts=(0, 1, 2),
    ),
    Finding(
        name="RLTF: temperature",
        claim="sampling at temperature 1.0 in training beats 0.2",
        experiment="rltf-temperature",
        contrasts=(0, 1),
    ),
    Finding(
        name="RLTF: fine penalty",
        claim="every penalty on the faulty lines beats none",
        experiment="rltf-fine-penalty",
        contrasts=(0, 1, 2, 3, 4),
    ),
    Finding(
        name="Gorinski: critic",
        claim="a critic in sync with the policy beats a frozen one",
        experiment="critic-ablation",
        contrasts=(0, 1),
    ),
    Finding(
        name="Gorinski: baselines",
        claim="the actor-critic beats PPO and CodeRL",
        experiment="actor-critic-baselines",
        contrasts=(0, 1, 2),
    ),
    Finding(
        name="Gorinski: generated data",
        claim="generated tasks help, alone and added to hand-written ones",
        experiment="data-ablation",
        contrasts=(0, 1),
    ),
    Finding(
        name="Chen: atoms and composites",
        claim="imitation needs atoms and composites, and a handful of composites is enough",
        experiment="sft-data",
        contrasts=(0, 1, 2, 4),
    ),
    Finding(
        name="Chen: RL after SFT",
        claim="RL on the imitated prompts generalises better than imitation",
        experiment="rl-after-sft",
        contrasts=(0, 1, 3),
    ),
    Finding(
        name="Chen: RL from scratch",
        claim="RL without imitation over-fits less than RL after it",
        experiment="rl-from-scratch",
        contrasts=(0, 1, 2),
    ),
)


def findings_table(
    results: Mapping[str, Mapping[str, Any]],
    seconds: Mapping[str, str],
    mechanisms: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    """Return a row for each finding, as JSON values.

    Args:
        results: Name of an experiment -> its results.
        seconds: Name of an experiment -> name of the experiment in the second setting.
        mechanisms: Name of an experiment -> lines on its gradient estimators.
    """
    rows = []
    for finding in FINDINGS:
        row: dict[str, Any] = {"finding": finding.name, "claim": finding.claim}
        row["experiment"] = finding.experiment
        found = results.get(finding.experiment)
        if found is None:
            rows.append(row | {"verdict": NOT_RUN, "paragraph": "Not run yet."})
            continue
        row |= _figures(finding, found)
        second = results.get(seconds.get(finding.experiment, ""))
        row["second"] = None
        if second is not None:
            row["second"] = {"experiment": second["experiment"]} | _figures(finding, second)
        row["mechanism"] = list(mechanisms.get(finding.experiment, ()))
        row["paragraph"] = _paragraph(finding, found, row)
        rows.append(row)
    return rows


def _figures(finding: Finding, found: Mapping[str, Any]) -> dict[str, Any]:
    contrast = found["contrasts"][finding.contrasts[0]]
    figure = contrast["sampled"]
    calibration = found["calibration"]["sampled"]
    holds = calibration is not None and calibration["holds"]
    return {
        "verdict": figure["verdict"] if holds else UNDECIDED,
        "contrast": contrast["name"],
        "effect": figure["mean"]["mean"],
        "interval": [figure["mean"]["low"], figure["mean"]["high"]],
        "seeds": figure["decided_at"],
        "false_sign_rate": calibration["false_sign_rate"] if calibration else None,
        "scale": found["scale"],
        "command": found["command"],
        "commit": found["commit"],
        "machine": found["machine"],
    }


_MEANING = {
    AGREES: "The sign is the paper's.",
    DIFFERS: "The sign is the opposite of the paper's.",
    NO_EFFECT: "The difference is smaller than .02 either way.",
    UNDECIDED: "Neither a sign nor its absence is shown with these seeds.",
}


def _signed(figure: Mapping[str, Any]) -> str:
    return Interval(**figure["mean"]).signed()


def _paragraph(finding: Finding, found: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    contrasts = [found["contrasts"][place] for place in finding.contrasts]
    first = contrasts[0]
    words = [
        f"The paper: {finding.claim} ({first['paper']}). Here, over {row['seeds']} seeds, "
        f"{first['name']} is {_signed(first['sampled'])} sampled and "
        f"{_signed(first['greedy'])} greedy. {_MEANING.get(row['verdict'], '')}"
    ]
    others = [
        f"{each['name']} {_signed(each['sampled'])} ({each['sampled']['verdict']})"
        for each in contrasts[1:]
    ]
    words += [f"Beside it: {'; '.join(others)}."] if others else []
    if row["second"]:
        second = row["second"]
        words.append(
            f"In a second setting ({second['experiment']}) {second['contrast']} is "
            f"{Interval(second['effect'], *second['interval']).signed()}: {second['verdict']}."
        )
    return " ".join(words)


def result_table(rows: Sequence[Mapping[str, Any]]) -> ResultTable:
    """Return the table of findings."""
    cells: list[Sequence[Cell]] = []
    for row in rows:
        if row["verdict"] == NOT_RUN:
            cells.append((row["finding"], NOT_RUN, *(None,) * 5))
            continue
        effect = Difference(Interval(row["effect"], *row["interval"]))
        figures = row["verdict"], effect, row["scale"], row["seeds"], row["false_sign_rate"]
        cells.append((row["finding"], *figures, row["contrast"]))
    return ResultTable(
        (
            words("finding"),
            words("verdict"),
            "effect",
            words("scale"),
            "seeds",
            "false signs",
            words("contrast"),
        ),
        cells,
        title="findings: sampled pass@1, corrected intervals",
    )


def paragraphs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a paragraph for each finding, and the lines on its gradient estimators."""
    lines = []
    for row in rows:
        lines.append(f"{row['finding']} ({row['experiment']}): {row['paragraph']}")
        lines += row.get("mechanism", ())
    return lines


def table_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown: a line and a paragraph for each finding."""
    parts = ["# Findings", result_table(rows).markdown()]
    for row in rows:
        parts.append(f"**{row['finding']}** ({row['experiment']}). {row['paragraph']}")
        if row.get("mechanism"):
            parts.append("\n".join(f"- {line}" for line in row["mechanism"]))
    return "\n\n".join(parts) + "\n"
