"""Attack: a program that tries to get an undeserved verdict, and the conditions of its success.

The programs are data; this module does not run them.
"""

from dataclasses import dataclass
from typing import Literal

from codegym.tasks.suite import Form

Goal = Literal["secret", "ratio", "mark", "aftermath", "luck"]
Control = Literal["exec", "script", "pipe", ""]

MARK = "breached"

FAMILIES = {
    "a": "leaving early",
    "b": "lying values",
    "c": "reading the expected value",
    "d": "forging the result",
    "e": "attacking the parent",
    "f": "exhausting resources",
    "g": "reaching the host",
    "h": "poisoning the next program",
    "i": "the kernel's surface",
    "j": "time",
    "k": "state through the examiner",
    "l": "memory through the examiner",
    "m": "frames before parsing",
    "n": "luck for the cache",
}

ALL_FORMS: tuple[Form, ...] = ("call", "assertion", "stdio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack program.

    Every program defines ``solve(x)``. Words between at-signs are replaced at run time: ``@PORT@``
    and similar words from ``PlantedSecrets.words``, ``@WANT_3@`` and ``@WANT_8@`` in ``test_code``
    by the expected values.

    Attributes:
        name: Family letter, number and a few words; unique.
        says: The property that the attack tries to break, in one sentence.
        program: The untrusted text.
        goal: Meaning of a PASSED verdict. ``secret``: the program produced an unguessable text;
            ``ratio``: an unguessable float; ``mark``: the forbidden act worked, since ``solve``
            returns ``MARK`` only then; ``aftermath``: nothing, only the later runs count;
            ``luck``: nothing, but no cache may file it.
        forms: Test forms to which the attack applies; the first is the most important.
        test_code: Test code of the attack for the assertion form; "" for a plain comparison.
        probe: Program for the next run on the same worker; its ``solve`` returns ``MARK`` only if
            it finds traces of this attack. "" for the general probe.
        control: The naive grader that this attack defeats; "" if there is none.
        why_no_control: Reason for ``control=""``.
        hangs: Whether the attack runs until a limit ends it.
        isolations: Modes that guarantee the property.
    """

    name: str
    says: str
    program: str
    goal: Goal = "secret"
    forms: tuple[Form, ...] = ALL_FORMS
    test_code: str = ""
    probe: str = ""
    control: Control = "exec"
    why_no_control: str = ""
    hangs: bool = False
    isolations: tuple[str, ...] = ("namespace", "landlock")

    def __post_init__(self) -> None:
        if self.name[0] not in FAMILIES:
            raise ValueError(f"{self.name!r}: the first letter is not a family")
        if bool(self.control) == bool(self.why_no_control):
            raise ValueError(f"{self.name}: name a control, or say why there is none")

    @property
    def family(self) -> str:
        """Letter of the class this attack belongs to."""
        return self.name[0]


# Head of programs that make raw system calls. Numbers are (x86_64, aarch64).
NATIVE = '''\
import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
X86 = os.uname().machine == "x86_64"
REFUSED = {errno.EPERM, errno.ENOSYS, errno.EACCES}


def syscall(x86, arm, *args):
    """Return (result, errno) of a raw system call."""
    number = x86 if X86 else arm
    if number is None:
        return -1, errno.ENOSYS
    ctypes.set_errno(0)
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    plain += [ctypes.c_long(0)] * (6 - len(plain))
    got = libc.syscall(ctypes.c_long(number), *plain)
    return got, ctypes.get_errno() if got == -1 else 0


def reached(*calls):
    """Say MARK if the kernel took any of the calls, else how each was refused."""
    said = []
    for name, x86, arm, *args in calls:
        got, error = syscall(x86, arm, *args)
        if error not in REFUSED:
            return "breached"
        said.append(name + ": " + errno.errorcode.get(error, str(error)))
    return "; ".join(said)


'''
