"""TrainConfig: what a training run is asked to do, and the phases that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codegym.agent import Agent
from codegym.errors import ConfigError, UnknownNameError
from codegym.settings import settings_of

BUDGETS = ("minutes", "updates", "programs")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What a run is asked to do. At most one of minutes, updates and programs is above 0.

    Attributes:
        agent: Name of the learning agent.
        policy: ``gpt:tiny`` and the like, or the folder of a checkpoint to start from.
        tokenizer: Name of the tokenizer of a new policy.
        tasks: URI of the training tasks.
        eval_tasks: URI of the held-out tasks.
        reward: Name or expression of the reward.
        minutes: Budget of the agent in minutes of training, evaluation left out.
        updates: Budget of the agent in updates.
        programs: Budget of the agent in programs written; 25,600 where no budget is given.
        warm_start_programs: Demonstrations to learn from first; 0 for no warm start. Where nothing
            is said, 20,480 for a new policy and none for one from a checkpoint.
        max_new_tokens: Longest program, the end token included.
        grammar: Write only valid Python, in training and evaluation; see ``Sampling.grammar``.
        eval_count: Held-out tasks of the first and last evaluation.
        curve_count: Held-out tasks of each evaluation in between.
        curve_points: How many evaluations in between.
        seed: Of everything that is drawn.
        isolation: Of the sandbox.
        workers: Of the sandbox; 0 lets it choose.
        agent_preset: Named settings of the agent to begin from.
        agent_settings: Settings of the agent, by name; they win over the preset.
        warm_start_settings: Settings of the warm start, by name.
    """

    agent: str = "rft"
    policy: str = "gpt:tiny"
    tokenizer: str = "lexemes"
    tasks: str = "composites?domain=small&depth=1-2&split=train"
    eval_tasks: str = "composites?domain=small&depth=2&split=test"
    reward: str = "binary"
    minutes: float = 0.0
    updates: int = 0
    programs: int = 0
    warm_start_programs: int = 0
    max_new_tokens: int = 64
    grammar: bool = False
    eval_count: int = 300
    curve_count: int = 100
    curve_points: int = 6
    seed: int = 0
    isolation: str = "auto"
    workers: int = 0
    agent_preset: str = "small"
    agent_settings: Mapping[str, Any] = field(default_factory=dict)
    warm_start_settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> "TrainConfig":
        """Make a config from plain values, as a YAML file or the command line has them.

        Raises:
            UnknownNameError: A key that is no setting; names the nearest.
            ConfigError: A value of the wrong type, or not exactly one budget.
        """
        given = dict(settings)
        if not any(name in given for name in BUDGETS):
            given["programs"] = 25_600
        if "warm_start_programs" not in given:
            pretrained = Path(str(given.get("policy", ""))).is_dir() or given.get("agent") == "sft"
            given["warm_start_programs"] = 0 if pretrained else 20_480
        config = settings_of(cls, given, "setting")
        if sum(getattr(config, name) > 0 for name in BUDGETS) != 1:
            raise ConfigError(
                "a run needs exactly one budget",
                value={name: getattr(config, name) for name in BUDGETS},
                expected="one of minutes, updates, programs above 0",
            )
        return config

    def to_mapping(self) -> dict[str, Any]:
        """Return the config as plain values; ``from_mapping`` is its inverse."""
        row = {name: getattr(self, name) for name in self.__slots__}
        return row | {name: dict(row[name]) for name in ("agent_settings", "warm_start_settings")}


PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "agent": "rltf",
        "reward": "rltf",
        "warm_start_programs": 20_480,
        "programs": 25_600,
        "curve_points": 4,
    },
}


@dataclass(frozen=True, slots=True)
class Phase:
    """One agent with one budget; the budget has one positive entry."""

    name: str
    agent: str
    preset: str
    settings: Mapping[str, Any]
    minutes: float = 0.0
    updates: int = 0
    programs: int = 0


def phases_of(config: TrainConfig) -> list[Phase]:
    """Return the phases of a run: the warm start, if any, and the agent."""
    main = Phase(
        config.agent,
        config.agent,
        config.agent_preset,
        config.agent_settings,
        config.minutes,
        config.updates,
        config.programs,
    )
    if not config.warm_start_programs:
        return [main]
    warm = Phase(
        "warm start",
        "sft",
        "small",
        config.warm_start_settings,
        programs=config.warm_start_programs,
    )
    return [warm, main]


def agent_config(agent_class: type[Agent], phase: Phase) -> Any:
    """Return a phase's settings as the agent's config.

    Raises:
        UnknownNameError: No such preset or setting; names the nearest.
        ConfigError: A setting's value is of the wrong type.
    """
    if phase.preset not in agent_class.presets:
        raise UnknownNameError(f"preset of {phase.agent}", phase.preset, agent_class.presets)
    merged = {**agent_class.presets[phase.preset], **phase.settings}
    return settings_of(agent_class.config_class, merged, f"setting of {phase.agent}")
