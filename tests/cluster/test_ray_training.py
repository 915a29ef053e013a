"""Training whose programs are written and graded on a Ray cluster: the same bits as on one machine.

Slow tests; they need Ray.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from codegym.bench.small_cluster import add_node
from codegym.errors import ClusterError
from codegym.policies.checkpoint import load_policy
from codegym.training import session
from codegym.training.run_folder import RunFolder
from tests.cluster.ray_cluster import kill_raylet, wait_for_nodes, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(580),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
pytest.importorskip("ray", reason="Ray is not installed (extra ray)")

# A busy machine takes its time to start what imports torch.
RAY = "auto?start_s=400"
SETTINGS = {
    "agent": "grpo",
    "updates": 3,
    "warm_start_programs": 0,
    "tasks": "composites?domain=small&depth=1&size=64",
    "eval_tasks": "composites?domain=small&depth=2&size=16&split=test",
    "eval_count": 8,
    "curve_count": 4,
    "curve_points": 1,
    "max_new_tokens": 24,
    "guard": False,
    "track": "none",
    "threads": 1,
    # 200 programs are two calls of Policy.generate, so that both nodes write.
    "agent_settings": {"tasks": 50, "samples": 4},
}


def numbers(folder):
    """Return what a run drew, learnt and measured, without times."""
    run = RunFolder(Path(folder))
    rows = [
        {
            name: value
            for name, value in row.items()
            if not name.endswith("_s") and "share" not in name
        }
        for row in run.rows("metrics")
    ]
    # Evaluations in between hold no rows.
    curve = [
        [row[kind].get("rows", row[kind]["pass_at"]) for kind in ("greedy", "sampled")]
        for row in run.rows("curve")
    ]
    weights = load_policy(run.checkpoint).module.state_dict()
    return rows, curve, {name: tensor.numpy().tobytes() for name, tensor in weights.items()}


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_run_on_two_nodes_has_the_bits_of_a_local_run(ahead, two_nodes, tmp_path):
    here = session.train(SETTINGS, out=tmp_path / "here", ahead=ahead)
    there = session.train(SETTINGS, out=tmp_path / "there", ahead=ahead, ray=RAY)
    assert numbers(here.folder) == numbers(there.folder)
    lags = [row["sampling_lag_updates"] for row in RunFolder(there.folder).rows("metrics")]
    assert lags == [min(ahead, update) for update in range(3)]
    assert RunFolder(there.folder).read_config()["ray"] == RAY


def test_a_node_lost_in_mid_run_changes_no_bit(two_nodes, tmp_path):
    here = session.train(SETTINGS, out=tmp_path / "here")
    node = add_node(two_nodes)
    wait_for_nodes(3)
    updates = []

    def watch(update):
        updates.append(update)
        if len(updates) == 2:
            threading.Timer(0.2, kill_raylet, [node]).start()

    there = session.train(SETTINGS, out=tmp_path / "there", ray=RAY + "&actors=3", watch=watch)
    two_nodes.remove_node(node)
    assert numbers(here.folder) == numbers(there.folder)


DRIVER = """
import json, sys
from codegym.training import session
session.train(json.loads(sys.argv[1]), out=sys.argv[2])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_driver_is_resumed_to_the_same_bits(number, two_nodes, tmp_path):
    here = session.train(SETTINGS, out=tmp_path / "here", ahead=1)
    settings = SETTINGS | {"ray": two_nodes.address + "?start_s=400", "ahead": 1}
    folder = tmp_path / "there"
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, json.dumps(settings), str(folder)])
    log = folder / "metrics.jsonl"
    wait_until(
        lambda: log.exists() and log.read_text().count("\n") >= 1, "no update", timeout_s=200
    )
    driver.send_signal(number)
    driver.wait(100)
    assert not (folder / "report.json").exists()
    began = time.monotonic()
    there = session.resume(folder)
    assert there.complete and time.monotonic() - began < 300
    assert there.config.ray.startswith(two_nodes.address)
    assert numbers(here.folder) == numbers(there.folder)


def test_no_cluster_is_an_error_that_leaves_no_folder(tmp_path):
    code = (
        "import sys\n"
        "from codegym.errors import ClusterError\n"
        "from codegym.training import session\n"
        "try: session.train(ray='127.0.0.1:9', out=sys.argv[1])\n"
        "except ClusterError as error: print(error.message)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.stdout.strip() == "no Ray cluster answers", found.stderr[-500:]
    assert not (tmp_path / "run").exists() and ClusterError
