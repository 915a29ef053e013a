"""``codegym bench attacks``: which attack programs defeat which grader.

Each attack runs on one worker. After it the same worker runs a probe that looks for traces of the
attack, then an honest program and a wrong program.
"""

import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import track

from codegym.bench.attack_corpus import ATTACKS, FAMILIES, Attack
from codegym.bench.attack_corpus.target import (
    EXAMINED,
    EXAMINER_TEST,
    GENERAL_PROBE,
    Target,
    as_form,
)
from codegym.bench.attack_finding import Finding, host_words
from codegym.bench.leaks import honest_after
from codegym.bench.other_graders import OTHERS, attack_others, check_others, read_sources
from codegym.bench.planted_secrets import PlantedSecrets
from codegym.errors import CodegymError, ConfigError
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
@click.option("--against", default="", help=f"Other graders: {','.join(OTHERS)}.")
@click.option(
    "--python", default=sys.executable, help="Interpreter in which those graders are installed."
)
@click.option(
    "--grader-file",
    multiple=True,
    metavar="NAME=FILE",
    help="src/open_r1/rewards.py of open-r1, from its repository.",
)
@click.option("--only-others", is_flag=True, help="Leave codegym's own grader out.")
@click.option("--first-form", is_flag=True, help="Run each attack in its first test form only.")
@click.option("--seed", default=0, show_default=True, help="Seed for the random answers.")
@with_output
def command(
    isolation: tuple[str, ...],
    family: str,
    name: str,
    against: str,
    python: str,
    grader_file: tuple[str, ...],
    only_others: bool,
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
    others = read_sources([grader for grader in against.split(",") if grader], grader_file)
    check_others(others, python)
    if only_others and not others:
        raise ConfigError("no grader is left", cure="--against NAMES, or without --only-others")
    rng = random.Random(seed)
    modes = [] if only_others else isolation or isolations_here()
    findings = list(_attack_own_grader(attacks, modes, not first_form, rng))
    ours = len(findings)
    findings += attack_others(attacks, others, python, rng)
    show(findings, output)
    output.document([asdict(finding) for finding in findings])
    if not all(finding.held for finding in findings[:ours]):
        sys.exit(1)
