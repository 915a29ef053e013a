"""Mining: modules, licences and logs as files."""

import os

import pytest

from codegym.errors import ConfigError
from codegym.mining.finding import find_candidates
from codegym.mining.licences import licence_of_text
from codegym.mining.log import Log
from codegym.mining.module_tree import find_modules


def candidate(world, module, name):
    return next(found for found in find_candidates(world[module]) if found.node.name == name)


def test_targets_that_are_nothing_say_so(tmp_path):
    for target in ("no_such_package_anywhere", str(tmp_path)):
        with pytest.raises(ConfigError):
            find_modules(target)


def test_the_standard_library_has_an_origin():
    modules = find_modules("stdlib")
    assert {module.origin.licence for module in modules} == {"PSF-2.0"}
    assert "textwrap" in {module.name for module in modules}
    assert not [module for module in modules if module.name.startswith(("test.", "site-packages"))]


def test_licences_are_known_by_their_texts():
    assert licence_of_text("Permission is hereby granted, free of\ncharge, to any") == "MIT"
    assert licence_of_text("Apache License\n Version 2.0, January") == "Apache-2.0"
    assert licence_of_text("all rights reserved") == "unknown"


def test_logs_refuse_other_settings(tmp_path):
    path = tmp_path / "tasks.jsonl"
    with Log(path, {"seed": 1}):
        pass
    with pytest.raises(ConfigError, match="other settings"):
        Log(path, {"seed": 2}, resume=True).__enter__()


def test_odd_files_are_read_as_python_reads_them_or_told_apart(tmp_path):
    code = "def f(x: int) -> str:\n    '''Say caf\xe9 x times.'''\n    return 'caf\xe9' * x\n"
    files = {
        "plain": code.encode(),
        "marked": b"\xef\xbb\xbf" + code.encode(),
        "latin": b"# -*- coding: latin-1 -*-\n" + code.encode("latin-1"),
        "windows": code.replace("\n", "\r\n").encode(),
        "undeclared": code.encode("latin-1"),
        "klingon": b"# -*- coding: klingon -*-\nx = 1\n",
        "two": b"print 'hello'\n",
        "null": b"x = 1\0\n",
        "deep": b"x = " + b"-" * 100_000 + b"1\n",
        "long": b"x = '" + b"y" * (1 << 20) + b"'\n",
    }
    for name, data in files.items():
        (tmp_path / f"{name}.py").write_bytes(data)
    found = {module.name: module for module in find_modules(str(tmp_path))}
    assert {name: module.unread for name, module in found.items() if module.unread} == {
        "undeclared": "not in its encoding",
        "klingon": "not in its encoding",
        "two": "not this Python's syntax",
        "null": "not this Python's syntax",
        "deep": "nested too deeply",
        "long": "over a megabyte",
    }
    for name in ("plain", "marked", "latin", "windows"):
        (candidate,) = find_candidates(found[name])
        assert candidate.docstring == "Say caf\xe9 x times." and "\r" not in found[name].text


def test_pipes_links_that_go_round_and_closed_folders_stop_nothing(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.py").write_text("x = 2\n")
    (tmp_path / "sub" / "round").symlink_to("..")
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    (tmp_path / "closed").mkdir(mode=0)
    assert [module.name for module in find_modules(str(tmp_path))] == ["a", "sub.b"]
    (tmp_path / "closed").chmod(0o700)


def test_two_runs_do_not_write_to_one_file(tmp_path):
    path = tmp_path / "tasks.jsonl"
    with Log(path, {}), pytest.raises(ConfigError, match="another run"), Log(path, {}):
        pass
    with Log(path, {}, resume=True) as log:
        assert log.done == []
