"""``codegym eval``: pass@k of a checkpoint on a task source, with intervals."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from codegym.errors import ConfigError
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Difference, ResultTable, words
from codegym.settings import env_args

TASKS = "composites?domain=small&depth=2&split=test"
ENV = "CodeGym/Synthesis-v0"
BUDGET = 64


@click.command()
@click.argument("checkpoint")
@click.option(
    "--tasks",
    help=f"URI of the tasks.  [default: the held-out tasks of the run, else {TASKS}]",
)
@click.option("--env", help=f"Id of the environment.  [default: the run's, else {ENV}]")
@click.option(
    "--env-arg",
    "env_assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="An argument of the environment: turns=3.",
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
    help=f"Longest program in tokens.  [default: the run's, else {BUDGET}]",
)
@click.option(
    "--grammar/--no-grammar",
    default=None,
    help="Write only programs that are valid Python.  [default: as the run did, else not]",
)
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
@click.option(
    "--programs",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every program with its verdict as JSONL.  [default: in the run's folder, under "
    "evaluations; beside --out for other policies]",
)
@with_output
def command(
    checkpoint: str,
    tasks: str | None,
    env: str | None,
    env_assignments: tuple[str, ...],
    count: int,
    max_new_tokens: int | None,
    grammar: bool | None,
    greedy: bool,
    critic_sampling: bool,
    visible_tests: int,
    isolation: str,
    workers: int | None,
    out: Path | None,
    programs: Path | None,
    output: Output,
    **sampling: Any,
) -> None:
    """Measure pass@k of a policy.

    CHECKPOINT is a run's folder, its checkpoint, or a policy's name such as hf:smollm2. A run's
    folder is measured on the run's held-out tasks, as the run measured itself.
    """
    from codegym.grading.judge import Judge
    from codegym.policies.factory import make_policy
    from codegym.rollout.environments import DEFAULT_ENV, make_env
    from codegym.sandbox import make_sandbox
    from codegym.sources import load_tasks

    found, run = _found(checkpoint)
    policy = make_policy(found)
    uri = run.get("eval_tasks", TASKS) if tasks is None else tasks
    source = load_tasks(uri) if uri else None
    critic = _critic(Path(found), policy, greedy) if critic_sampling else None
    shown = f"{min(count, len(source))} tasks of {uri}" if source else f"{count} episodes"
    with (
        output.notes.status(f"{shown}, {sampling['n']} programs each"),
        make_sandbox(isolation, workers=workers) as sandbox,
    ):
        played = make_env(
            env or run.get("env", DEFAULT_ENV),
            policy,
            tasks=source,
            reward="pass_rate" if source else None,
            budget=max_new_tokens or run.get("max_new_tokens", BUDGET),
            judge=Judge(sandbox),
            num_envs=1 if source else run.get("num_envs", 32),
            env_args=env_args(env_assignments) or ({} if env else run.get("env_args", {})),
        )
        how = {"grammar": run.get("grammar", False) if grammar is None else grammar, "name": uri}
        title = f"{checkpoint} on {shown}"
        if critic is None:
            report, table = _evaluated(title, policy, played, count, greedy, sampling | how)
        else:
            how["visible"] = visible_tests
            report, table = _guided(title, policy, played, count, critic, sampling | how)
    output.table("results", table)
    output.document(report.to_json(full=output.verbose))
    _keep(report, Path(checkpoint) if run else None, out, programs, output)


def _keep(
    report: Any, run: Path | None, out: Path | None, chosen: Path | None, output: Output
) -> None:
    """Write a report, where that was asked for, and its programs, where there is a place for them.

    Args:
        report: The report.
        run: Folder of the run that was measured, if it is one.
        out: File of the report, if one was asked for.
        chosen: File of the programs, if the user chose one.
        output: Where the file is named.
    """
    if out is not None:
        out.write_text(json.dumps(report.to_json(), indent=2) + "\n")
    path = chosen
    if path is None and run is not None:
        folder = run / "evaluations"
        number = 1 + (sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0)
        path = folder / f"{number:03}" / "programs.jsonl"
        path.parent.mkdir(parents=True)
        (path.parent / "report.json").write_text(json.dumps(report.to_json()) + "\n")
    elif path is None and out is not None:
        path = out.with_suffix(".programs.jsonl")
    if path is not None:
        path.write_text("".join(json.dumps(row) + "\n" for row in _programs(report)))
        output.remark(f"programs  {path}")


def _programs(report: Any) -> list[dict[str, Any]]:
    """Return the kept programs of a report; of critic sampling those of both ways."""
    if not hasattr(report, "guided"):
        return list(report.programs)
    ways = ("plain", report.plain), ("guided", report.guided)
    return [row | {"way": way} for way, part in ways for row in part.programs]


def _evaluated(
    title: str, policy: Any, env: Any, count: int, greedy: bool, how: Mapping[str, Any]
) -> tuple[Any, ResultTable]:
    from codegym.measuring.evaluation import evaluate

    report = evaluate(policy, None, env=env, count=count, deterministic=greedy, **how)
    return report, _table(report, title)


def _guided(
    title: str, policy: Any, env: Any, count: int, critic: Any, how: Mapping[str, Any]
) -> tuple[Any, ResultTable]:
    from codegym.measuring.critic_sampling import critic_sampling
    from codegym.measuring.evaluation import held_out

    report = critic_sampling(policy, critic, held_out(env, count) or (), env=env, **how)
    return report, _comparison(report, title)


def _found(checkpoint: str) -> tuple[str, dict[str, Any]]:
    """Return what ``make_policy`` is to be given, and the settings of the run if it is a run's.

    Raises:
        ConfigError: There is no such folder, and it is no policy's name either.
    """
    from codegym.training.run_folder import RunFolder

    folder = RunFolder(Path(checkpoint))
    if folder.checkpoint.is_dir():
        return str(folder.checkpoint), folder.read_config() if folder.exists else {}
    if not folder.path.is_dir() and ":" not in checkpoint:
        raise ConfigError(
            "there is no such checkpoint",
            value=checkpoint,
            expected="the folder of a run or of a checkpoint, or a name such as hf:smollm2",
        )
    return checkpoint, {}


def _critic(checkpoint: Path, policy: Any, greedy: bool) -> Any:
    """Read the critic that a run of coderl kept.

    Raises:
        ConfigError: The checkpoint keeps none, or greedy programs were asked for.
    """
    if greedy:
        raise ConfigError("critic sampling samples", value="--greedy", cure="leave it out")
    from codegym.learning.outcome_critic import OutcomeCritic
    from codegym.policies.checkpoint import TRAINER, load_trainer

    kept = load_trainer(checkpoint).get("artifacts", {}) if (checkpoint / TRAINER).is_dir() else {}
    if "outcome_critic" not in kept:
        raise ConfigError(
            "this checkpoint keeps no critic",
            value=str(checkpoint),
            expected="the folder of a finished run of coderl",
            cure="codegym train --agent coderl, with critic=true and a budget of a few updates",
        )
    return OutcomeCritic.from_state(kept["outcome_critic"], policy)


def _table(report: Any, title: str) -> ResultTable:
    gap = [("hidden-test gap", report.hidden_gap)] if report.hidden_gap is not None else []
    rows = [
        *((f"pass@{k}", interval) for k, interval in report.pass_at.items()),
        *gap,
        *report.outcomes.items(),
    ]
    return ResultTable((words("measure"), "95 % interval"), rows, title=title)


def _comparison(compared: Any, title: str) -> ResultTable:
    rows = [
        (f"pass@{k}", compared.plain.pass_at[k], compared.guided.pass_at[k], Difference(gain))
        for k, gain in compared.gains.items()
    ]
    return ResultTable(
        (words("measure"), "from nothing", "with the critic", "gain"),
        rows,
        title=title,
        caption=f"{compared.plain.n} programs per task each; "
        f"{compared.refined:.0%} of the tasks refined, the rest repaired",
    )
