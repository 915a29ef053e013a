"""Ablation of CodeRL (Le et al. 2022, arXiv 2207.01780): the critic's weights, the supervised loss.

As the paper has it under its own name, as codegym would run it under ``coderl-ablation-own``. The
paper's figures are pass@1 and pass@5 in percent on APPS with beam search, in its table of returns.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from codegym.experiments.experiment import TRAIN, Contrast, Experiment, from_warm_start, warm_start

_ARMS: Mapping[str, Mapping[str, Any]] = {
    "both losses": {},
    "rl alone": {"supervised": "none"},
    "no critic": {"critic": False},
}

ABLATION = Experiment(
    name="coderl-ablation",
    paper="CodeRL 2207.01780",
    question="Do the critic's token weights help, and does the supervised loss?",
    starts=(warm_start(),),
    arms=from_warm_start(
        [("both losses", "coderl", {"lr": 3e-4})]
        + [(label, "coderl", {"lr": 3e-4, **_ARMS[label]}) for label in ("rl alone", "no critic")],
        preset="paper",
    ),
    contrasts=(
        Contrast(
            plus="both losses",
            minus="rl alone",
            sign=1,
            paper="2.28 / 3.10 with both losses; the RL loss alone degrades the model",
        ),
        Contrast(
            plus="both losses",
            minus="no critic",
            sign=1,
            paper="the returns with the critic's weights are the best; 1.50 / 1.90",
        ),
    ),
    programs=12_800,
    tasks=f"{TRAIN}&size=300",
    reward="coderl",
    notes=(
        "The first half of the budget fills the program set, with the first policy's programs.",
    ),
    second="coderl-ablation-own",
)

ABLATION_OWN = replace(
    ABLATION,
    name="coderl-ablation-own",
    arms=from_warm_start([(label, "coderl", settings) for label, settings in _ARMS.items()]),
    tasks=TRAIN,
    second="",
)

EXPERIMENTS = (ABLATION, ABLATION_OWN)
