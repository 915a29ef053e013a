"""Weak tests: a policy that learns from too few or too easy tests satisfies them and nothing else.

The gap between visible and hidden tests is measured on held-out tasks with two weak tests and
sixteen hidden ones, the same for every arm. The arms learn from the same tasks with other tests.
"""

from codegym.experiments.experiment import Arm, Contrast, Experiment, warm_start

_TASKS = "composites?domain=small&depth=2&split=train&size=300&hidden=16"
_HELD_OUT = "composites?domain=small&depth=2&split=test&hidden=16&tests=2&choice=weak"
_ARMS = {
    "2 weak tests": "tests=2&choice=weak",
    "2 strong tests": "tests=2&choice=strong",
    "8 tests": "tests=8",
}

WEAK = Experiment(
    name="weak-tests",
    paper="codegym's own",
    question="Does RL on weak tests learn to satisfy the tests alone, and what closes the gap?",
    starts=(warm_start(4096),),
    arms=tuple(
        Arm(label=label, agent="rft", start="warm start", tasks=f"{_TASKS}&{options}")
        for label, options in _ARMS.items()
    ),
    contrasts=(
        Contrast(
            plus="2 weak tests",
            minus="warm start",
            sign=1,
            measure="hidden-gap",
            paper="expected: the gap opens",
        ),
        Contrast(
            plus="2 strong tests",
            minus="2 weak tests",
            sign=-1,
            measure="hidden-gap",
            paper="expected: tests chosen by their strength close it",
        ),
        Contrast(
            plus="8 tests",
            minus="2 weak tests",
            sign=-1,
            measure="hidden-gap",
            paper="expected: more tests close it",
        ),
        Contrast(
            plus="8 tests",
            minus="2 weak tests",
            sign=1,
            measure="hidden",
            paper="expected: more programs solve the task",
        ),
    ),
    programs=10_240,
    tasks=f"{_TASKS}&tests=8",
    eval_tasks=_HELD_OUT,
    notes=(
        "pass@1 is that of the two weak tests; the hidden tests are sixteen more. Tests are weak "
        "or strong by how many wrong compositions they tell from the right one.",
    ),
)

EXPERIMENTS = (WEAK,)
