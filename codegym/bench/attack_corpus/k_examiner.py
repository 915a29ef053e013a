"""Class k, state through the examiner: traces that a run leaves in the process that runs the test.

The programs are the leaks of ``codegym.bench.leaks``. The test hands the program objects of its
modules, or starts threads, as trusted tests do; afterwards honest programs of other tasks must
pass.
"""

from codegym.bench.attack_corpus.attack import Attack
from codegym.bench.leaks import LEAKS, Leak


def _attack(number: int, leak: Leak) -> Attack:
    return Attack(
        name=f"k{number:02}_{leak.name.replace(' ', '_').replace('.', '_')}",
        says=f"What a program leaves of {leak.name} is gone for the next program.",
        program=leak.program,
        test_code=leak.test,
        goal="aftermath",
        forms=("assertion",),
        control="",
        why_no_control="a naive grader runs test and program in one process, which ends",
    )


ATTACKS = tuple(_attack(number, leak) for number, leak in enumerate(LEAKS, 1))
