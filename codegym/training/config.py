"""TrainConfig: the settings of a training run, and the phases that follow from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

from codegym import registry
from codegym.errors import ConfigError, UnknownNameError
from codegym.learning.agent import Agent
from codegym.measuring.kept_programs import check_keep
from codegym.rollout.environments import DEFAULT_ENV, check_arguments, find_env
from codegym.settings import settings_of

BUDGETS = ("minutes", "updates", "programs")
GROUPS = ("agent_settings", "warm_start_settings", "guard_settings", "env_args")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of a run. Exactly one of minutes, updates and programs is above 0.

    Attributes:
        agent: Name of the learning agent.
        policy: ``gpt:tiny`` and the like, or the folder of a checkpoint to start from.
        tokenizer: Name of the tokenizer of a new policy.
        words: Most words of a new policy's vocabulary, chosen by how often the training tasks'
            prompts and reference solutions hold them; 0 for the vocabulary as it is shipped.
        env: Id of the environment, ``CodeGym/Repair-v0`` or another package's, which
            ``package:Name-v0`` imports.
        num_envs: Number of sub-envs of an environment that is stepped.
        env_args: Further arguments of the environment, by name.
        tasks: URI of the training tasks, or several with weights: ``0.7*URI + 0.3*URI``; "" for the
            environment's own, which is the default where it takes none.
        eval_tasks: URI of the held-out tasks; "" for the environment's own.
        task_sampler: How training tasks are drawn: ``uniform``, ``success`` (prefers those that are
            sometimes solved), ``curriculum`` (from shallow to deep); with options,
            ``name?key=value``.
        prefix_curriculum: ``none``, or ``success`` or ``progress``: programs begin with a part of
            the reference solution, less and less of it.
        reward: Name or expression of the reward; the agent's own default if "", or the
            environment's where it takes none.
        minutes: Budget of the agent in minutes of training, evaluation left out.
        updates: Budget of the agent in updates.
        programs: Budget of the agent in programs written; 25,600 where no budget is given.
        ahead: 1 writes the next update's programs before this update is learnt from, so that they
            are graded meanwhile; they come from weights that are one update old.
        warm_start_programs: Demonstrations to learn from first; 0 for no warm start. By default
            20,480 for a new policy and none for a policy from a checkpoint.
        warm_start_minutes: The same as minutes of training. The learning rate is annealed to
            whichever is given.
        max_new_tokens: Longest program, the end token included.
        grammar: Write only valid Python, in training and evaluation; see
            ``codegym.rollout.collect.Decoding``.
        eval_count: Held-out tasks of the first and last evaluation.
        eval_samples: Programs sampled for each held-out task, beside the greedy one.
        eval_seed: Seed of the evaluations' sampling; -1 takes ``seed``.
        curve_count: Held-out tasks of each evaluation in between.
        curve_points: How many evaluations in between.
        patience: A phase ends after so many evaluations in between without a new best: of the
            loss on held-out reference solutions where only those are learnt from, of sampled pass@1
            otherwise. 0 uses the whole budget.
        seed: Seed of everything that is drawn.
        isolation: Isolation of the sandbox.
        workers: Number of sandbox workers; 0 chooses automatically.
        threads: Number of torch's threads; 0 records the number that torch chooses by itself.
        track: Where metrics go beside the run's own files: ``tensorboard``, ``wandb``, ``trackio``,
            several separated by commas, or ``none``.
        guard: Whether a run whose policy collapses is stopped.
        keep_programs: Programs of training that are kept in ``training_programs.jsonl``: ``none``,
            ``all``, ``failed``, or a number of programs of each update. Those of evaluations always
            are, in ``programs.jsonl``.
        compress_programs: Whether that file is compressed: ``training_programs.jsonl.zst``.
        agent_preset: Named settings of the agent to begin from; ``auto`` takes ``small`` for the
            tiny transformers of ``gpt`` and ``paper`` for every other policy.
        agent_settings: Settings of the agent, by name; they win over the preset.
        warm_start_settings: Settings of the warm start, by name.
        guard_settings: Settings of the guard, by name.
    """

    agent: str = "rft"
    policy: str = "gpt:tiny"
    tokenizer: str = "lexemes"
    words: int = 0
    env: str = DEFAULT_ENV
    num_envs: int = 32
    tasks: str = "composites?domain=small&depth=1-2&split=train"
    eval_tasks: str = "composites?domain=small&depth=2&split=test"
    task_sampler: str = "uniform"
    prefix_curriculum: str = "none"
    reward: str = ""
    minutes: float = 0.0
    updates: int = 0
    programs: int = 0
    ahead: int = 0
    warm_start_programs: int = 0
    warm_start_minutes: float = 0.0
    max_new_tokens: int = 64
    grammar: bool = False
    eval_count: int = 300
    eval_samples: int = 1
    eval_seed: int = -1
    curve_count: int = 100
    curve_points: int = 6
    patience: int = 0
    seed: int = 0
    isolation: str = "auto"
    workers: int = 0
    threads: int = 0
    track: str = "tensorboard"
    guard: bool = True
    keep_programs: str = "none"
    compress_programs: bool = False
    agent_preset: str = "auto"
    agent_settings: Mapping[str, Any] = field(default_factory=dict)
    warm_start_settings: Mapping[str, Any] = field(default_factory=dict)
    guard_settings: Mapping[str, Any] = field(default_factory=dict)
    env_args: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> "TrainConfig":
        """Make a config from plain values, as a YAML file or the command line has them.

        Raises:
            UnknownNameError: A key that is no setting, or an agent, an environment or an argument
                of it that does not exist; names the nearest.
            ConfigError: A value of the wrong type, or not exactly one budget.
        """
        given = dict(settings)
        if not any(name in given for name in BUDGETS):
            given["programs"] = 25_600
        config = settings_of(cls, given, "setting")
        if not {"warm_start_programs", "warm_start_minutes"} & given.keys():
            config = replace(config, warm_start_programs=_default_warm_start(config))
        if config.agent_preset == "auto":
            config = replace(config, agent_preset=preset_for(config.policy, config.agent))
        takes = check_arguments(config.env, config.env_args)
        # An id with tasks of its own, such as CodeGym/Atoms-v0, keeps them.
        settled = "tasks" in find_env(config.env).kwargs or "tasks" in config.env_args
        if settled or (takes is not None and "tasks" not in takes):
            own: dict[str, Any] = {
                name: "" for name in ("tasks", "eval_tasks") if name not in given
            }
            config = replace(config, **own)
        if not config.reward and (takes is None or "reward" in takes):
            agent_class = registry.get("agents", config.agent)
            config = replace(config, reward=agent_class.default_reward)
        config._check()
        return config

    def _check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigError: Not exactly one budget, or a number out of range.
        """
        if sum(getattr(self, name) > 0 for name in BUDGETS) != 1:
            raise ConfigError(
                "a run needs exactly one budget",
                value={name: getattr(self, name) for name in BUDGETS},
                expected="one of minutes, updates, programs above 0",
            )
        if self.warm_start_programs and self.warm_start_minutes:
            raise ConfigError(
                "a warm start needs at most one budget",
                value=(self.warm_start_programs, self.warm_start_minutes),
                expected="warm_start_programs or warm_start_minutes",
            )
        check_keep(self.keep_programs)
        for name, lowest, highest in _RANGES:
            _check_range(f"setting {name!r}", getattr(self, name), lowest, highest)

    def to_mapping(self) -> dict[str, Any]:
        """Return the config as plain values; ``from_mapping`` is its inverse."""
        row = {name: getattr(self, name) for name in self.__slots__}
        return row | {name: dict(row[name]) for name in GROUPS}


def _check_range(what: str, value: float, lowest: float, highest: float = inf) -> None:
    if not (lowest <= value <= highest and isfinite(value)):
        raise ConfigError(
            f"{what} is out of range",
            value=value,
            expected=f"at least {lowest}" if highest == inf else f"{lowest} to {highest}",
        )


_RANGES = (
    ("minutes", 0, inf),
    ("updates", 0, inf),
    ("programs", 0, inf),
    ("ahead", 0, 1),
    ("warm_start_programs", 0, inf),
    ("warm_start_minutes", 0, inf),
    ("max_new_tokens", 1, inf),
    ("eval_count", 1, inf),
    ("eval_samples", 1, inf),
    ("eval_seed", -1, 2**63 - 1),
    ("curve_count", 1, inf),
    ("curve_points", 0, inf),
    ("patience", 0, inf),
    ("seed", 0, 2**63 - 1),
    ("workers", 0, inf),
    ("threads", 0, inf),
    ("num_envs", 1, inf),
)


# Settings that agents have in common, by name, and their least values.
_LEAST = {
    **dict.fromkeys(("tasks", "samples", "demonstrations", "batch_size"), 1),
    **dict.fromkeys(("minibatches", "epochs", "capacity", "steps"), 1),
    **dict.fromkeys(("lr", "value_lr", "critic_lr", "weight_decay", "max_grad_norm"), 0),
    "temperature": 0.01,
}


def _default_warm_start(config: TrainConfig) -> int:
    """Return how many demonstrations a run begins with where nothing is said."""
    agent_class = registry.get("agents", config.agent)
    pretrained = Path(config.policy).is_dir() or config.policy.startswith("hf:")
    needless = agent_class.learns_from != "rewards"
    return 0 if pretrained or needless else 20_480


def preset_for(policy: str, agent: str) -> str:
    """Return the preset of an agent that suits a policy: ``small`` or ``paper``.

    Args:
        policy: Name of the policy, or the folder of a checkpoint.
        agent: Name of the agent.
    """
    name = policy.partition(":")[0]
    if Path(policy).is_dir():
        from codegym.policies.checkpoint import MANIFEST, read_json

        manifest = Path(policy) / MANIFEST
        name = str(read_json(manifest).get("policy")) if manifest.is_file() else ""
    return preset_of(name, agent)


def preset_of(policy_name: str, agent: str) -> str:
    """Return the preset of an agent that suits a kind of policy: ``small`` or ``paper``.

    Args:
        policy_name: ``Policy.name``, the part of a policy's string before the colon.
        agent: Name of the agent.
    """
    small = policy_name in _SMALL_POLICIES
    return "small" if small and "small" in registry.get("agents", agent).presets else "paper"


# The transformers that codegym trains from nothing, and the floor that is compared with them.
_SMALL_POLICIES = ("gpt", "uniform")

PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "agent": "rft",
        "warm_start_programs": 8_192,
        "programs": 25_600,
        "curve_points": 4,
    },
}


@dataclass(frozen=True, slots=True)
class Phase:
    """An agent with a budget, which has one positive entry."""

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
    if not (config.warm_start_programs or config.warm_start_minutes):
        return [main]
    warm = Phase(
        "warm start",
        "sft",
        preset_for(config.policy, "sft"),
        config.warm_start_settings,
        minutes=config.warm_start_minutes,
        programs=config.warm_start_programs,
    )
    return [warm, main]


def agent_config(agent_class: type[Agent], phase: Phase, *, max_new_tokens: int) -> Any:
    """Return a phase's settings as the agent's config.

    Args:
        agent_class: The agent.
        phase: Its preset and settings.
        max_new_tokens: Longest program of the run, for agents with a setting of that name.

    Raises:
        UnknownNameError: No such preset or setting; names the nearest.
        ConfigError: A setting's value is of the wrong type or out of range.
    """
    if phase.preset not in agent_class.presets:
        raise UnknownNameError(f"preset of {phase.agent}", phase.preset, agent_class.presets)
    merged = {**agent_class.presets[phase.preset], **phase.settings}
    if "max_new_tokens" in agent_class.config_class.__dataclass_fields__:
        merged.setdefault("max_new_tokens", max_new_tokens)
    config = settings_of(agent_class.config_class, merged, f"setting of {phase.agent}")
    for name, lowest in _LEAST.items():
        if isinstance(value := getattr(config, name, None), int | float):
            _check_range(f"setting {name!r} of {phase.agent}", value, lowest)
    return config
