"""Ablations of Gorinski et al. 2023 (arXiv 2310.13669): the critic, the baselines, the data.

The paper's claims are read from its abstract and from what others wrote of it; its tables are not
known to us.
"""

from codegym.experiments.experiment import Contrast, Experiment, from_warm_start, warm_start

_PAPER = "Gorinski et al. 2310.13669"

# The critic's head start is the same wherever there is a critic to learn.
_HEAD_START = {"critic_updates": 6}

CRITIC = Experiment(
    name="critic-ablation",
    paper=_PAPER,
    question="Is a critic kept in sync with the policy better than a frozen one, or none?",
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
            paper="a critic in sync beats one that is pretrained and frozen; no figure known to us",
        ),
        Contrast(
            plus="synced",
            minus="none",
            sign=1,
            paper="the critic is part of the method; no figure without one is known to us",
        ),
        Contrast(plus="frozen", minus="none", sign=0, paper="not compared, as far as we know"),
    ),
    programs=14_848,
    notes=(
        "Programs that only the critic learns from, the first 1,536, count into the budget; "
        "without a critic the policy learns from them as well.",
    ),
)

EXPERIMENTS = (CRITIC,)
