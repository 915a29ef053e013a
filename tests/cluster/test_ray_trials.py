"""Runs of a comparison as Ray tasks: the same bits as here, also where a node is lost.

Slow tests; they need Ray.
"""

import threading
import time

import pytest

from codegym.bench.small_cluster import add_node
from codegym.training.comparison_run import train_or_read
from codegym.training.trials import Trial, TrialCluster
from tests.cluster.ray_cluster import kill_raylet, wait_for_nodes
from tests.cluster.test_ray_training import SETTINGS, numbers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
pytest.importorskip("ray", reason="Ray is not installed (extra ray)")


def trials(folder):
    """Return a start and two arms from it."""
    start = Trial(label="start", seed=1, folder=folder / "start", settings=SETTINGS | {"seed": 1})
    settings = SETTINGS | {"seed": 1, "policy": str(start.folder / "checkpoint")}
    arms = [
        Trial(
            label=agent,
            seed=1,
            folder=folder / agent,
            settings=settings
            | {"agent": agent, "agent_settings": {"tasks": 8, "samples": 4}, "updates": 6},
            start=start.folder,
        )
        for agent in ("rft", "rloo")
    ]
    return [start, *arms]


def test_trials_on_a_cluster_that_loses_a_node_have_the_bits_of_local_trials(two_nodes, tmp_path):
    here, there = trials(tmp_path / "here"), trials(tmp_path / "there")
    node = add_node(two_nodes)
    wait_for_nodes(3)
    killed = threading.Event()

    def kill() -> None:
        while not any((trial.folder / "metrics.jsonl").exists() for trial in there[1:]):
            time.sleep(0.05)
        kill_raylet(node)
        killed.set()

    threading.Thread(target=kill, daemon=True).start()
    cluster = TrialCluster("auto?cpus=0.5")
    try:
        cluster.train(there)
    finally:
        cluster.close()
    assert killed.wait(60)
    two_nodes.remove_node(node)
    for trial in here:
        # The settings hold the folder of the start.
        train_or_read(trial.folder, trial.settings)
    for mine, theirs in zip(here, there, strict=True):
        assert numbers(mine.folder) == numbers(theirs.folder), mine.label
