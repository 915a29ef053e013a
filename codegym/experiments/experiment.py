"""Experiment: an ablation of a paper as data. Training is in ``codegym.experiments.runs``.

An experiment asks for a sign: does arm X do better than arm Y, as the paper says? The paper's
figures are quoted beside the answer. They are from other models and data, and are not a target: a
sign that agrees does not replicate the paper's number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from codegym import registry
from codegym.errors import ConfigError, UnknownNameError
from codegym.rewards import make_reward
from codegym.rollout.environments import DEFAULT_ENV
from codegym.sources import load_tasks
from codegym.training.comparison_run import check_env
from codegym.training.config import TrainConfig, agent_config, phases_of

TRAIN = "composites?domain=small&depth=1-2&split=train"
HELD_OUT = "composites?domain=small&depth=2&split=test"

FINAL_LR = 0.02
"""Share of the learning rate that is left at the end of each arm's budget.

Without annealing the last steps move a policy at random: the same arm under other seeds varies by
.034 in greedy pass@1, with annealing by .010.
"""
MOST_FINAL_LR = 0.05
NULL_SEED = 1000
"""What is added to the seed of the null arm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One training run of an experiment, per seed.

    Attributes:
        label: Name of the arm in tables and folders.
        agent: Name of the agent.
        preset: Name of the agent's preset.
        settings: Settings of the agent; they win over the preset.
        start: Label of the arm whose policy this arm begins with; "" for a new policy.
        tasks: URI of the training tasks; "" for the experiment's tasks.
        reward: Reward expression; "" for the experiment's reward.
        programs: Budget: number of programs written or shown; 0 for the experiment's budget.
        seed_shift: Added to the seed of the training; the evaluations keep the seed.
    """

    label: str
    agent: str
    preset: str = "small"
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    tasks: str = ""
    reward: str = ""
    programs: int = 0
    seed_shift: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """The difference between two arms, and the sign that the paper reports.

    Attributes:
        plus: Label of an arm.
        minus: Label of the arm that is subtracted from it.
        sign: 1 if ``plus`` is higher in the paper, -1 if it is lower, 0 if the paper says neither.
        paper: The paper's statement, with its figures if they are known.
        measure: ``held-out`` for pass@1 on the held-out tasks, the name of a further set of tasks
            for pass@1 on that, ``gap`` for pass@1 on the set ``train-set`` minus the first. With
            hidden tests also ``hidden``, pass@1 with those, and ``hidden-gap``, pass@1 minus that.
    """

    plus: str
    minus: str
    sign: Literal[-1, 0, 1]
    paper: str
    measure: str = "held-out"

    @property
    def name(self) -> str:
        """Return the contrast in a few words."""
        known = {"held-out": "", "train-set": ", on training tasks", "gap": ", train-test gap"}
        measure = known.get(self.measure, f", on {self.measure}")
        return f"{self.plus} minus {self.minus}{measure}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Size of an experiment.

    Attributes:
        name: ``full`` or ``quick``.
        share: Share of the budget for an arm that learns from its own programs.
        imitation: Share of the budget for an arm that imitates. It is larger than ``share``: other
            arms may begin with this policy, and they learn nothing if it passes nothing. Starts
            keep their whole budget.
        seeds: Default number of seeds: at the first look, and at most.
        eval_count: Number of tasks in each evaluation.
        eval_samples: Programs sampled for each of them, beside the greedy one.
    """

    name: str
    share: float
    imitation: float
    seeds: tuple[int, int]
    eval_count: int
    eval_samples: int = 8


SCALES = {
    "full": Scale(name="full", share=1.0, imitation=1.0, seeds=(6, 12), eval_count=300),
    "quick": Scale(name="quick", share=0.25, imitation=0.6, seeds=(1, 1), eval_count=100),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An ablation: arms that differ only in the settings that the ablation names.

    Attributes:
        name: Name on the command line.
        paper: Short name and arXiv number of the paper.
        question: The question, in one sentence.
        starts: Runs whose policies the arms begin with.
        arms: The runs that are compared. An arm may begin with the policy of an earlier arm.
        contrasts: The differences whose sign is the question.
        programs: Budget of each arm without its own budget, in programs.
        tasks: URI of the training tasks.
        eval_tasks: URI of the held-out tasks.
        further: Name -> URI of further sets of tasks on which the last policy is evaluated as well;
            ``train-set`` is a set of training tasks.
        null: Label of the arm that the null arm repeats with other seeds; "" for the first arm.
        mechanism: Families of gradient estimators whose figures explain the result: ``critic``,
            ``feedback``; see ``codegym.measuring.gradient_estimators``.
        second: Name of the experiment that asks the same question in a second setting; it is run
            before an answer that differs from the paper is printed.
        reward: Reward expression of the training.
        policy: Name of a new policy.
        env: Id of the environment.
        env_args: Further arguments of the environment, by name.
        notes: Limitations that readers of the results must know.
    """

    name: str
    paper: str
    question: str
    arms: tuple[Arm, ...]
    contrasts: tuple[Contrast, ...]
    programs: int
    starts: tuple[Arm, ...] = ()
    tasks: str = TRAIN
    eval_tasks: str = HELD_OUT
    further: Mapping[str, str] = field(default_factory=dict)
    null: str = ""
    mechanism: tuple[str, ...] = ("critic",)
    second: str = ""
    reward: str = "binary"
    policy: str = "gpt:tiny"
    env: str = DEFAULT_ENV
    env_args: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Arm, ...]:
        """Return starts and arms in the order in which they are trained."""
        return (*self.starts, *self.arms)

    @property
    def null_arm(self) -> Arm:
        """Return the null arm: the settings of an arm, other seeds of the training."""
        arm = self.arm(self.null) if self.null else self.arms[0]
        return replace(arm, label=f"{arm.label} (other seeds)", seed_shift=NULL_SEED)

    def arm(self, label: str) -> Arm:
        """Return a start or an arm.

        Raises:
            UnknownNameError: No such label; names the nearest.
        """
        for arm in self.runs:
            if arm.label == label:
                return arm
        raise UnknownNameError(f"arm of {self.name}", label, [arm.label for arm in self.runs])

    def budget(self, arm: Arm, scale: Scale, programs: int | None = None) -> int:
        """Return an arm's budget in programs.

        Args:
            arm: A start or an arm.
            scale: Size of the experiment.
            programs: Replaces the scaled budget of each arm without its own budget.
        """
        if programs and not arm.programs:
            return programs
        if arm in self.starts:
            return arm.programs or self.programs
        share = scale.imitation if arm.agent == "sft" else scale.share
        return max(1, round((arm.programs or self.programs) * share))

    def total(self, scale: Scale, programs: int | None = None, *, null: bool = True) -> int:
        """Return the number of programs of a seed, with or without its null arm.

        The programs of the evaluations are not counted.
        """
        arms = (*self.runs, self.null_arm) if null else self.runs
        return sum(self.budget(arm, scale, programs) for arm in arms)

    def config(self, arm: Arm, scale: Scale, programs: int | None = None) -> dict[str, Any]:
        """Return the settings of ``TrainConfig``, without the seed and the policy's folder."""
        return {
            "agent": arm.agent,
            "agent_preset": arm.preset,
            "agent_settings": _departing(arm),
            "policy": self.policy,
            "env": self.env,
            "env_args": dict(self.env_args),
            "tasks": arm.tasks or self.tasks,
            "eval_tasks": self.eval_tasks,
            "reward": arm.reward or self.reward,
            "programs": self.budget(arm, scale, programs),
            "warm_start_programs": 0,
            "eval_count": scale.eval_count,
            "eval_samples": scale.eval_samples,
            "curve_count": scale.eval_count,
            "curve_points": 0,
            # A collapsed policy is a result of the comparison; the run must not stop.
            "guard": False,
            "track": "none",
        }

    def check(self) -> None:
        """Refuse an experiment that cannot run, before any training.

        Raises:
            ConfigError: Labels, starts or contrasts contradict each other, or the value of a
                setting cannot be used.
            UnknownNameError: A name does not exist; names the nearest.
            TaskError: A task file is missing or malformed.
        """
        labels = [arm.label for arm in self.runs]
        if len(set(labels)) != len(labels):
            raise ConfigError(f"{self.name} names an arm twice", value=labels)
        for number, arm in enumerate(self.runs):
            if arm.start and arm.start not in labels[:number]:
                raise UnknownNameError(f"earlier arm of {self.name}", arm.start, labels[:number])
            config = TrainConfig.from_mapping(self.config(arm, SCALES["full"]))
            made = agent_config(
                registry.get("agents", arm.agent),
                phases_of(config)[-1],
                max_new_tokens=config.max_new_tokens,
            )
            if made.final_lr > MOST_FINAL_LR:
                raise ConfigError(
                    f"arm {arm.label!r} of {self.name} does not anneal its learning rate",
                    value=made.final_lr,
                    expected=f"final_lr of at most {MOST_FINAL_LR}",
                )
            make_reward(config.reward)
            load_tasks(config.tasks)
            if arm == self.arms[0]:
                check_env(config)
        hidden = load_tasks(self.eval_tasks)[0].hidden_tests is not None
        for uri in self.further.values():
            load_tasks(uri)
        self.arm(self.null_arm.label.removesuffix(" (other seeds)"))
        measures = {"held-out", *self.further, *(("gap",) if "train-set" in self.further else ())}
        measures |= {"hidden", "hidden-gap"} if hidden else set()
        for contrast in self.contrasts:
            self.arm(contrast.plus)
            self.arm(contrast.minus)
            if contrast.plus == contrast.minus or contrast.measure not in measures:
                raise ConfigError(
                    f"a contrast of {self.name} compares nothing", value=contrast.name
                )


def _departing(arm: Arm) -> dict[str, Any]:
    """Return an arm's settings without those that its preset has anyway.

    So arms of several experiments that do the same have the same settings, and share their runs.
    """
    agent = registry.get("agents", arm.agent)
    preset = agent.presets.get(arm.preset, {})
    known = {each.name: each.default for each in fields(agent.config_class)} | preset
    wanted = {"final_lr": FINAL_LR, **arm.settings}
    return {
        name: value
        for name, value in wanted.items()
        if type(known.get(name)) is not type(value) or known[name] != value
    }


def warm_start(programs: int = 8192, *, tasks: str = "") -> Arm:
    """Return an arm that trains a new policy by imitation of reference solutions."""
    # Imitation earns no reward; a fixed one lets experiments with several rewards share the start.
    return Arm(label="warm start", agent="sft", tasks=tasks, reward="binary", programs=programs)


def from_warm_start(
    arms: Sequence[tuple[str, str, Mapping[str, Any]]], *, preset: str = "small"
) -> tuple[Arm, ...]:
    """Return arms that begin with the policy of the warm start.

    Args:
        arms: Label, agent and settings of each arm.
        preset: Name of the agents' preset.
    """
    return tuple(
        Arm(label=label, agent=agent, preset=preset, settings=settings, start="warm start")
        for label, agent, settings in arms
    )
