"""Numerics: what a run's numbers depend on is recorded, compared, refused or restored."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from codegym.errors import ConfigError
from codegym.measuring.numerics import changed, numerics, refuse_changes
from codegym.training import session
from codegym.training.run_folder import RunFolder

SETTINGS = {
    "agent": "sft", "updates": 3, "eval_count": 1, "curve_points": 0, "max_new_tokens": 16,
    "workers": 1, "track": "none", "agent_settings": {"demonstrations": 4, "batch_size": 4},
}  # fmt: skip


def stopped(folder: Path, **settings: Any) -> RunFolder:
    """Return the folder of a run that was stopped after its first update."""
    trainer = session.prepare(
        session.make_config(SETTINGS | settings), folder, watch=lambda update: trainer.stop()
    )
    trainer.folder.create(trainer.config.to_mapping())
    assert not trainer.run()
    return trainer.folder


def rewrite(folder: RunFolder, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a run's record, as if it had been begun elsewhere."""
    (row,) = folder.rows("numerics")
    size = (folder.path / "numerics.jsonl").stat().st_size
    change(row)
    # The checkpoint remembers the size of the file.
    (folder.path / "numerics.jsonl").write_text(json.dumps(row).ljust(size - 1)[: size - 1] + "\n")


def test_the_record_names_what_numbers_depend_on() -> None:
    row = json.loads(json.dumps(numerics()))
    assert row["torch"] == torch.__version__ and row["threads"] == torch.get_num_threads()
    assert row["capability"] == torch.backends.cpu.get_cpu_capability()
    assert {"numpy", "numba"} <= row["packages"].keys()
    assert row["kernels"] == "compiled" and row["flushes_denormals"] is False
    torch.set_flush_denormal(True)
    try:
        assert numerics()["flushes_denormals"] is True
    finally:
        torch.set_flush_denormal(False)


def test_differences_are_named_one_by_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = numerics()
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    now = numerics() | {"cpu": "another", "threads": 77}
    now["packages"] = now["packages"] | {"numpy": "1"}
    assert changed(before, now) == {
        "packages.numpy": (before["packages"]["numpy"], "1"),
        "variables.MKL_CBWR": (None, "COMPATIBLE"),
        "cpu": (before["cpu"], "another"),
    }
    with pytest.raises(ConfigError, match=r"packages\.numpy.*--elsewhere"):
        refuse_changes(before, now, folder=tmp_path)
    # Another processor with the same instructions is only reported.
    assert refuse_changes(before, before | {"cpu": "another"}, folder=tmp_path).keys() == {"cpu"}


def test_a_run_is_not_resumed_with_other_versions(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run")
    rewrite(folder, lambda row: row.update(torch="2.0.0"))
    with pytest.raises(ConfigError, match=r"torch.*2\.0\.0 -> .*--elsewhere"):
        session.resume(folder.path)
    with pytest.warns(UserWarning, match=r"torch 2\.0\.0 -> "):
        report = session.resume(folder.path, elsewhere=True)
    assert report.complete
    written = json.loads((folder.path / "report.json").read_text())["numerics"]
    assert [row["torch"] for row in written] == ["2.0.0", torch.__version__]


def test_a_default_number_of_threads_is_restored(tmp_path: Path) -> None:
    # A comparison's runs are compared by their settings, which hold no number of threads.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        trainer = session.Trainer(
            session.make_config(SETTINGS),
            RunFolder(tmp_path / "run"),
            watch=lambda update: trainer.stop(),
        )
        trainer.folder.create(trainer.config.to_mapping())
        assert trainer.config.threads == 0 and not trainer.run()
        torch.set_num_threads(2)
        seen: set[int] = set()
        report = session.resume(
            tmp_path / "run", watch=lambda update: seen.add(torch.get_num_threads())
        )
        assert report.complete and seen == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert [row["threads"] for row in report.numerics] == [1]
