"""``codegym eval``: pass@k of a checkpoint on a task source, with intervals."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from codegym.errors import ConfigError, MissingExtraError


@click.command()
@click.argument("checkpoint")
@click.option(
    "--tasks",
    default="composites?domain=small&depth=2&split=test",
    show_default=True,
    help="URI of the tasks.",
)
@click.option(
    "--count", type=click.IntRange(min=1), default=300, show_default=True, help="How many of them."
)
@click.option(
    "--n",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Programs written per task.",
)
@click.option(
    "--k",
    "ks",
    type=int,
    multiple=True,
    default=(1,),
    show_default=True,
    help="Report pass@k; may be given several times.",
)
@click.option("--greedy", is_flag=True, help="Take the most probable token instead of sampling.")
@click.option("--temperature", type=float, default=1.0, show_default=True)
@click.option("--top-p", type=float, default=1.0, show_default=True)
@click.option(
    "--max-new-tokens",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Longest program in tokens.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--isolation", default="auto", show_default=True, help="Of the sandbox.")
@click.option("--workers", type=click.IntRange(min=1), help="Of the sandbox.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the whole report as JSON."
)
def command(
    checkpoint: str,
    tasks: str,
    count: int,
    n: int,
    ks: tuple[int, ...],
    greedy: bool,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    seed: int,
    isolation: str,
    workers: int | None,
    out: Path | None,
) -> None:
    """Measure pass@k of a policy.

    CHECKPOINT is a run's folder, its checkpoint, or a policy's name such as hf:smollm2.
    """
    try:
        from codegym.evaluation import evaluate, held_out
        from codegym.policies.making import make_policy
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "agents") from error
    from codegym.judging import Judge
    from codegym.sandbox import make_sandbox
    from codegym.sources import load_tasks

    if not Path(checkpoint).is_dir() and ":" not in checkpoint:
        raise ConfigError(
            "there is no such checkpoint",
            value=checkpoint,
            expected="the folder of a run or of a checkpoint, or a name such as hf:smollm2",
        )
    inside = Path(checkpoint) / "checkpoint"
    policy = make_policy(str(inside) if inside.is_dir() else checkpoint)
    chosen = held_out(load_tasks(tasks), count)
    with (
        Console(stderr=True).status(f"{len(chosen)} tasks, {n} programs each"),
        make_sandbox(isolation, workers=workers) as sandbox,
    ):
        report = evaluate(
            policy,
            chosen,
            judge=Judge(sandbox),
            n=n,
            ks=ks,
            deterministic=greedy,
            temperature=temperature,
            top_p=top_p,
            budget=max_new_tokens,
            seed=seed,
            name=tasks,
        )
    table = Table(title=f"{checkpoint} on {report.n_tasks} tasks of {tasks}")
    table.add_column("")
    table.add_column("95 % interval", justify="right")
    for k, interval in report.pass_at.items():
        table.add_row(f"pass@{k}", str(interval))
    for name, number in report.outcomes.items():
        table.add_row(name, str(number))
    Console().print(table)
    if out is not None:
        out.write_text(json.dumps(report.to_json(), indent=2) + "\n")
