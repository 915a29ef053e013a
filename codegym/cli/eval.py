"""``codegym eval``: pass@k of a checkpoint on a task source, with intervals."""

import json
from pathlib import Path
from typing import Any

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
@click.option("--grammar", is_flag=True, help="Write only programs that are valid Python.")
@click.option(
    "--critic-sampling",
    is_flag=True,
    help="Also let the run's critic (of coderl) say where the second half of the programs begin.",
)
@click.option(
    "--visible-tests",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Tests of each task that critic sampling may look at.",
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
    grammar: bool,
    critic_sampling: bool,
    visible_tests: int,
    seed: int,
    isolation: str,
    workers: int | None,
    out: Path | None,
) -> None:
    """Measure pass@k of a policy.

    CHECKPOINT is a run's folder, its checkpoint, or a policy's name such as hf:smollm2.
    """
    try:
        from codegym.critic_sampling import critic_sampling as guided_by
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
    found = inside if inside.is_dir() else Path(checkpoint)
    policy = make_policy(str(found) if found.is_dir() else checkpoint)
    chosen = held_out(load_tasks(tasks), count)
    if critic_sampling:
        if greedy:
            raise ConfigError("critic sampling samples", value="--greedy", cure="leave it out")
        critic = _critic(found, policy)
    with (
        Console(stderr=True).status(f"{len(chosen)} tasks, {n} programs each"),
        make_sandbox(isolation, workers=workers) as sandbox,
    ):
        written: dict[str, Any] = {
            "judge": Judge(sandbox),
            "n": n,
            "ks": ks,
            "temperature": temperature,
            "top_p": top_p,
            "budget": max_new_tokens,
            "grammar": grammar,
            "seed": seed,
            "name": tasks,
        }
        if critic_sampling:
            compared = guided_by(policy, critic, chosen, visible=visible_tests, **written)
            _show(compared, title=f"{checkpoint} on {len(chosen)} tasks of {tasks}")
            if out is not None:
                out.write_text(json.dumps(compared.to_json(), indent=2) + "\n")
            return
        report = evaluate(policy, chosen, deterministic=greedy, **written)
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


def _critic(checkpoint: Path, policy: Any) -> Any:
    """Read the critic that a run of coderl kept.

    Raises:
        ConfigError: The checkpoint keeps none.
    """
    from codegym.checkpoint import TRAINER, load_trainer
    from codegym.outcome_critic import OutcomeCritic

    kept = load_trainer(checkpoint).get("keepsakes", {}) if (checkpoint / TRAINER).is_dir() else {}
    if "outcome_critic" not in kept:
        raise ConfigError(
            "this checkpoint keeps no critic",
            value=str(checkpoint),
            expected="the folder of a finished run of coderl",
            cure="codegym train --agent coderl, with critic=true and a budget of a few updates",
        )
    return OutcomeCritic.from_state(kept["outcome_critic"], policy)


def _show(compared: Any, *, title: str) -> None:
    table = Table(
        title=title,
        caption=f"{compared.plain.n} programs per task each; "
        f"{compared.refined:.0%} of the tasks refined, the rest repaired",
    )
    for head in ("", "from nothing", "with the critic", "gain"):
        table.add_column(head, justify="right" if head else "left")
    for k, gain in compared.gains.items():
        table.add_row(
            f"pass@{k}",
            str(compared.plain.pass_at[k]),
            str(compared.guided.pass_at[k]),
            f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
        )
    Console().print(table)
