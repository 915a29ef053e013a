"""Ablations of Chen et al. 2024 (arXiv 2406.10305): what to imitate, and what RL adds to it.

Only the paper's findings are known to us, from its abstract; none of its figures.
"""

from codegym.experiments.experiment import Arm, Contrast, Experiment

_PAPER = "Chen et al. 2406.10305"

_ATOMS = "composites?domain=small&depth=1&split=train"
_COMPOSITES = "composites?domain=small&depth=2&split=train"
_HANDFUL = f"{_COMPOSITES}&size=32"

SFT_DATA = Experiment(
    name="sft-data",
    paper=_PAPER,
    question="On compositions never shown: does imitation need both atoms and composites, and how "
    "many of these?",
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
    ),
    programs=10_240,
    notes=(
        "Every arm is shown as many demonstrations. The paper's policies are pretrained; these "
        "know nothing at first, and what little data lacks nothing else supplies.",
    ),
)

# As many tasks as imitation sees five times over.
_SHOWN = "composites?domain=small&depth=1-2&split=train&size=2000"

AFTER_SFT = Experiment(
    name="rl-after-sft",
    paper=_PAPER,
    question="Does RL on the very prompts that were imitated raise what is passed beyond them?",
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
            plus="sft, then rft", minus="sft", sign=1, paper="the same, of PPO; this is another RL"
        ),
        Contrast(
            plus="sft, then ppo",
            minus="sft, longer",
            sign=0,
            paper="not compared, as far as we know",
        ),
    ),
    programs=12_800,
    tasks=_SHOWN,
    notes=(
        "`sft, longer` goes on imitating the same 2,000 solutions for as many demonstrations as "
        "the others write programs; its learning rate begins anew.",
    ),
)

_FEW = "composites?domain=small&depth=2&split=train&size=512"

FROM_SCRATCH = Experiment(
    name="rl-from-scratch",
    paper=_PAPER,
    question="Is the gap between training and held-out tasks smaller where RL begins without SFT?",
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
    train_eval_tasks=_FEW,
    notes=(
        "A policy from nothing passes nothing, and RL would have no signal. The base, which stands "
        "for the paper's pretrained model, has seen other tasks of the kind for a while; `sft` is "
        "imitation of the 512 training tasks, sixteen times over, and RL is PPO on the same.",
        "The gap is pass@1 on 300 of the training tasks less pass@1 on held-out ones; its interval "
        "resamples either set for itself.",
    ),
)

EXPERIMENTS = (SFT_DATA, AFTER_SFT, FROM_SCRATCH)
