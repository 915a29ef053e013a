"""``codegym bench learning``: what each agent gains on held-out tasks, by seeds, from one start.

For every seed one warm start is trained; every variant then begins from that same policy. A variant
is written ``AGENT[:PRESET][?KEY=VALUE&...][@MINUTES]``, so an ablation is the same command::

    codegym bench learning --agents "rltf?reward=rltf(fine=0),rltf,rft@2" --programs 7680
    codegym bench learning --acceptance

Runs that are complete are read, those that were stopped are continued, and a run that another
process is at work on is waited for; so seeds may be spread over processes.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import click
from rich.console import Console
from rich.progress import Progress

from codegym import registry
from codegym.bench.agent_comparison_report import describe, plot, tables, verdicts
from codegym.errors import ConfigError
from codegym.training.comparison_run import Trial, train_or_read

_AGENTS = "rft,actor_critic,ppo,rltf,grpo"
_ACCEPTANCE = "rft@2,actor_critic@1.5,ppo@3,rltf@3,grpo@3"
_SHAPE = re.compile(
    r"(?P<agent>\w+)(:(?P<preset>\w+))?(\?(?P<query>[^@]*))?(@(?P<minutes>\d+\.?\d*))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An agent with settings and, where it has one of its own, a budget.

    Attributes:
        text: As it was written; names its folder.
        label: The text without the budget.
        agent: Name of the agent.
        preset: Its named settings.
        settings: Settings that win over the preset.
        reward: Of its training; "" for the comparison's own.
        minutes: Its budget; 0 for the comparison's own.
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
            ConfigError: The text is of another form.
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

    def config(self, shared: Mapping[str, Any], budget: Mapping[str, Any]) -> dict[str, Any]:
        """Return what ``TrainConfig`` is made from, but for the seed and the start."""
        own = {"minutes": self.minutes} if self.minutes else dict(budget)
        if not own:
            raise ConfigError(
                "a variant without a budget",
                value=self.text,
                expected="--minutes, --programs, or one of its own such as rft@2",
            )
        chosen = {"agent": self.agent, "agent_preset": self.preset}
        reward = {"reward": self.reward} if self.reward else {}
        return {**shared, **own, **chosen, **reward, "agent_settings": dict(self.settings)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Variants and seeds, and where their runs lie.

    Attributes:
        configs: Per variant: its folder's name, its label and its settings.
        start: Settings of the warm start.
        seeds: Of the warm starts and of the runs.
        out: Folder of the runs.
    """

    configs: Sequence[tuple[str, str, Mapping[str, Any]]]
    start: Mapping[str, Any]
    seeds: Sequence[int]
    out: Path

    def runs(self) -> Iterator[Trial]:
        """Yield the warm start and then every variant, seed by seed."""
        for seed in self.seeds:
            # Another warm start is another policy, so what was run from the old one is not reused.
            digest = hashlib.sha256(repr(sorted(self.start.items())).encode()).hexdigest()[:8]
            folder = self.out / f"start-{digest}-{seed}"
            start = _trial("warm start", seed, folder, {**self.start, "seed": seed})
            yield start
            for name, label, config in self.configs:
                settings = {**config, "seed": seed, "policy": str(folder / "checkpoint")}
                yield _trial(label, seed, self.out / f"{name}-{seed}", settings, start=start)


@click.command()
@click.option("--agents", help=f"Variants, separated by commas.  [default: {_AGENTS}]")
@click.option("--acceptance", is_flag=True, help=f"Three seeds of {_ACCEPTANCE} with their bounds.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many.")
@click.option("--first-seed", type=int, default=0, show_default=True)
@click.option("--minutes", type=float, help="Budget of each variant: minutes of training.")
@click.option("--programs", type=int, help="Budget of each variant: programs written.")
@click.option(
    "--warm-start-minutes", type=float, default=1.0, show_default=True, help="Of imitation."
)
@click.option("--warm-start-programs", type=int, help="The same, as a number of demonstrations.")
@click.option("--policy", default="gpt:tiny", show_default=True)
@click.option("--tasks", default="composites?domain=small&depth=1-2&split=train", show_default=True)
@click.option(
    "--eval-tasks", default="composites?domain=small&depth=2&split=test", show_default=True
)
@click.option("--eval-count", type=int, default=300, show_default=True)
@click.option("--curve-points", type=int, default=3, show_default=True, help="In between.")
@click.option("--reward", default="", help="Where a variant names none; each agent's own if empty.")
@click.option("--max-new-tokens", type=int, default=64, show_default=True, help="Per program.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/bench-learning"),
    show_default=True,
    help="Folder of the runs, of results.json and of learning.png.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(as_json: bool, threads: int | None, acceptance: bool, **options: Any) -> None:
    """Compare agents from the same warm starts, at equal minutes and at equal programs.

    A variant is AGENT[:PRESET][?KEY=VALUE&...][@MINUTES].
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    if acceptance and options["agents"]:
        raise ConfigError("--acceptance names its own variants", value=options["agents"])
    options["agents"] = _ACCEPTANCE if acceptance else options["agents"] or _AGENTS
    comparison = _comparison(**options)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        total = len(comparison.seeds) * (len(comparison.configs) + 1)
        bar = progress.add_task("runs", total=total)
        runs = []
        for run in comparison.runs():
            runs.append(run)
            progress.advance(bar)
    results = describe(runs) | {"options": {**options, "out": str(options["out"])}}
    if acceptance:
        results["acceptance"] = verdicts(results)
    (options["out"] / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    plot(runs, options["out"] / "learning.png")
    if as_json:
        click.echo(json.dumps(results))
        return
    out = Console()
    # A table of figures is better too wide for a file or a pipe than folded.
    out.width = out.width if out.is_terminal else 140
    for drawn in tables(results):
        out.print(drawn)
    for line in results.get("acceptance", ()):
        out.print(line["text"], highlight=False)


def _comparison(
    *,
    agents: str,
    seeds: int,
    first_seed: int,
    minutes: float | None,
    programs: int | None,
    warm_start_minutes: float,
    warm_start_programs: int | None,
    policy: str,
    out: Path,
    **shared: Any,
) -> Comparison:
    """Check the options, settings of agents included, before anything slow begins."""
    from codegym.training.config import TrainConfig, agent_config, phases_of

    if minutes and programs:
        raise ConfigError(
            "the agents need exactly one budget",
            value=(minutes, programs),
            expected="--minutes or --programs",
        )
    budget = {"minutes": minutes} if minutes else {"programs": programs} if programs else {}
    # A policy that collapses is a result here, not a run to stop.
    shared |= {"curve_count": shared["eval_count"], "guard": False}
    configs = []
    # A comma within brackets belongs to a reward.
    for variant in map(Variant.parse, re.split(r",(?![^(]*\))", agents)):
        config = variant.config(shared, budget)
        asked = TrainConfig.from_mapping({**config, "warm_start_programs": 0})
        agent_config(
            registry.get("agents", variant.agent),
            phases_of(asked)[-1],
            max_new_tokens=asked.max_new_tokens,
        )
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


def _trial(
    label: str, seed: int, path: Path, settings: Mapping[str, Any], *, start: Trial | None = None
) -> Trial:
    curve = train_or_read(path, settings, start=start)
    if curve is None:
        raise click.Abort
    return Trial(label, seed, curve)
