"""Idioms of honest programs: files, threads, locks, time zones and source text, in each mode."""

import pytest

import codegym
from codegym.tasks.task import Task

IDIOMS = {
    "a large stack": "import sys, threading\nthreading.stack_size(512 << 20)\n"
    "thread = threading.Thread(target=lambda: print(5))\nthread.start()\nthread.join()",
    "64 threads": "import threading, time\n"
    "threads = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(64)]\n"
    "[t.start() for t in threads]\n[t.join() for t in threads]\nprint(5)",
    "/dev/stdin": "print(open('/dev/stdin').read().strip())",
    "/dev/stdout": "open('/dev/stdout', 'w').write('5')",
    "descriptor 0": "print(open(0).read().strip())",
    "__file__": "print(5 if 'print(5' in open(__file__).read() else 0)",
    "a temporary file": "import tempfile\nwith tempfile.TemporaryFile('w+') as f:\n"
    "    f.write('5')\n    f.seek(0)\n    print(f.read())",
    "a named temporary file": "import os, tempfile\n"
    "with tempfile.NamedTemporaryFile('w', delete=False) as f:\n    f.write('5')\n"
    "print(open(f.name).read())\nos.unlink(f.name)",
    "a temporary folder": "import os, tempfile\nwith tempfile.TemporaryDirectory() as d:\n"
    "    p = os.path.join(d, 'a')\n    open(p, 'w').write('5')\n    s = open(p).read()\n"
    "print(s if not os.path.exists(d) else 0)",
    "the current folder": "import os\nopen('a.txt', 'w').write('1')\n"
    "with open('a.txt', 'a') as f:\n    f.write('4')\nos.rename('a.txt', 'b.txt')\n"
    "print(5 if open('b.txt').read() == '14' and os.listdir('.') == ['b.txt'] else 0)",
    "pathlib": "from pathlib import Path\np = Path('d') / 'a'\np.parent.mkdir()\n"
    "p.write_text('5')\nprint(p.read_text())",
    "ThreadPool": "from multiprocessing.pool import ThreadPool\nwith ThreadPool(4) as p:\n"
    "    print(sum(p.map(int, '23')))",
    "dummy": "from multiprocessing.dummy import Pool\nwith Pool(4) as p:\n"
    "    print(sum(p.map(int, '23')))",
    "Lock": "from multiprocessing import Lock, RLock\nr = RLock()\n"
    "with Lock(), r, r:\n    print(5)",
    "zoneinfo": "from zoneinfo import ZoneInfo\nprint(5 if ZoneInfo('Europe/Berlin') else 0)",
    "getsource": "import inspect\ndef f():\n    return 5\n"
    "print(f() if 'return 5' in inspect.getsource(f) else 0)",
    "a latin-1 cookie": "# -*- coding: latin-1 -*-\ns = '\u00e9'\nprint(5 if len(s) == 1 else 0)",
}


@pytest.fixture(params=["namespace", "landlock"], scope="module")
def sandbox(request):
    with codegym.make_sandbox(request.param, workers=1) as made:
        yield made


@pytest.mark.parametrize("name", list(IDIOMS))
def test_an_idiom_of_honest_programs_works(sandbox, name):
    task = Task.from_stdio("Print 5.", [("5\n", "5")])
    verdict = codegym.judge(IDIOMS[name], task, sandbox=sandbox)
    assert verdict.passed, (verdict.error_message, verdict.cases[0].got)


@pytest.mark.parametrize(
    "loop",
    [
        "open(str(n), 'w')",
        "__import__('os').mkdir(str(n))",
        "f.write(b'0' * (1 << 20))",
    ],
)
def test_the_private_folder_is_bounded(sandbox, loop):
    program = (
        "f = open('f', 'wb', 0)\nn = 0\ntry:\n    while True:\n        n += 1\n"
        f"        {loop}\nexcept OSError as error:\n    print(error.errno, n < 5000)\n"
    )
    task = Task.from_stdio("p", [("", "28 True")])
    assert codegym.judge(program, task, sandbox=sandbox).passed


def test_nothing_is_left_for_the_next_program(sandbox):
    task = Task.from_stdio("p", [("", "[]")])
    codegym.judge("open('left', 'w').write('x')", task, sandbox=sandbox)
    assert codegym.judge("import os\nprint(os.listdir('.'))", task, sandbox=sandbox).passed
