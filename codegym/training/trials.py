"""Trials: the runs of a comparison, trained on the nodes of a cluster before they are read.

A node trains a run as ``train_or_read`` does here, in the same folder, which all nodes share. So a
comparison then finds its runs finished and reads them: what it shows is that of a comparison
without a cluster, to the last bit where budgets are programs or updates.
"""

import os
import socket
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codegym.cluster.entrances import ray_runner
from codegym.cluster.task_runner import TaskRunner
from codegym.errors import CodegymError, ConfigError
from codegym.training.comparison_run import ComparisonRun, train_or_read
from codegym.training.interrupts import Interrupted

STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A run of a comparison.

    Attributes:
        label, seed: Of the run.
        folder: Its folder.
        settings: Its settings, as ``TrainConfig`` takes them.
        start: The folder of the run from whose policy it begins; None if there is none.
    """

    label: str
    seed: int
    folder: Path
    settings: Mapping[str, Any]
    start: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errand:
    """A trial on its way to a node.

    Attributes:
        trial: The trial.
        place: Working folder of the driver, from which relative paths lead.
        witness: A file of the driver's that a shared folder holds.
        threads: Number of torch's threads, which decides how sums are rounded.
    """

    trial: Trial
    place: str
    witness: str
    threads: int


class TrialCluster:
    """Trains trials on a Ray cluster.

    Args:
        spec: ``ADDRESS[?key=value&...]``; see ``codegym.cluster.cluster_address.TrialOptions``.
        runner: Runs them instead of Ray; for tests.

    Raises:
        UnknownNameError, ConfigError: An option does not exist, or cannot be used.
        MissingExtraError: Ray is not installed.
        ClusterError: No cluster answers.
    """

    def __init__(self, spec: str, *, runner: TaskRunner | None = None) -> None:
        self._runner = runner or ray_runner(spec)

    def train(
        self,
        trials: Sequence[Trial],
        *,
        watch: Callable[[str, float], None] | None = None,
        go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Train trials side by side, each after its start; finished ones end at once.

        Args:
            trials: The trials, in the order in which they are begun.
            watch: Called with a text and the share of trials that are finished.
            go_on: Called before each trial; False begins no more.

        Raises:
            ConfigError: The folder of the runs is not shared with a node.
            ClusterError: A trial lost its nodes too often.
            CodegymError: What stopped a trial.
        """
        if not trials:
            return
        parent = trials[0].folder.parent
        parent.mkdir(parents=True, exist_ok=True)
        witness = parent / f".shared-{os.getpid()}-{socket.gethostname()}"
        witness.touch()
        keys = {trial.folder: trial for trial in trials}
        needs: dict[Hashable, Hashable] = {
            trial.folder: trial.start for trial in trials if trial.start in keys and trial.start
        }
        count = 0

        def done(key: Any, found: Any) -> None:
            nonlocal count
            if isinstance(found, CodegymError):
                raise found
            count += 1
            if watch is not None:
                trial = keys[key]
                text = f"{trial.label}, seed {trial.seed} ({count} of {len(trials)})"
                watch(text, count / len(trials))

        import torch

        try:
            errands: dict[Hashable, _Errand] = {
                folder: _Errand(
                    trial=trial,
                    place=os.getcwd(),
                    witness=str(witness.resolve()),
                    threads=torch.get_num_threads(),
                )
                for folder, trial in keys.items()
            }
            self._runner.run(train_on_node, errands, needs, go_on=go_on, done=done)
        finally:
            witness.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up the connection to the cluster."""
        self._runner.close()


def train_on_node(errand: _Errand) -> CodegymError | str:
    """Train a trial, continue it, or find it finished; return an error instead of raising it.

    A trial that was lost with its node goes on from its last checkpoint.
    """
    # What says which trials there are is imported without torch.
    import torch

    from codegym.training.run_folder import RunFolder

    before = os.getcwd()
    try:
        if not os.path.exists(errand.witness):
            raise ConfigError(
                f"the folder of the runs is not shared with the node {socket.gethostname()}",
                value=str(Path(errand.witness).parent),
                cure="put --out on a file system that all nodes mount at the same path",
            )
        os.chdir(errand.place)
        torch.set_num_threads(errand.threads)
        trial = errand.trial
        start = None
        if trial.start is not None:
            start = ComparisonRun("", trial.seed, list(RunFolder(trial.start).rows("curve")))
        train_or_read(trial.folder, trial.settings, start=start)
    except CodegymError as error:
        return error
    except Interrupted:
        return STOPPED
    finally:
        os.chdir(before)
    return ""
