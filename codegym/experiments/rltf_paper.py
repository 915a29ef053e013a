"""Ablations of RLTF (Liu et al. 2023, arXiv 2307.04349): feedback, online against offline, sweeps.

The paper's figures are pass@1 in percent on APPS with CodeT5 (770 million weights), without seeds.
"""

from collections.abc import Mapping
from typing import Any

from codegym.experiments.experiment import Arm, Contrast, Experiment, warm_start

_PAPER = "RLTF 2307.04349"

# A finite set with reference solutions, as APPS is: imitation repeats its tasks.
_FINITE = "composites?domain=small&depth=1-2&split=train&size=2000"

# Each reward adds a term of the paper's reward to the reward before it.
_OFF = "rltf(coarse=false, adaptive=false, fine=0)"
_COARSE = "rltf(adaptive=false, fine=0)"
_FINE = "rltf(adaptive=false)"
_ADAPTIVE = "rltf"


def _arms(*rows: tuple[str, str, Mapping[str, Any]]) -> tuple[Arm, ...]:
    """Return arms of the agent ``rltf``.

    Args:
        rows: Label, reward and settings of each arm.
    """
    return tuple(
        Arm(label=label, agent="rltf", reward=reward, settings=settings, start="warm start")
        for label, reward, settings in rows
    )


def _feedback(supervised: str) -> tuple[Arm, ...]:
    rows = (("supervised alone", _OFF), ("+ coarse", _COARSE), ("+ fine", _FINE),
            ("+ adaptive", _ADAPTIVE))  # fmt: skip
    return _arms(*((label, reward, {"supervised": supervised}) for label, reward in rows))


_FEEDBACK_SIGNS = (
    Contrast(plus="+ coarse", minus="supervised alone", sign=1, paper="1.37 > 1.30"),
    Contrast(plus="+ fine", minus="+ coarse", sign=1, paper="1.41 > 1.37"),
    Contrast(plus="+ adaptive", minus="+ fine", sign=1, paper="1.45 > 1.41"),
    Contrast(plus="+ adaptive", minus="supervised alone", sign=1, paper="1.45 > 1.30"),
)
_STEPS = (
    "Every arm takes the same number of supervised steps; the arms with feedback take as many "
    "steps on the feedback as well, as in the paper.",
)

ABLATION = Experiment(
    name="rltf-ablation",
    paper=_PAPER,
    question="Does each kind of feedback add to supervised learning on reference solutions?",
    starts=(warm_start(),),
    arms=_feedback("reference"),
    contrasts=_FEEDBACK_SIGNS,
    programs=10_240,
    tasks=_FINITE,
    notes=_STEPS,
)

ABLATION_OWN = Experiment(
    name="rltf-ablation-own",
    paper=_PAPER,
    question="Does each kind of feedback add to imitating the policy's own passing programs?",
    starts=(warm_start(),),
    arms=_feedback("own"),
    contrasts=_FEEDBACK_SIGNS,
    programs=10_240,
    notes=(
        *_STEPS,
        "The supervised term is not the paper's: it imitates the policy's own passing programs.",
    ),
)

# Online and offline training both begin when the buffer is full, after equally many programs.
_BUFFER = {"capacity": 1024, "minimum_fill": 1024}

ONLINE = Experiment(
    name="rltf-online",
    paper=_PAPER,
    question="Does learning from programs of the newest weights beat learning from a frozen set?",
    starts=(warm_start(),),
    arms=_arms(
        ("offline, coarse", _COARSE, {**_BUFFER, "online": False}),
        ("offline, all feedback", _ADAPTIVE, {**_BUFFER, "online": False}),
        ("online, coarse", _COARSE, _BUFFER),
        ("online, all feedback", _ADAPTIVE, _BUFFER),
    ),
    contrasts=(
        Contrast(plus="online, coarse", minus="offline, coarse", sign=1, paper="1.37 > 1.29"),
        Contrast(
            plus="online, all feedback",
            minus="offline, all feedback",
            sign=1,
            paper="1.45 > 1.34",
        ),
        Contrast(
            plus="offline, all feedback", minus="offline, coarse", sign=1, paper="1.34 > 1.29"
        ),
    ),
    programs=10_240,
    notes=(
        "Training begins when the buffer of 1,024 programs is full. Offline the buffer is never "
        "refreshed; an update then counts as many programs as an online update writes, so both "
        "take the same number of steps.",
    ),
)

_TEMPERATURES = (0.2, 0.6, 1.0)

TEMPERATURE = Experiment(
    name="rltf-temperature",
    paper=_PAPER,
    question="Does sampling more freely in training help?",
    starts=(warm_start(),),
    arms=_arms(
        *((f"temperature {value}", _ADAPTIVE, {"temperature": value}) for value in _TEMPERATURES)
    ),
    contrasts=(
        Contrast(plus="temperature 1.0", minus="temperature 0.2", sign=1, paper="1.45 > 1.34"),
        Contrast(
            plus="temperature 1.0",
            minus="temperature 0.6",
            sign=1,
            paper="1.0 is best according to the paper; no figure for 0.6 is known to us",
        ),
    ),
    programs=10_240,
    notes=("Held-out programs are sampled at temperature 1, whatever the training temperature.",),
)

_PENALTIES = (0.0, -0.1, -0.2, -0.3, -0.4, -0.5)

FINE = Experiment(
    name="rltf-fine-penalty",
    paper=_PAPER,
    question="Does a penalty on the faulty lines help, and does its size matter?",
    starts=(warm_start(),),
    arms=_arms(
        *((f"fine {value}", f"rltf(adaptive=false, fine={value})", {}) for value in _PENALTIES)
    ),
    contrasts=tuple(
        Contrast(
            plus=f"fine {value}",
            minus="fine 0.0",
            sign=1,
            paper="every penalty from -0.1 to -0.5 beats 0"
            + {-0.2: "; best pass@10, 5.10", -0.4: "; best pass@5, 3.68"}.get(value, ""),
        )
        for value in _PENALTIES[1:]
    ),
    programs=7680,
)

EXPERIMENTS = (ABLATION, ABLATION_OWN, ONLINE, TEMPERATURE, FINE)
