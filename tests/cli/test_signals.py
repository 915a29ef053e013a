"""Signals: each long command says what was saved and how to go on, and exits with 128 + n."""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codegym import cli
from codegym.training.interrupts import (
    SIGNALS,
    Interrupted,
    raising_on_signals,
    stopping_on_signals,
)

ATOMS = "composites?domain=small&depth=1&split=train"


def ended_by(number: int, *words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command line that sends itself a signal; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["codegym", *words])
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert [signal.getsignal(each) for each in SIGNALS] == before
    return int(str(ended.value.code))


def sending(number: int, call: Callable[..., Any], after: int = 0) -> Callable[..., Any]:
    """Return a function that sends this process a signal at its call number ``after``."""
    calls = 0

    def sent(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        if calls == after:
            os.kill(os.getpid(), number)
        calls += 1
        return call(*args, **kwargs)

    return sent


@pytest.mark.parametrize("number", SIGNALS)
def test_grade_keeps_its_verdicts(
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from codegym.measuring.sample_files import VerdictFile

    out = tmp_path / "verdicts.jsonl"
    monkeypatch.setattr(VerdictFile, "write", sending(number, VerdictFile.write, after=2))
    words = ["grade", "tiny", "--canonical", "--out", str(out), "--workers", "1"]
    assert ended_by(number, *words, monkeypatch=monkeypatch) == 128 + number
    said = capsys.readouterr().err
    assert f"stopped by {signal.Signals(number).name}; saved: 3 verdicts in {out}" in said
    again = said.rpartition("continue with: ")[2].strip()
    assert again == f"codegym {shlex.join(words)} --resume"
    assert len(out.read_text().splitlines()) == 2


def test_mine_keeps_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from codegym.mining.log import Log

    code = "".join(f'def f{n}(x: int) -> int:\n    """Add {n}."""\n    return x + {n}\n\n\n'
                   for n in range(8))  # fmt: skip
    (tmp_path / "code.py").write_text(code)
    out = tmp_path / "tasks.jsonl"
    monkeypatch.setattr(Log, "write", sending(signal.SIGTERM, Log.write, after=1))
    words = ["mine", str(tmp_path / "code.py"), "--out", str(out), "--workers", "1",
             "--benchmark", "tiny"]  # fmt: skip
    assert ended_by(signal.SIGTERM, *words, monkeypatch=monkeypatch) == 143
    said = capsys.readouterr().err
    assert f"tasks in {out}, with 7 functions left; continue with: codegym mine" in said
    assert said.strip().endswith("--resume")
    assert len(Path(f"{out}.fates").read_text().splitlines()) == 2


def test_synthesize_and_eval_say_that_nothing_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from codegym.cli import synthesize
    from codegym.measuring import evaluation

    out = tmp_path / "tasks.jsonl"
    monkeypatch.setattr(
        synthesize.DuplicateFilter, "admit", sending(signal.SIGHUP, lambda *args: True, after=3)
    )
    words = ["synthesize", ATOMS, "--count", "50", "--out", str(out)]
    assert ended_by(signal.SIGHUP, *words, monkeypatch=monkeypatch) == 129
    assert "stopped by SIGHUP; nothing was saved" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(evaluation, "evaluate", sending(signal.SIGINT, evaluation.evaluate))
    words = ["eval", "gpt:tiny", "--tasks", "tiny", "--count", "1", "--workers", "1"]
    assert ended_by(signal.SIGINT, *words, monkeypatch=monkeypatch) == 130
    assert "stopped by SIGINT; nothing was saved" in capsys.readouterr().err


def test_comparisons_are_continued_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from codegym.bench import agent_comparison
    from codegym.experiments import runs

    for module in (agent_comparison, runs):
        monkeypatch.setattr(
            module, "train_or_read", sending(signal.SIGTERM, lambda *args, **rest: [])
        )
    for words in (
        ["bench", "learning", "--agents", "rft", "--programs", "64", "--out", str(tmp_path)],
        ["reproduce", "critic-ablation", "--scale", "quick", "--out", str(tmp_path)],
    ):
        assert ended_by(signal.SIGTERM, *words, monkeypatch=monkeypatch) == 143
        said = capsys.readouterr().err.replace("\n", "")
        assert said.endswith(f"continue with: codegym {shlex.join(words)}")


@pytest.fixture
def ignored_hangup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def test_nohup_is_respected(ignored_hangup: None) -> None:
    stopped: list[int] = []
    with raising_on_signals(), stopping_on_signals(stopped.append):
        os.kill(os.getpid(), signal.SIGHUP)
        assert stopped == []


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    stopped: list[int] = []
    with raising_on_signals(), stopping_on_signals(stopped.append):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped == [signal.SIGTERM]
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signal.SIGINT)
    assert caught.value.exit_code == 130
    assert caught.value.message == "stopped by SIGINT; nothing was saved"
