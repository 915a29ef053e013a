"""Experiment: an ablation of a paper as data. Nothing here trains; ``trials`` does.

An experiment asks for a sign: does arm X do better than arm Y, as the paper says? The paper's
figures are quoted beside the answer. They are from other models and data, and never a target: a
sign that agrees is no replicated number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from codegym import registry
from codegym.errors import ConfigError, UnknownNameError
from codegym.rewards import make_reward
from codegym.sources import load_tasks
from codegym.training.config import TrainConfig, agent_config, phases_of

TRAIN = "composites?domain=small&depth=1-2&split=train"
HELD_OUT = "composites?domain=small&depth=2&split=test"

Measure = Literal["held-out", "seen", "gap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One training run of an experiment, per seed.

    Attributes:
        label: Names it in tables and folders.
        agent: Name of the agent.
        preset: Its named settings.
        settings: Settings that win over the preset.
        start: Label of the arm whose policy it begins with; "" for a new policy.
        tasks: URI of its training tasks; "" for the experiment's.
        reward: Of its training; "" for the experiment's.
        programs: Its budget: programs written or shown; 0 for the experiment's.
    """

    label: str
    agent: str
    preset: str = "small"
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    tasks: str = ""
    reward: str = ""
    programs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One arm less another, and the sign that the paper reports.

    Attributes:
        plus: Label of an arm.
        minus: Label of the arm it is compared with.
        sign: 1 where the paper has ``plus`` higher, -1 where it has it lower, 0 where it says
            neither.
        paper: What the paper says, with its own figures where they are known.
        measure: ``held-out`` for pass@1 on held-out tasks, ``seen`` on training tasks, ``gap`` for
            seen less held-out.
    """

    plus: str
    minus: str
    sign: Literal[-1, 0, 1]
    paper: str
    measure: Measure = "held-out"

    @property
    def name(self) -> str:
        """Return the contrast in a few words."""
        what = {"held-out": "", "seen": ", on training tasks", "gap": ", train-test gap"}
        return f"{self.plus} minus {self.minus}{what[self.measure]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large an experiment is run.

    Attributes:
        name: ``full`` or ``quick``.
        share: Of the budget of an arm that learns from its own programs.
        imitation: Of the budget of an arm that imitates; a policy that has learnt too little to
            pass anything would give the others nothing to learn from.
        seeds: How many, where nothing is said.
        eval_count: Tasks of every evaluation.
    """

    name: str
    share: float
    imitation: float
    seeds: int
    eval_count: int


SCALES = {
    "full": Scale(name="full", share=1.0, imitation=1.0, seeds=3, eval_count=300),
    "quick": Scale(name="quick", share=0.25, imitation=0.6, seeds=1, eval_count=100),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An ablation: arms that differ in what it names and in nothing else.

    Attributes:
        name: On the command line.
        paper: Short name and number.
        question: What is asked, one sentence.
        starts: Runs that only give the arms their first policies.
        arms: What is compared. An arm may begin with the policy of an arm before it.
        contrasts: Whose sign is the question.
        programs: Budget of each arm that names none of its own.
        tasks: URI of the training tasks.
        eval_tasks: URI of the held-out tasks.
        seen_tasks: URI of training tasks to measure at the end as well; "" for none.
        reward: Of the training.
        policy: A new policy.
        notes: What a reader of the results has to know.
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
    seen_tasks: str = ""
    reward: str = "binary"
    policy: str = "gpt:tiny"
    notes: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Arm, ...]:
        """Return starts and arms in the order in which they are trained."""
        return (*self.starts, *self.arms)

    def arm(self, label: str) -> Arm:
        """Return a start or an arm.

        Raises:
            UnknownNameError: No such label; names the nearest.
        """
        for one in self.runs:
            if one.label == label:
                return one
        raise UnknownNameError(f"arm of {self.name}", label, [one.label for one in self.runs])

    def budget(self, arm: Arm, scale: Scale, programs: int | None = None) -> int:
        """Return an arm's budget in programs.

        Args:
            arm: A start or an arm.
            scale: How large the experiment is run.
            programs: Budget of every arm that has none of its own, in place of the scaled one.
        """
        if programs and not arm.programs:
            return programs
        share = scale.imitation if arm.agent == "sft" else scale.share
        return max(1, round((arm.programs or self.programs) * share))

    def total(self, scale: Scale, programs: int | None = None) -> int:
        """Return how many programs one seed takes, evaluation left out."""
        return sum(self.budget(arm, scale, programs) for arm in self.runs)

    def config(self, arm: Arm, scale: Scale, programs: int | None = None) -> dict[str, Any]:
        """Return what ``TrainConfig`` is made from, but for the seed and the policy's folder."""
        return {
            "agent": arm.agent,
            "agent_preset": arm.preset,
            "agent_settings": dict(arm.settings),
            "policy": self.policy,
            "tasks": arm.tasks or self.tasks,
            "eval_tasks": self.eval_tasks,
            "reward": arm.reward or self.reward,
            "programs": self.budget(arm, scale, programs),
            "warm_start_programs": 0,
            "eval_count": scale.eval_count,
            "curve_count": scale.eval_count,
            "curve_points": 0,
            # A policy that collapses is a result here, not a run to stop.
            "guard": False,
            "track": "none",
        }

    def check(self) -> None:
        """Refuse an experiment that could not run, before anything slow begins.

        Raises:
            ConfigError: Labels, starts, budgets or contrasts that do not fit together, or a
                setting's value that cannot be used.
            UnknownNameError: A name that nothing answers to; names the nearest.
            TaskError: A task file is missing or malformed.
        """
        labels = [arm.label for arm in self.runs]
        if len(set(labels)) != len(labels):
            raise ConfigError(f"{self.name} names an arm twice", value=labels)
        for place, arm in enumerate(self.runs):
            if arm.start and arm.start not in labels[:place]:
                raise UnknownNameError(f"earlier arm of {self.name}", arm.start, labels[:place])
            config = TrainConfig.from_mapping(self.config(arm, SCALES["full"]))
            agent_config(
                registry.get("agents", arm.agent),
                phases_of(config)[-1],
                max_new_tokens=config.max_new_tokens,
            )
            make_reward(config.reward)
            load_tasks(config.tasks)
        load_tasks(self.eval_tasks)
        if self.seen_tasks:
            load_tasks(self.seen_tasks)
        for contrast in self.contrasts:
            self.arm(contrast.plus)
            self.arm(contrast.minus)
            if contrast.plus == contrast.minus or (
                contrast.measure != "held-out" and not self.seen_tasks
            ):
                raise ConfigError(f"a contrast of {self.name} says nothing", value=contrast.name)


def warm_start(programs: int = 8192, *, tasks: str = "") -> Arm:
    """Return imitation of reference solutions, from a new policy."""
    return Arm(label="warm start", agent="sft", tasks=tasks, programs=programs)


def from_warm_start(arms: Sequence[tuple[str, str, Mapping[str, Any]]]) -> tuple[Arm, ...]:
    """Return arms that all begin with the warm start.

    Args:
        arms: Label, agent and settings of each.
    """
    return tuple(
        Arm(label=label, agent=agent, settings=settings, start="warm start")
        for label, agent, settings in arms
    )
