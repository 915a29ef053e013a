"""Runs of a comparison that are spread over a cluster; nothing here needs Ray."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

import pytest

from codegym.cluster.task_runner import LostPieceError, TaskRunner
from codegym.errors import ClusterError, ConfigError
from codegym.training.trials import Trial, TrialCluster, train_on_node


class Threads:
    """Runs pieces in threads of this process, and keeps the order in which they begin."""

    def __init__(self, room=2):
        self.room, self.begun, self.most = room, [], 0
        self._pool = ThreadPoolExecutor(8)
        self._open = set()
        self.cancelled = []

    def capacity(self):
        return self.room

    def submit(self, work, piece):
        self.begun.append(piece)
        future = self._pool.submit(work, piece)
        self._open.add(future)
        self.most = max(self.most, len(self._open))
        return future

    def wait(self, references, timeout_s):
        return list(wait(references, timeout_s, return_when="FIRST_COMPLETED").done)

    def get(self, reference):
        self._open.discard(reference)
        return reference.result()

    def cancel(self, reference):
        self.cancelled.append(reference)

    def close(self):
        self._pool.shutdown()


def twice(number):
    return 2 * number


def test_every_piece_runs_once_after_what_it_needs():
    backend = Threads()
    finished = []
    found = TaskRunner(backend).run(
        twice,
        {number: number for number in range(6)},
        {3: 5, 0: 4},
        done=lambda key, result: finished.append(key),
    )
    assert found == {number: 2 * number for number in range(6)}
    assert sorted(backend.begun) == list(range(6))
    assert finished.index(5) < finished.index(3) and finished.index(4) < finished.index(0)
    assert backend.most <= 3


def test_no_piece_begins_after_the_budget():
    backend, left = Threads(room=0), [True, True, False]
    found = TaskRunner(backend).run(
        twice, {number: number for number in range(6)}, {}, go_on=lambda: left.pop(0)
    )
    assert found == {0: 0, 1: 2} and backend.begun == [0, 1]


def lose(number):
    if number == 1:
        raise LostPieceError("node died")
    return number


def test_a_piece_that_loses_every_node_is_an_error():
    with pytest.raises(ClusterError, match="lost its nodes"):
        TaskRunner(Threads()).run(lose, {number: number for number in range(3)}, {})


def test_pieces_under_way_are_asked_to_save_themselves_after_a_signal():
    backend = Threads(room=3)

    def interrupt(key, result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TaskRunner(backend).run(
            twice, {number: number for number in range(9)}, {8: 0}, done=interrupt
        )
    assert len(backend.begun) < 9


SETTINGS = {
    "agent": "rft",
    "updates": 2,
    "warm_start_programs": 0,
    "tasks": "composites?domain=small&depth=1&size=16",
    "eval_tasks": "composites?domain=small&depth=2&size=8&split=test",
    "eval_count": 4,
    "curve_count": 4,
    "curve_points": 1,
    "max_new_tokens": 16,
    "guard": False,
    "track": "none",
    "agent_settings": {"tasks": 4, "samples": 2},
}


def test_trials_are_trained_after_their_starts_and_then_read(tmp_path):
    backend = Threads(room=1)
    first = Trial(label="start", seed=0, folder=tmp_path / "start", settings=SETTINGS)
    settings = SETTINGS | {"policy": str(tmp_path / "start" / "checkpoint")}
    later = Trial(
        label="arm", seed=0, folder=tmp_path / "arm", settings=settings, start=first.folder
    )
    shown = []
    cluster = TrialCluster("", runner=TaskRunner(backend))
    watch = partial(lambda text, share: shown.append((text, share)))
    cluster.train([later, first], watch=watch)
    assert [errand.trial.label for errand in backend.begun] == ["start", "arm"]
    assert shown == [("start, seed 0 (1 of 2)", 0.5), ("arm, seed 0 (2 of 2)", 1.0)]
    before = (tmp_path / "arm" / "metrics.jsonl").read_bytes()
    cluster.train([later, first])
    assert (tmp_path / "arm" / "metrics.jsonl").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[1:7] == "shared") == []


def test_a_folder_that_a_node_does_not_share_is_refused(tmp_path):
    class Elsewhere(Threads):
        def submit(self, work, piece):
            os.unlink(piece.witness)
            return super().submit(work, piece)

    trial = Trial(label="start", seed=0, folder=tmp_path / "start", settings=SETTINGS)
    with pytest.raises(ConfigError, match="not shared with the node"):
        TrialCluster("", runner=TaskRunner(Elsewhere())).train([trial])
    assert not (tmp_path / "start").exists() and train_on_node
