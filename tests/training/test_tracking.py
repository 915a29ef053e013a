"""Trackers: the calls each makes, what is missing, and the real packages where they stand."""

import json
import sys
import types
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from codegym.errors import MissingExtraError, UnknownNameError
from codegym.training.tracking import Trackers, require_trackers, tracker_names


class Fake(types.ModuleType):
    """Stands in for wandb and trackio, and writes down how it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        self.calls: list[tuple[str, Any]] = []

    def init(self, **settings: Any) -> "Fake":
        self.calls.append(("init", settings))
        return self

    def log(self, row: dict[str, float], step: int) -> None:
        self.calls.append(("log", (step, row)))

    def finish(self) -> None:
        self.calls.append(("finish", None))


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Fake]:
    made = {name: Fake(name) for name in ("wandb", "trackio")}
    for name, fake in made.items():
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    return made


def test_every_tracker_is_told_the_same(fakes: dict[str, Fake], tmp_path: Path) -> None:
    folder = tmp_path / "rft-0"
    folder.mkdir()
    trackers = Trackers("wandb,trackio", folder, config={"lr": 0.1}, step=0)
    trackers.log({"rft/loss": 1.5}, 256)
    trackers.close()
    for fake in fakes.values():
        assert [name for name, _ in fake.calls] == ["init", "log", "finish"]
        assert fake.calls[0][1]["name"] == "rft-0" and fake.calls[0][1]["project"] == "codegym"
        assert fake.calls[1][1] == (256, {"rft/loss": 1.5})
    told = fakes["wandb"].calls[0][1]
    assert told["dir"] == str(folder) and told["config"] == {"lr": 0.1}
    # A resumed run goes on under the id of the first.
    Trackers("wandb", folder, config={}, step=256).close()
    assert fakes["wandb"].calls[-2][1]["id"] == told["id"]


def test_names() -> None:
    assert tracker_names("tensorboard, wandb,tensorboard") == ["tensorboard", "wandb"]
    assert tracker_names("none") == tracker_names("") == []
    with pytest.raises(UnknownNameError, match="'wandb'"):
        tracker_names("tensorboard,wanb")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codegym.training.tracking.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"trackio is not installed.*\[trackio\]"):
        require_trackers("trackio")


def test_tensorboard_writes_events_that_can_be_read(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trackers = Trackers("tensorboard", tmp_path, config={}, step=0)
    trackers.log({"rft/loss": 1.5}, 10)
    trackers.log({"rft/loss": 0.5}, 20)
    trackers.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("rft/loss")] == [
        (10, 1.5),
        (20, 0.5),
    ]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is an extra")
@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_keeps_its_files_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    trackers = Trackers("wandb", tmp_path, config={"lr": 0.1}, step=0)
    trackers.log({"rft/loss": 1.5}, 256)
    trackers.close()
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is an extra")
@pytest.mark.filterwarnings("ignore")
def test_trackio_keeps_its_database_in_the_run(tmp_path: Path) -> None:
    import subprocess

    code = (
        "from pathlib import Path; from codegym.training.tracking import Trackers;"
        f"t = Trackers('trackio', Path({str(tmp_path)!r}), config={{'lr': 0.1}}, step=0);"
        "t.log({'rft/loss': 1.5}, 256); t.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "trackio").rglob("*.db")), json.dumps(done.stdout)
