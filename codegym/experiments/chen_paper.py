"""Ablations of Chen et al. 2024 (arXiv 2406.10305): what to imitate, and what RL adds to it.

Results are shown apart for single atoms, new compositions of known pairs of atoms (B), compositions
with pairs that were never composed (C, the held-out tasks), and compositions of three atoms (C).
Each experiment exists in the small domain, and as ``NAME-big`` with 59 atoms.

The paper's findings are from its abstract; its figures are not known to us.
"""

from dataclasses import replace

from codegym.experiments.experiment import Arm, Contrast, Experiment

_PAPER = "Chen et al. 2406.10305"

_ATOMS = "composites?domain=small&depth=1&split=train"
_COMPOSITES = "composites?domain=small&depth=2&split=train"
_HANDFUL = f"{_COMPOSITES}&size=32"
_SETS = {
    "atoms": "composites?domain=small&depth=1&split=atoms",
    "B": "composites?domain=small&depth=2&split=b",
    "C, three atoms": "composites?domain=small&depth=3&split=test",
}

SFT_DATA = Experiment(
    name="sft-data",
    paper=_PAPER,
    question="For held-out compositions: does imitation need both atoms and composites, and how "
    "many composites?",
    arms=tuple(
        Arm(label=label, agent="sft", tasks=tasks)
        for label, tasks in (
            ("atoms", _ATOMS),
            ("composites", _COMPOSITES),
            ("atoms and 32 composites", f"0.5*{_ATOMS} + 0.5*{_HANDFUL}"),
            ("both", f"0.5*{_ATOMS} + 0.5*{_COMPOSITES}"),
        )
    ),
    contrasts=(
        Contrast(plus="both", minus="atoms", sign=1, paper="both are needed"),
        Contrast(plus="both", minus="composites", sign=1, paper="both are needed"),
        Contrast(
            plus="atoms and 32 composites",
            minus="atoms",
            sign=1,
            paper="a handful of composites is enough",
        ),
        Contrast(
            plus="both",
            minus="atoms and 32 composites",
            sign=0,
            paper="a handful is enough: no large difference",
        ),
        Contrast(
            plus="both",
            minus="atoms",
            sign=1,
            measure="C, three atoms",
            paper="both are needed",
        ),
    ),
    programs=10_240,
    further=_SETS,
    null="atoms",
    second="sft-data-big",
    notes=(
        "All arms learn from the same number of demonstrations. The paper's policies are "
        "pretrained; these policies are new, so they know only what the demonstrations show.",
    ),
)

# Imitation learns from each of these tasks about five times.
_IMITATED = "composites?domain=small&depth=1-2&split=train&size=2000"

AFTER_SFT = Experiment(
    name="rl-after-sft",
    paper=_PAPER,
    question="Does RL on the imitated prompts raise pass@1 on held-out tasks?",
    arms=(
        Arm(label="sft", agent="sft", programs=10_240),
        Arm(label="sft, longer", agent="sft", start="sft"),
        Arm(label="sft, then ppo", agent="ppo", start="sft"),
        Arm(label="sft, then rft", agent="rft", start="sft"),
    ),
    contrasts=(
        Contrast(
            plus="sft, then ppo",
            minus="sft",
            sign=1,
            paper="RL (PPO) greatly improves generalisation, even on the same training prompts",
        ),
        Contrast(
            plus="sft, then rft",
            minus="sft",
            sign=1,
            paper="the same, for PPO; rft is another RL method",
        ),
        Contrast(
            plus="sft, then ppo",
            minus="sft, longer",
            sign=0,
            paper="not compared, as far as we know",
        ),
        Contrast(
            plus="sft, then ppo",
            minus="sft",
            sign=1,
            measure="C, three atoms",
            paper="RL greatly improves generalisation",
        ),
    ),
    programs=12_800,
    tasks=_IMITATED,
    further=_SETS,
    null="sft, then ppo",
    second="rl-after-sft-big",
    notes=(
        "`sft, longer` continues to imitate the same 2,000 solutions, with as many demonstrations "
        "as the other arms write programs; its learning rate schedule starts again.",
    ),
)

_FEW = "composites?domain=small&depth=2&split=train&size=512"

FROM_SCRATCH = Experiment(
    name="rl-from-scratch",
    paper=_PAPER,
    question="Is the gap between training and held-out tasks smaller if RL begins without SFT?",
    starts=(
        Arm(
            label="base",
            agent="sft",
            tasks="composites?domain=small&depth=1-2&split=train&seed=1",
            programs=6144,
        ),
    ),
    arms=(
        Arm(label="sft", agent="sft", start="base", programs=8192),
        Arm(label="rl", agent="ppo", start="base"),
        Arm(label="sft, then rl", agent="ppo", start="sft"),
    ),
    contrasts=(
        Contrast(
            plus="rl",
            minus="sft, then rl",
            sign=-1,
            measure="gap",
            paper="RL from scratch reduces the over-fitting that SFT introduces",
        ),
        Contrast(
            plus="rl",
            minus="sft",
            sign=-1,
            measure="gap",
            paper="SFT over-fits; RL without it does so less",
        ),
        Contrast(plus="sft, then rl", minus="sft", sign=1, paper="RL after SFT generalises better"),
        Contrast(
            plus="rl",
            minus="sft, then rl",
            sign=0,
            measure="train-set",
            paper="one summary: RL from scratch starts from lower performance",
        ),
    ),
    programs=12_800,
    tasks=_FEW,
    further={"train-set": _FEW, **_SETS},
    null="rl",
    second="rl-from-scratch-big",
    notes=(
        "A new policy passes nothing, so RL has no signal. The base replaces the paper's "
        "pretrained model: it has imitated other tasks of the same kind. `sft` imitates the 512 "
        "training tasks, each sixteen times, and RL is PPO on the same tasks.",
        "The gap is pass@1 on 300 of the training tasks minus pass@1 on held-out tasks; its "
        "interval resamples the two sets separately.",
    ),
)


def _big(experiment: Experiment) -> Experiment:
    """Return an experiment in the big domain."""

    def bigger(text: str) -> str:
        return text.replace("domain=small", "domain=big")

    return replace(
        experiment,
        name=f"{experiment.name}-big",
        starts=tuple(replace(arm, tasks=bigger(arm.tasks)) for arm in experiment.starts),
        arms=tuple(replace(arm, tasks=bigger(arm.tasks)) for arm in experiment.arms),
        tasks=bigger(experiment.tasks),
        eval_tasks=bigger(experiment.eval_tasks),
        further={name: bigger(uri) for name, uri in experiment.further.items()},
        second="",
    )


_SMALL = (SFT_DATA, AFTER_SFT, FROM_SCRATCH)
EXPERIMENTS = (*_SMALL, *map(_big, _SMALL))
