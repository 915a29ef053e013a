"""``codegym bench hf-update``: time and memory of a GRPO update of an hf policy, beside TRL's.

Both sides learn from the same prompts, programs and rewards with the same random model; each runs
in a process without anything else, in turn. The time is processor time of one update after the
first, the memory the peak of the resident set. TRL is measured where an interpreter is given that
has it (``--trl-python``).
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from codegym.bench.random_model import build_random_model
from codegym.bench.ratios import Figure, ratio_table
from codegym.errors import CodegymError
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Column, ResultTable, words

_PROMPT, _PROGRAM = (64, 192), (16, 128)
_AT_MOST = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one update takes.

    Attributes:
        cpu_s: Processor seconds.
        elapsed_s: Elapsed seconds.
        before_bytes: Peak memory of the process before the first update.
        peak_bytes: Peak memory of the process.
        loss: Loss of the first update.
        grad_norm: Norm of its gradient before clipping.
    """

    cpu_s: float
    elapsed_s: float
    before_bytes: int
    peak_bytes: int
    loss: float
    grad_norm: float


def episodes(*, tasks: int, samples: int, words: int, seed: int = 0) -> dict[str, Any]:
    """Return random prompts and programs, half of which earned 1.

    Prompts have 64 to 192 tokens, about as HumanEval's, programs 16 to 128; the advantages are the
    rewards less their mean over the task's deviation.

    Args:
        tasks: Number of prompts.
        samples: Programs for each.
        words: Size of the vocabulary.
        seed: Seed of all of it.
    """
    rng = np.random.default_rng(seed)
    prompts, programs = [], []
    rewards = np.zeros((tasks, samples))
    for task in range(tasks):
        prompt = rng.integers(0, words, rng.integers(*_PROMPT, endpoint=True)).tolist()
        for _ in range(samples):
            prompts.append(prompt)
            length = rng.integers(*_PROGRAM, endpoint=True)
            programs.append(rng.integers(0, words, length).tolist())
        rewards[task, rng.permutation(samples)[: samples // 2]] = 1.0
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    advantages = centred / (rewards.std(axis=1, ddof=1, keepdims=True) + 1e-4)
    return {
        "prompts": prompts,
        "programs": programs,
        "rewards": rewards.ravel().tolist(),
        "advantages": advantages.ravel().tolist(),
    }


def measure(command: Sequence[str], settings: dict[str, Any]) -> Cost:
    """Run one side in a process and return what it reports.

    Raises:
        CodegymError: The process failed.
    """
    done = subprocess.run([*command, json.dumps(settings)], capture_output=True, text=True)
    if done.returncode:
        raise CodegymError(f"an update failed: {done.stderr[-600:]}", value=command[0])
    return Cost(**json.loads(done.stdout.strip().splitlines()[-1]))


def _sides(trl_python: str | None) -> dict[str, tuple[list[str], dict[str, Any]]]:
    """Return each side's command and the settings in which it differs."""
    ours = [sys.executable, "-m", "codegym.bench.hf_update_step"]
    sides: dict[str, tuple[list[str], dict[str, Any]]] = {"codegym": (ours, {})}
    if trl_python:
        theirs = [trl_python, str(Path(__file__).with_name("trl_step.py"))]
        sides["TRL"] = (theirs, {"padding": True})
        sides["TRL, head on programs alone"] = (theirs, {"padding": False})
    return sides


def _figures(costs: dict[str, list[Cost]]) -> list[Figure]:
    """Compare the first side with each of the others."""
    (_, ours), *others = costs.items()
    figures = []
    kinds: tuple[tuple[str, str, Callable[[Cost], float]], ...] = (
        ("processor time of an update", "s", lambda cost: cost.cpu_s),
        ("peak memory", "MB", lambda cost: cost.peak_bytes / 1e6),
        (
            "memory that the update adds",
            "MB",
            lambda cost: (cost.peak_bytes - cost.before_bytes) / 1e6,
        ),
    )
    for name, theirs in others:
        for what, unit, of in kinds:
            pairs = [(of(own), of(other)) for own, other in zip(ours, theirs, strict=True)]
            ratio = median(own / other for own, other in pairs)
            figures.append(
                Figure(
                    name=f"{what}, {name}",
                    ours=median(own for own, _ in pairs),
                    theirs=median(other for _, other in pairs),
                    unit=unit,
                    ratio=ratio,
                    target=f"<= {_AT_MOST}",
                    met=ratio <= _AT_MOST,
                )
            )
    return figures


def _cost_table(costs: dict[str, list[Cost]]) -> ResultTable:
    rows = [
        (
            name,
            median(cost.cpu_s for cost in turns),
            median(cost.peak_bytes for cost in turns) / 1e6,
            median(cost.before_bytes for cost in turns) / 1e6,
            turns[0].loss,
            turns[0].grad_norm,
        )
        for name, turns in costs.items()
    ]
    columns = (
        words("side", "side"),
        Column("processor s", digits=2),
        Column("peak MB", digits=0),
        Column("before MB", digits=0),
        Column("loss", digits=4),
        Column("gradient", digits=4),
    )
    return ResultTable(columns, rows, title="codegym bench hf-update: one GRPO update")


@click.command()
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the model.  [default: a random one, Qwen2-like]",
)
@click.option("--width", default=256, show_default=True, help="Width of the random model.")
@click.option("--layers", default=4, show_default=True, help="Its layers.")
@click.option("--words", "vocabulary", default=32_000, show_default=True, help="Its vocabulary.")
@click.option("--tasks", default=4, show_default=True, help="Prompts of an update.")
@click.option("--samples", default=8, show_default=True, help="Programs for each.")
@click.option("--rows", default=32, show_default=True, help="Programs that TRL takes at once.")
@click.option(
    "--checkpointing/--no-checkpointing",
    default=False,
    help="Both sides compute activations a second time, TRL's default.",
)
@click.option("--threads", default=1, show_default=True, help="Torch's threads.")
@click.option("--repeats", default=3, show_default=True, help="Turns.")
@click.option("--trl-python", help="Interpreter that has trl; without it ours alone is measured.")
@with_output
def command(
    model: Path | None,
    width: int,
    layers: int,
    vocabulary: int,
    tasks: int,
    samples: int,
    rows: int,
    checkpointing: bool,
    threads: int,
    repeats: int,
    trl_python: str | None,
    output: Output,
) -> None:
    """Measure one GRPO update of a pretrained model, beside TRL's on the same programs."""
    settings = {
        "rows": rows,
        "steps": 2,
        "lr": 1e-6,
        "threads": threads,
        "samples": samples,
        "checkpointing": checkpointing,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = model or Path(name) / "model"
        if model is None:
            output.notes.print("building a random model")
            build_random_model(folder, width=width, layers=layers, words=vocabulary)
        file = Path(name) / "episodes.json"
        file.write_text(json.dumps(episodes(tasks=tasks, samples=samples, words=vocabulary)))
        sides = _sides(trl_python)
        costs: dict[str, list[Cost]] = {side: [] for side in sides}
        for turn in range(repeats):
            for side, (start, own) in sides.items():
                output.notes.print(f"turn {turn + 1}: {side}")
                costs[side].append(measure([*start, str(folder), str(file)], settings | own))
    figures = _figures(costs)
    output.document(
        {
            "costs": {side: [asdict(cost) for cost in turns] for side, turns in costs.items()},
            "figures": [asdict(figure) for figure in figures],
        }
    )
    output.table("costs", _cost_table(costs))
    if figures:
        output.table("figures", ratio_table(figures, "ours against TRL of the same run"))
