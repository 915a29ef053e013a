"""Ablations of Gorinski et al. 2023 (arXiv 2310.13669): the critic, the baselines, the data.

The first two exist twice. Under their own names they are as the paper has it, as far as is known: a
critic with a hidden layer, negative advantages undamped, replay of distinct programs, a finite set
of tasks visited again and again. Under ``NAME-own`` they are as codegym would run them.

The paper's claims are from its abstract and from other authors' summaries; its tables are not known
to us.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from codegym.experiments.experiment import (
    TRAIN,
    Arm,
    Contrast,
    Experiment,
    from_warm_start,
    warm_start,
)

_PAPER = "Gorinski et al. 2310.13669"

# A finite set, as MBPP is.
_FINITE = f"{TRAIN}&size=300"
# A small policy needs higher learning rates than the paper's defaults.
_PAPERS: Mapping[str, Any] = {"lr": 3e-4, "value_lr": 1e-2, "final_lr": 0.0}
_HIDDEN_LAYER = "gpt:tiny?value_hidden=64"

# The paper's two parts: all tests pass, and how many pass. Their weights are not known to us.
_REWARD = "gorinski"

# The critic's head start is the same in every arm with a critic.
_HEAD_START = {"critic_updates": 6}
_CRITICS: Mapping[str, Mapping[str, Any]] = {
    "synced": {"critic": "synced", **_HEAD_START},
    "frozen": {"critic": "frozen", **_HEAD_START},
    "none": {"critic": "none"},
}

CRITIC = Experiment(
    name="critic-ablation",
    paper=_PAPER,
    question="Is a critic kept in sync with the policy better than a frozen critic, or none?",
    starts=(warm_start(),),
    arms=from_warm_start(
        [(label, "actor_critic", {**_PAPERS, **settings}) for label, settings in _CRITICS.items()],
        preset="paper",
    ),
    contrasts=(
        Contrast(
            plus="synced",
            minus="frozen",
            sign=1,
            paper="a critic in sync beats a pretrained, frozen critic; no figure is known to us",
        ),
        Contrast(
            plus="synced",
            minus="none",
            sign=1,
            paper="the critic is part of the method; no figure without a critic is known to us",
        ),
        Contrast(plus="frozen", minus="none", sign=0, paper="not compared, as far as we know"),
    ),
    programs=14_848,
    tasks=_FINITE,
    reward=_REWARD,
    policy=_HIDDEN_LAYER,
    notes=(
        "Only the critic learns from the first 1,536 programs, and they count towards the budget; "
        "without a critic the policy learns from them as well.",
    ),
    null="none",
    second="critic-ablation-own",
)

CRITIC_OWN = replace(
    CRITIC,
    name="critic-ablation-own",
    arms=from_warm_start(
        [(label, "actor_critic", settings) for label, settings in _CRITICS.items()]
    ),
    tasks=TRAIN,
    reward="binary",
    notes=(*CRITIC.notes, "Negative advantages are damped, and nothing is replayed."),
    second="",
)

_BASELINE_SIGNS = (
    Contrast(plus="actor-critic", minus="ppo", sign=1, paper="up to +4.3 % over PPO or CodeRL"),
    Contrast(plus="actor-critic", minus="coderl", sign=1, paper="up to +4.3 % over PPO or CodeRL"),
    Contrast(
        plus="actor-critic", minus="warm start", sign=1, paper="up to +9.9 % over the base model"
    ),
)
_BASELINE_NOTES = (
    "It is not known to us whether the paper's percentages are points, and of which pass@k.",
    "CodeRL uses its paper's reward with four values. It spends up to "
    "half of its budget on filling its program set.",
)

BASELINES = Experiment(
    name="actor-critic-baselines",
    paper=_PAPER,
    question="Does the actor-critic gain more than PPO and CodeRL from the same start and budget?",
    starts=(warm_start(),),
    arms=(
        *from_warm_start([("actor-critic", "actor_critic", _PAPERS)], preset="paper"),
        *from_warm_start([("ppo", "ppo", {"epochs": 4, "minibatches": 8})], preset="paper"),
        Arm(
            label="coderl",
            agent="coderl",
            preset="paper",
            settings={"lr": 3e-4},
            reward="coderl",
            start="warm start",
        ),
    ),
    contrasts=_BASELINE_SIGNS,
    programs=14_848,
    tasks=_FINITE,
    reward=_REWARD,
    policy=_HIDDEN_LAYER,
    notes=(
        *_BASELINE_NOTES,
        "CodeRL also learns from reference solutions, as in its paper; the other two do not.",
    ),
    second="actor-critic-baselines-own",
)

BASELINES_OWN = replace(
    BASELINES,
    name="actor-critic-baselines-own",
    arms=(
        *from_warm_start([("actor-critic", "actor_critic", {}), ("ppo", "ppo", {})]),
        Arm(label="coderl", agent="coderl", reward="coderl", start="warm start"),
    ),
    tasks=TRAIN,
    reward="binary",
    notes=(*_BASELINE_NOTES, "Each agent has its preset for a small policy."),
    second="",
)

# As many hand-written tasks as MBPP has for training, and generated tasks without end that look
# different: half of them have two branches, some three atoms.
_HAND_WRITTEN = "composites?domain=all&depth=1-2&split=train&size=374"
_GENERATED = "composites?domain=all&depth=2-3&split=train&shape=any&seed=1"
_BOTH = f"0.5*{_HAND_WRITTEN} + 0.5*{_GENERATED}"

DATA = Experiment(
    name="data-ablation",
    paper=_PAPER,
    question="Does training on generated tasks help with hand-written tasks, alone or together "
    "with them?",
    starts=(warm_start(6144, tasks=_BOTH),),
    arms=tuple(
        Arm(
            label=label,
            agent="actor_critic",
            preset="paper",
            settings=_PAPERS,
            start="warm start",
            tasks=tasks,
        )
        for label, tasks in (
            ("hand-written", _HAND_WRITTEN),
            ("generated", _GENERATED),
            ("both", _BOTH),
        )
    ),
    contrasts=(
        Contrast(
            plus="both",
            minus="hand-written",
            sign=1,
            paper="adding generated data to MBPP improves further; no figure known to us",
        ),
        Contrast(
            plus="generated",
            minus="warm start",
            sign=1,
            paper="generated data helps alone; no figure known to us",
        ),
        Contrast(plus="generated", minus="hand-written", sign=0, paper="no figure known to us"),
    ),
    programs=10_240,
    tasks=_HAND_WRITTEN,
    eval_tasks="composites?domain=all&depth=2&split=test",
    reward=_REWARD,
    policy=_HIDDEN_LAYER,
    notes=(
        "374 chains of one and two atoms replace MBPP, and chains and forks of two and three atoms "
        "the paper's generated functions. The held-out tasks are chains with pairs of atoms that "
        "occur in neither.",
    ),
    null="hand-written",
    second="data-ablation-own",
)

DATA_OWN = replace(
    DATA,
    name="data-ablation-own",
    arms=tuple(replace(arm, preset="small", settings={}) for arm in DATA.arms),
    reward="binary",
    policy="gpt:tiny",
    second="",
)

EXPERIMENTS = (CRITIC, CRITIC_OWN, BASELINES, BASELINES_OWN, DATA, DATA_OWN)
