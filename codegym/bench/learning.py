"""``codegym bench learning``: what each agent gains on held-out tasks, by seeds, from one start.

For every seed one warm start is trained; every agent then begins from that same policy with the
same budget. Gains are per task and paired, so that a seed's luck with its warm start cancels out.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from codegym import registry
from codegym.errors import ConfigError, UnknownNameError

_AGENTS = "rft,actor_critic,ppo,rltf,grpo"


@click.command()
@click.option("--agents", default=_AGENTS, show_default=True, help="Names, separated by commas.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many.")
@click.option("--first-seed", type=int, default=0, show_default=True)
@click.option("--minutes", type=float, help="Budget of each agent: minutes of training.")
@click.option("--programs", type=int, help="Budget of each agent: programs written.")
@click.option("--warm-start-programs", type=int, default=20_480, show_default=True)
@click.option("--policy", default="gpt:tiny", show_default=True)
@click.option("--tasks", default="composites?domain=small&depth=1-2&split=train", show_default=True)
@click.option(
    "--eval-tasks", default="composites?domain=small&depth=2&split=test", show_default=True
)
@click.option("--eval-count", type=int, default=300, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/bench-learning"),
    show_default=True,
    help="Folder of the runs; those that are complete are not run again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(
    agents: str,
    seeds: int,
    first_seed: int,
    minutes: float | None,
    programs: int | None,
    warm_start_programs: int,
    policy: str,
    tasks: str,
    eval_tasks: str,
    eval_count: int,
    threads: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Compare agents from the same warm starts at the same budget."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    names = [name.strip() for name in agents.split(",")]
    for name in names:
        if name not in registry.names("agents"):
            raise UnknownNameError("agent", name, registry.names("agents"))
    if (minutes is None) == (programs is None):
        raise ConfigError(
            "the agents need exactly one budget",
            value=(minutes, programs),
            expected="--minutes or --programs",
        )
    shared = {
        "tasks": tasks,
        "eval_tasks": eval_tasks,
        "eval_count": eval_count,
        "curve_points": 0,
        "reward": "rltf",
    }
    budget = {"minutes": minutes} if minutes is not None else {"programs": programs}
    rows: list[dict[str, Any]] = []
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("runs", total=seeds * (len(names) + 1))
        for seed in range(first_seed, first_seed + seeds):
            start = out / f"start-{seed}"
            _run(
                start,
                {
                    **shared,
                    "agent": "sft",
                    "policy": policy,
                    "seed": seed,
                    "programs": warm_start_programs,
                },
            )
            progress.advance(bar)
            for name in names:
                summary = _run(
                    out / f"{name}-{seed}",
                    {
                        **shared,
                        **budget,
                        "agent": name,
                        "seed": seed,
                        "policy": str(start / "checkpoint"),
                    },
                )
                rows.append({"agent": name, "seed": seed, **summary})
                progress.advance(bar)
    if as_json:
        click.echo(json.dumps(rows))
    else:
        Console().print(
            _table(rows, names, f"{minutes} minutes" if minutes else f"{programs} programs")
        )


def _run(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Train, or read what a run of the same settings left; return its summary."""
    from codegym.report import summarise
    from codegym.run_config import TrainConfig
    from codegym.run_folder import RunFolder
    from codegym.training import Trainer

    folder = RunFolder(path)
    config = TrainConfig.from_mapping(settings)
    same = folder.exists and folder.read_config() == config.to_mapping()
    if not (same and any(row["moment"] == "after" for row in folder.rows("curve"))):
        folder.create(config.to_mapping(), overwrite=True)
        if not Trainer(config, folder).run():
            raise click.Abort
    return summarise(list(folder.rows("curve")))


def _table(rows: Sequence[dict[str, Any]], names: Sequence[str], budget: str) -> Table:
    table = Table(
        title=f"gain in pass@1 on held-out tasks, {budget} each",
        caption="mean over seeds [lowest, highest]",
    )
    for head in (
        "agent",
        "greedy before",
        "greedy gain",
        "sampled before",
        "sampled gain",
        "programs",
        "seconds",
    ):
        table.add_column(head, justify="left" if head == "agent" else "right")
    for name in names:
        own = [row for row in rows if row["agent"] == name]
        cells = []
        for kind in ("greedy", "sampled"):
            before = [row[kind]["before"]["mean"] for row in own]
            gain = [row[kind]["gain"]["mean"] for row in own]
            cells += [
                f"{np.mean(before):.3f}",
                f"{np.mean(gain):+.3f} [{min(gain):+.3f}, {max(gain):+.3f}]",
            ]
        table.add_row(
            name,
            *cells,
            f"{np.mean([row['programs'] for row in own]):.0f}",
            f"{np.mean([row['train_s'] for row in own]):.0f}",
        )
    return table
