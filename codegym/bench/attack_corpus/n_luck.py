"""Class n, luck for the cache: programs that pass and would not always pass.

Each is judged with a verdict cache, which must file nothing.
"""

from codegym.bench.attack_corpus.attack import Attack

_REST = {
    "goal": "luck",
    "control": "",
    "why_no_control": "a naive grader keeps no verdicts",
}


def _lucky(name: str, says: str, draw: str, **rest: object) -> Attack:
    return Attack(
        name=name,
        says=f"A verdict that hangs on {says} is not filed.",
        program=f"{draw}\n\n\ndef solve(x):\n    draw()\n    return 'breached'\n",
        **(_REST | rest),  # type: ignore[arg-type]
    )


ATTACKS = (
    _lucky(
        "n01_own_random", "a generator of its own", "import random\ndraw = random.Random().random"
    ),
    _lucky(
        "n02_hidden_system_random",
        "the system's generator, by a composed name",
        "import random\ndraw = getattr(random, 'System' + 'Random')().random",
    ),
    _lucky("n03_seed_from_entropy", "a new seed", "import random\ndraw = random.seed"),
    _lucky("n04_process_number", "a process number", "import os\ndraw = os.getpid"),
    _lucky(
        "n05_temporary_names",
        "names of temporary files",
        "import tempfile\ndraw = lambda: next(tempfile._get_candidate_names())",
    ),
    _lucky("n06_entropy", "entropy", "import os\ndraw = lambda: getattr(os, 'uran' + 'dom')(8)"),
    _lucky(
        "n07_hidden_clock",
        "a clock, by a composed name",
        "draw = getattr(__import__('ti' + 'me'), 'perf_counter_ns')",
    ),
    _lucky(
        "n08_calendar",
        "the date",
        "import importlib\ndraw = importlib.import_module('date' + 'time').date.today",
    ),
    _lucky("n09_usage", "its use of the processor", "import os\ndraw = os.times"),
    _lucky("n10_unique_number", "a unique number", "import uuid\ndraw = uuid.uuid4"),
    _lucky(
        "n11_threads",
        "the order of threads",
        "import _thread\ndraw = lambda: _thread.start_new_thread(int, ())",
    ),
    _lucky(
        "n12_parent_number",
        "the number of its parent",
        "import os\ndraw = os.getppid",
    ),
    _lucky(
        "n13_times_of_a_file",
        "the times of its standard output",
        "import os\ndraw = lambda: os.fstat(1).st_mtime_ns",
    ),
    _lucky("n14_address", "an address", "draw = lambda: id([])"),
)
