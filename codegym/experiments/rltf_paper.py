"""Ablations of RLTF (Liu et al. 2023, arXiv 2307.04349): feedback, online against offline, sweeps.

Each exists twice. Under its own name it is as the paper has it: reference supervision, negative
weights undamped, a finite set of tasks visited again and again, a learning rate that falls to 0 in
a straight line (polynomial decay of power 1). Under ``NAME-own`` it is as codegym would run it:
imitation of the policy's own passing programs, damped negative weights, new tasks without end.

The tasks are compositions of all 100 atoms. With texts, lists and tables side by side, wrong
programs raise: .49 of the failing programs of a policy with 6,144 demonstrations carry a line, and
.79 of those lines are a part of the program only. In the small domain, .05 to .14 do, so that fine
feedback could hardly act.

The paper's figures are pass@1 in percent on APPS with CodeT5 (770 million weights), without seeds.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from codegym.experiments.experiment import Arm, Contrast, Experiment, warm_start

_PAPER = "RLTF 2307.04349"

_ALL_TASKS = "composites?domain=all&depth=1-2&split=train"
# A finite set with reference solutions, as APPS is.
_FINITE = f"{_ALL_TASKS}&size=300"
_HELD_OUT = "composites?domain=all&depth=2&split=test"

# Each reward adds a term of the paper's reward to the reward before it.
_OFF = "rltf(coarse=false, adaptive=false, fine=0)"
_COARSE = "rltf(adaptive=false, fine=0)"
_FINE = "rltf(adaptive=false)"
_ADAPTIVE = "rltf"

# The paper's settings but for what a small policy and a short run need: a higher learning rate, a
# smaller buffer, a shorter warm-up.
_PAPERS: Mapping[str, Any] = {
    "lr": 3e-4, "capacity": 1280, "minimum_fill": 1280, "warmup_steps": 100, "final_lr": 0.0,
}  # fmt: skip
# Online and offline training both begin when the buffer is full, after equally many programs.
_OWN_BUFFER: Mapping[str, Any] = {"capacity": 1024, "minimum_fill": 1024}

_STEPS = (
    "Every arm takes the same number of optimiser steps: without feedback every step is "
    "supervised, with feedback every second step."
)
_OWN = (
    "The supervised term is not the paper's: it imitates the policy's own passing programs. "
    "Negative weights are damped.",
)


def _experiment(
    name: str,
    question: str,
    arms: Mapping[str, tuple[str, Mapping[str, Any]]],
    contrasts: tuple[Contrast, ...],
    *,
    null: str,
    notes: tuple[str, ...] = (),
    own: Mapping[str, Any] | None = None,
) -> tuple[Experiment, Experiment]:
    """Return an experiment as the paper has it, and as codegym would run it.

    Args:
        name: Name of the first.
        question: The question of both.
        arms: Label -> reward and settings of each arm.
        contrasts: The contrasts of both.
        null: Label of the arm that the null arms repeat.
        notes: Notes of both.
        own: Further settings of the second.
    """
    theirs = Experiment(
        name=name,
        paper=_PAPER,
        question=question,
        starts=(warm_start(6144, tasks=_ALL_TASKS),),
        arms=tuple(
            Arm(label=label, agent="rltf", preset="paper", reward=reward, start="warm start",
                settings={**_PAPERS, **settings})
            for label, (reward, settings) in arms.items()
        ),
        contrasts=contrasts,
        programs=10_240,
        tasks=_FINITE,
        eval_tasks=_HELD_OUT,
        notes=notes,
        null=null,
        mechanism=("feedback",),
        second=f"{name}-own",
    )  # fmt: skip
    ours = replace(
        theirs,
        name=f"{name}-own",
        arms=tuple(
            replace(arm, preset="small", settings={**(own or {}), **arms[arm.label][1]})
            for arm in theirs.arms
        ),
        tasks=_ALL_TASKS,
        notes=(*notes, *_OWN),
        second="",
    )
    return theirs, ours


ABLATION = _experiment(
    "rltf-ablation",
    "Does each kind of feedback add to supervised learning?",
    {
        "supervised alone": (_OFF, {}),
        "+ coarse": (_COARSE, {}),
        "+ fine": (_FINE, {}),
        "+ adaptive": (_ADAPTIVE, {}),
    },
    (
        Contrast(plus="+ coarse", minus="supervised alone", sign=1, paper="1.37 > 1.30"),
        Contrast(plus="+ fine", minus="+ coarse", sign=1, paper="1.41 > 1.37"),
        Contrast(plus="+ adaptive", minus="+ fine", sign=1, paper="1.45 > 1.41"),
        Contrast(plus="+ adaptive", minus="supervised alone", sign=1, paper="1.45 > 1.30"),
    ),
    null="+ adaptive",
    notes=(_STEPS,),
)

ONLINE = _experiment(
    "rltf-online",
    "Does learning from programs of the newest weights beat learning from a frozen set?",
    {
        "offline, coarse": (_COARSE, {"online": False}),
        "offline, all feedback": (_ADAPTIVE, {"online": False}),
        "online, coarse": (_COARSE, {}),
        "online, all feedback": (_ADAPTIVE, {}),
    },
    (
        Contrast(
            plus="online, all feedback", minus="offline, all feedback", sign=1, paper="1.45 > 1.34"
        ),
        Contrast(plus="online, coarse", minus="offline, coarse", sign=1, paper="1.37 > 1.29"),
        Contrast(
            plus="offline, all feedback", minus="offline, coarse", sign=1, paper="1.34 > 1.29"
        ),
    ),
    null="online, all feedback",
    own=_OWN_BUFFER,
    notes=(
        "Training begins when the buffer is full. Offline the buffer is never refreshed; an update "
        "then counts as many programs as an online update writes, so both take the same number of "
        "steps.",
    ),
)

_TEMPERATURES = (0.2, 0.6, 1.0)

TEMPERATURE = _experiment(
    "rltf-temperature",
    "Does sampling more freely in training help?",
    {f"temperature {value}": (_ADAPTIVE, {"temperature": value}) for value in _TEMPERATURES},
    (
        Contrast(plus="temperature 1.0", minus="temperature 0.2", sign=1, paper="1.45 > 1.34"),
        Contrast(
            plus="temperature 1.0",
            minus="temperature 0.6",
            sign=1,
            paper="1.0 is best according to the paper; no figure for 0.6 is known to us",
        ),
    ),
    null="temperature 1.0",
    notes=("Held-out programs are sampled at temperature 1, whatever the training temperature.",),
)

_PENALTIES = (0.0, -0.1, -0.2, -0.3, -0.4, -0.5)

FINE = _experiment(
    "rltf-fine-penalty",
    "Does a penalty on the faulty lines help, and does its size matter?",
    {
        # -0.3 is the reward's own penalty: the run is that of "+ fine" in the ablation.
        f"fine {value}": (_FINE if value == -0.3 else f"rltf(adaptive=false, fine={value})", {})
        for value in _PENALTIES
    },
    tuple(
        Contrast(
            plus=f"fine {value}",
            minus="fine 0.0",
            sign=1,
            paper="every penalty from -0.1 to -0.5 beats 0"
            + {-0.2: "; best pass@10, 5.10", -0.4: "; best pass@5, 3.68"}.get(value, ""),
        )
        for value in (-0.3, -0.1, -0.2, -0.4, -0.5)
    ),
    null="fine 0.0",
)

EXPERIMENTS = (*ABLATION, *ONLINE, *TEMPERATURE, *FINE)
