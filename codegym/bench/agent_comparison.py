"""``codegym bench learning``: compares the gains of agents on held-out tasks.

For each seed a warm start is trained, and every variant begins with its policy. A variant is
written ``AGENT[:PRESET][?KEY=VALUE&...][@MINUTES]``, so the same command runs ablations::

    codegym bench learning                                          # all nine agents
    codegym bench learning --agents "rltf?reward=rltf(fine=0),rltf,rft@2" --programs 7680
    codegym bench learning --acceptance

Finished runs are read, stopped runs are continued, and a run that another process trains is waited
for, so seeds can be spread over processes.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import click
from rich.progress import Progress

from codegym import registry
from codegym.bench.agent_aggregates import aggregate_tables, aggregates, plot_profiles
from codegym.bench.agent_comparison_report import describe, notes, plot, tables, verdicts
from codegym.errors import ConfigError
from codegym.measuring.machine import commit
from codegym.measuring.output import Output, with_output
from codegym.measuring.run_report import departure_lines
from codegym.rollout.environments import DEFAULT_ENV
from codegym.settings import env_args
from codegym.training.comparison_run import (
    ComparisonRun,
    check_env,
    departures_by_label,
    train_or_read,
)
from codegym.training.interrupts import explained, this_command

_AGENTS = "rft,actor_critic,ppo,sb3_ppo,rltf,grpo,rloo,coderl,sft"
_MINUTES = 2.0
_ACCEPTANCE = "rft@2,actor_critic@1.5,ppo@3,rltf@3,grpo@3"
_SHAPE = re.compile(
    r"(?P<agent>\w+)(:(?P<preset>\w+))?(\?(?P<query>[^@]*))?(@(?P<minutes>\d+\.?\d*))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An agent with settings and an optional budget.

    Attributes:
        text: The variant as the user wrote it; names its folder.
        label: The text without the budget.
        agent: Name of the agent.
        preset: Name of the agent's preset.
        settings: Settings of the agent; they win over the preset.
        reward: Reward expression of the training; "" for the comparison's reward.
        minutes: Budget in minutes of training; 0 for the comparison's budget.
    """

    text: str
    label: str
    agent: str
    preset: str
    settings: Mapping[str, str]
    reward: str
    minutes: float

    @classmethod
    def parse(cls, text: str) -> "Variant":
        """Read ``AGENT[:PRESET][?KEY=VALUE&...][@MINUTES]``; the key ``reward`` is the reward.

        Raises:
            ConfigError: The text has another form.
            UnknownNameError: No such agent.
        """
        match = _SHAPE.fullmatch(text.strip())
        try:
            pairs = (
                parse_qsl(match["query"], strict_parsing=True) if match and match["query"] else []
            )
        except ValueError:
            match = None
        if match is None:
            raise ConfigError(
                "an unreadable variant",
                value=text,
                expected="AGENT[:PRESET][?KEY=VALUE&...][@MINUTES]",
            )
        registry.get("agents", match["agent"])
        settings = dict(pairs)
        return cls(
            text=text.strip(),
            label=text.strip().partition("@")[0],
            agent=match["agent"],
            preset=match["preset"] or "small",
            reward=settings.pop("reward", ""),
            settings=settings,
            minutes=float(match["minutes"] or 0.0),
        )

    def annealed(self, final_lr: float | None) -> "Variant":
        """Return the variant with a last learning rate, if it names none and its agent has one."""
        fields = registry.get("agents", self.agent).config_class.__dataclass_fields__
        if final_lr is None or "final_lr" in self.settings or "final_lr" not in fields:
            return self
        return replace(self, settings={**self.settings, "final_lr": str(final_lr)})

    def config(self, shared: Mapping[str, Any], budget: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of ``TrainConfig``, without the seed and the start."""
        own = {"minutes": self.minutes} if self.minutes else dict(budget)
        chosen = {"agent": self.agent, "agent_preset": self.preset}
        reward = {"reward": self.reward} if self.reward else {}
        return {**shared, **own, **chosen, **reward, "agent_settings": dict(self.settings)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The variants and seeds of a comparison.

    Attributes:
        configs: For each variant the name of its folder, its label and its settings.
        start: Settings of the warm start.
        seeds: Seeds of the warm starts and of the variants.
        out: Folder of the runs.
    """

    configs: Sequence[tuple[str, str, Mapping[str, Any]]]
    start: Mapping[str, Any]
    seeds: Sequence[int]
    out: Path

    def departures(self) -> dict[str, dict[str, tuple[Any, Any]]]:
        """Return the settings that differ from the papers; see ``departures_by_label``."""
        return departures_by_label(
            {"warm start": self.start} | {label: config for _, label, config in self.configs}
        )

    def runs(self) -> Iterator[ComparisonRun]:
        """Yield the warm start and then every variant, seed by seed."""
        for seed in self.seeds:
            # Another warm start is another policy, so runs from the old policy are not reused.
            digest = hashlib.sha256(repr(sorted(self.start.items())).encode()).hexdigest()[:8]
            folder = self.out / f"start-{digest}-{seed}"
            start = _train("warm start", seed, folder, {**self.start, "seed": seed})
            yield start
            for name, label, config in self.configs:
                settings = {**config, "seed": seed, "policy": str(folder / "checkpoint")}
                yield _train(label, seed, self.out / f"{name}-{seed}", settings, start=start)


@click.command()
@click.option("--agents", help=f"Variants, separated by commas.  [default: {_AGENTS}]")
@click.option("--acceptance", is_flag=True, help=f"Compare {_ACCEPTANCE} with their bounds.")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Number of seeds."
)
@click.option("--first-seed", type=int, default=0, show_default=True, help="First seed.")
@click.option(
    "--minutes",
    type=float,
    help=f"Budget of each variant: minutes of training.  [default: {_MINUTES:g}]",
)
@click.option(
    "--programs", type=int, help="Budget of each variant instead: programs written or shown."
)
@click.option(
    "--final-lr",
    type=click.FloatRange(0.0, 1.0),
    help="Share of the learning rate left at the end, for variants that name none. Ends vary less "
    "between seeds with 0.02.  [default: the agents']",
)
@click.option(
    "--warm-start-minutes",
    type=float,
    default=1.0,
    show_default=True,
    help="Budget of each warm start: minutes of imitation.",
)
@click.option("--warm-start-programs", type=int, help="The same, as a number of demonstrations.")
@click.option("--policy", default="gpt:tiny", show_default=True, help="A new policy, or a folder.")
@click.option("--env", default=DEFAULT_ENV, show_default=True, help="Id of the environment.")
@click.option(
    "--env-arg",
    "env_assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="An argument of the environment: turns=3.",
)
@click.option(
    "--tasks",
    default="composites?domain=small&depth=1-2&split=train",
    show_default=True,
    help="URI of the training tasks.",
)
@click.option(
    "--eval-tasks",
    default="composites?domain=small&depth=2&split=test",
    show_default=True,
    help="URI of the held-out tasks.",
)
@click.option(
    "--eval-count", type=int, default=300, show_default=True, help="Number of held-out tasks."
)
@click.option(
    "--eval-samples",
    type=int,
    default=8,
    show_default=True,
    help="Programs sampled for each held-out task, beside the greedy one.",
)
@click.option(
    "--curve-points",
    type=int,
    default=3,
    show_default=True,
    help="Evaluations between the first and the last.",
)
@click.option(
    "--reward",
    default="",
    help="Reward of variants without a reward; the default is the agent's reward.",
)
@click.option(
    "--max-new-tokens",
    type=int,
    default=64,
    show_default=True,
    help="Longest program in tokens.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Number of torch's threads.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/bench-learning"),
    show_default=True,
    help="Folder for the runs, results.json, learning.png and profiles.png.",
)
@with_output
def command(output: Output, threads: int | None, acceptance: bool, **options: Any) -> None:
    """Compare agents from the same warm starts, after equal minutes and equal programs.

    A variant is AGENT[:PRESET][?KEY=VALUE&...][@MINUTES].
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    if acceptance and options["agents"]:
        raise ConfigError("--acceptance names its own variants", value=options["agents"])
    options["agents"] = _ACCEPTANCE if acceptance else options["agents"] or _AGENTS
    comparison = _comparison(**options)
    console = output.notes
    with Progress(console=console, disable=not console.is_terminal) as progress:
        total = len(comparison.seeds) * (len(comparison.configs) + 1)
        bar = progress.add_task("runs", total=total)
        runs = []
        saved = f"finished runs, and the checkpoint of the last one, in {options['out']}"
        with explained(saved, this_command()):
            for run in comparison.runs():
                runs.append(run)
                progress.advance(bar)
    results = describe(runs) | {"aggregates": aggregates(runs)}
    results |= {"options": {**options, "out": str(options["out"])}, "commit": commit()}
    results["departures"] = comparison.departures()
    if acceptance:
        results["acceptance"] = verdicts(results)
    (options["out"] / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    plot(runs, options["out"] / "learning.png")
    plot_profiles(results["aggregates"], options["out"] / "profiles.png")
    output.document(results)
    drawn = tables(results) | aggregate_tables(results["aggregates"])
    for key, table in drawn.items():
        output.table(key, table)
    for sentence in (*notes(results), *departure_lines(results["departures"])):
        output.line(sentence)
    for line in results.get("acceptance", ()):
        output.line(line["text"])


def _comparison(
    *,
    agents: str,
    seeds: int,
    first_seed: int,
    minutes: float | None,
    programs: int | None,
    final_lr: float | None,
    warm_start_minutes: float,
    warm_start_programs: int | None,
    policy: str,
    env_assignments: tuple[str, ...],
    out: Path,
    **shared: Any,
) -> Comparison:
    """Check the options and the settings of the agents before any training."""
    from codegym.training.config import TrainConfig, agent_config, phases_of

    if minutes and programs:
        raise ConfigError(
            "the agents need exactly one budget",
            value=(minutes, programs),
            expected="--minutes or --programs",
        )
    budget = {"programs": programs} if programs else {"minutes": minutes or _MINUTES}
    # A collapsed policy is a result of the comparison; the run must not stop.
    shared |= {"curve_count": shared["eval_count"], "guard": False}
    shared["env_args"] = env_args(env_assignments)
    configs = []
    # A comma inside brackets belongs to a reward.
    for variant in map(Variant.parse, re.split(r",(?![^(]*\))", agents)):
        config = variant.annealed(final_lr).config(shared, budget)
        asked = TrainConfig.from_mapping({**config, "warm_start_programs": 0})
        agent_config(
            registry.get("agents", variant.agent),
            phases_of(asked)[-1],
            max_new_tokens=asked.max_new_tokens,
        )
        check_env(asked)
        configs.append((re.sub(r"[^\w.@=-]+", "-", variant.text), variant.label, config))
    length = (
        {"programs": warm_start_programs}
        if warm_start_programs
        else {"minutes": warm_start_minutes}
    )
    return Comparison(
        configs=configs,
        start={**shared, **length, "agent": "sft", "policy": policy, "curve_points": 0},
        seeds=range(first_seed, first_seed + seeds),
        out=out,
    )


def _train(
    label: str,
    seed: int,
    path: Path,
    settings: Mapping[str, Any],
    *,
    start: ComparisonRun | None = None,
) -> ComparisonRun:
    """Train or read a run.

    Raises:
        Interrupted: A signal stopped the run, which can be continued.
    """
    return ComparisonRun(label, seed, train_or_read(path, settings, start=start))
