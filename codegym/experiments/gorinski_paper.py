"""Ablations of Gorinski et al. 2023 (arXiv 2310.13669): the critic, the baselines, the data.

The paper's claims are from its abstract and from other authors' summaries; its tables are not known
to us.
"""

from codegym.experiments.experiment import (
    Arm,
    Contrast,
    Experiment,
    from_warm_start,
    warm_start,
)

_PAPER = "Gorinski et al. 2310.13669"

# The critic's head start is the same in every arm with a critic.
_HEAD_START = {"critic_updates": 6}

CRITIC = Experiment(
    name="critic-ablation",
    paper=_PAPER,
    question="Is a critic kept in sync with the policy better than a frozen critic, or none?",
    starts=(warm_start(),),
    arms=from_warm_start(
        [
            ("synced", "actor_critic", {"critic": "synced", **_HEAD_START}),
            ("frozen", "actor_critic", {"critic": "frozen", **_HEAD_START}),
            ("none", "actor_critic", {"critic": "none"}),
        ]
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
    notes=(
        "Only the critic learns from the first 1,536 programs, and they count towards the budget; "
        "without a critic the policy learns from them as well.",
    ),
)

BASELINES = Experiment(
    name="actor-critic-baselines",
    paper=_PAPER,
    question="Does the actor-critic gain more than PPO and CodeRL from the same start and budget?",
    starts=(warm_start(),),
    arms=(
        *from_warm_start([("actor-critic", "actor_critic", {}), ("ppo", "ppo", {})]),
        Arm(label="coderl", agent="coderl", reward="coderl", start="warm start"),
    ),
    contrasts=(
        Contrast(
            plus="actor-critic",
            minus="warm start",
            sign=1,
            paper="up to +9.9 % over the base model",
        ),
        Contrast(plus="actor-critic", minus="ppo", sign=1, paper="up to +4.3 % over PPO or CodeRL"),
        Contrast(
            plus="actor-critic", minus="coderl", sign=1, paper="up to +4.3 % over PPO or CodeRL"
        ),
    ),
    programs=14_848,
    notes=(
        "It is not known to us whether the paper's percentages are points, and of which pass@k.",
        "CodeRL uses its paper's reward with four values, the others use 0 and 1. It spends up to "
        "half of its budget on filling its program set.",
        "Each agent has its preset for a small policy; no other settings were tried here.",
    ),
)

_HAND_WRITTEN = "atoms?domain=small&split=train"
_GENERATED = "composites?domain=small&depth=2&split=train"
_BOTH = f"0.5*{_HAND_WRITTEN} + 0.5*{_GENERATED}"

DATA = Experiment(
    name="data-ablation",
    paper=_PAPER,
    question="Does training on generated tasks help with hand-written tasks, alone or together "
    "with them?",
    starts=(warm_start(4096, tasks=_BOTH),),
    arms=tuple(
        Arm(label=label, agent="actor_critic", start="warm start", tasks=tasks)
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
    eval_tasks="atoms?domain=small&split=test",
    notes=(
        "Hand-written single atoms replace MBPP, and compositions of them replace the paper's "
        "generated functions. The held-out tasks have parameters of atoms that never occur in the "
        "training tasks with single atoms; they may occur in compositions.",
    ),
)

EXPERIMENTS = (CRITIC, BASELINES, DATA)
