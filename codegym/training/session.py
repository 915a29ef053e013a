"""Session: one call trains a policy in a folder, or continues a run, and returns its report."""

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from codegym import registry
from codegym.cluster.entrances import connected
from codegym.errors import ConfigError
from codegym.learning.agent import departures
from codegym.measuring.run_report import plot, summarise
from codegym.training.config import TrainConfig, agent_config, phases_of
from codegym.training.interrupts import StoppedTrainingWarning, stop_message
from codegym.training.launched import (
    launch_rank,
    launch_size,
    launch_team,
    leave_signals_to_the_leader,
)
from codegym.training.run_folder import RunFolder
from codegym.training.run_record import Update
from codegym.training.trainer import Trainer
from codegym.version import __version__

Watch = Callable[[Update], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """What a training run showed.

    Attributes:
        folder: The run's folder; ``checkpoint`` in it holds the policy.
        config: The settings of the run.
        complete: False if the run was stopped and can be resumed.
        stopped_by: Number of the signal that stopped the run; 0 for none.
        summary: Held-out pass@1 before and after, with gains and intervals; see
            ``codegym.measuring.run_report.summarise``. None if the run was stopped.
        departures: Agent of each phase -> settings that differ from the paper's, each as
            (value, the paper's value).
        curve: One row for every evaluation.
        numerics: What the numbers depend on beside the settings; see
            ``codegym.measuring.numerics``. One record, and one more for each time that the run
            was resumed with other surroundings.
    """

    folder: Path
    config: TrainConfig
    complete: bool
    stopped_by: int
    summary: Mapping[str, Any] | None
    departures: Mapping[str, Mapping[str, tuple[Any, Any]]]
    curve: tuple[Mapping[str, Any], ...]
    numerics: tuple[Mapping[str, Any], ...]

    @property
    def checkpoint(self) -> Path:
        """Folder of the trained policy; ``codegym.make_policy`` opens it."""
        return self.folder / "checkpoint"

    @property
    def message(self) -> str:
        """How the run ended: complete, or what stopped it, what was saved and how to go on."""
        if self.complete:
            return f"complete; saved: {self.checkpoint}"
        saved = f"the checkpoint in {self.checkpoint}" if self.checkpoint.is_dir() else ""
        again = f"codegym.resume({str(self.folder)!r})" if saved else ""
        return stop_message(self.stopped_by, saved, again)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "summary": self.summary,
            "config": self.config.to_mapping(),
            "departures": {
                agent: {name: list(pair) for name, pair in settings.items()}
                for agent, settings in self.departures.items()
            },
            "versions": {
                "codegym": __version__,
                "torch": torch.__version__,
                "python": sys.version.split()[0],
            },
            "numerics": list(self.numerics),
            "curve": list(self.curve),
        }


def train(
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    watch: Watch | None = None,
    **settings: Any,
) -> TrainingReport:
    """Train a policy: warm start, reinforcement learning from unit tests, evaluation.

    Args:
        config: A ``TrainConfig``, or its settings as plain values; the defaults if None.
        out: The run's folder, ``runs/AGENT-SEED`` by default.
        overwrite: Replace a run that is in the folder.
        watch: Called after each update.
        settings: Settings by name; they win over ``config``.

    Returns:
        The report, which is also written to ``report.json``, with a plot beside it.

    Warns:
        StoppedTrainingWarning: Ctrl-C, SIGTERM or SIGHUP ended the run after the update under way.
            The report's ``complete`` is False; ``resume`` continues the run.

    Raises:
        UnknownNameError: A setting, or what it names, does not exist; holds the nearest name.
        ConfigError: A setting's value cannot be used, or the folder is in use.
        SandboxError: The sandbox broke.
        ClusterError: No Ray cluster answers, or it has lost all its nodes.
        TrainingDivergedError: The policy collapsed; the last good checkpoint is kept.

    Example::

        report = codegym.train(agent="grpo", minutes=2, seed=1)
        policy = codegym.make_policy(report.checkpoint)
    """
    trainer = prepare(make_config(config, **settings), out, watch=watch)
    _refuse_follower()
    # A start that fails leaves no folder behind, and with ``overwrite`` the old run in it.
    trainer.folder.check_free(overwrite=overwrite)
    with connected(trainer.config.ray):
        trainer.rehearse()
        trainer.folder.create(trainer.config.to_mapping(), overwrite=overwrite)
        return _finish(trainer, complete=trainer.run())


def prepare(
    config: TrainConfig, out: str | Path | None = None, *, watch: Watch | None = None
) -> Trainer:
    """Return the trainer of a run, with every name looked up and nothing written.

    Raises:
        UnknownNameError, ConfigError: A setting names nothing, or cannot be used.
        MissingExtraError: A tracker's package is not installed.
    """
    config = _launched(config)
    if not config.threads:
        threads = max(1, torch.get_num_threads() // config.processes)
        config = replace(config, threads=threads)
    return Trainer(config, RunFolder(run_path(config, out)), watch=watch)


def run_path(config: TrainConfig, out: str | Path | None = None) -> Path:
    """Return the folder of a run: ``out``, or ``runs/AGENT-SEED``."""
    return Path(out) if out else Path("runs") / f"{config.agent}-{config.seed}"


def make_config(
    config: TrainConfig | Mapping[str, Any] | None = None, **settings: Any
) -> TrainConfig:
    """Make a run's config from a config or plain values, and further settings that win.

    Raises:
        UnknownNameError: A key that is no setting; names the nearest.
        ConfigError: A value of the wrong type, or not exactly one budget.
    """
    if isinstance(config, TrainConfig):
        if not settings:
            return config
        config = config.to_mapping()
    return TrainConfig.from_mapping({**(config or {}), **settings})


def resume(
    folder: str | Path,
    *,
    good: bool = False,
    elsewhere: bool = False,
    watch: Watch | None = None,
    change: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> TrainingReport:
    """Continue a run that was stopped, with the settings of its ``config.yaml``.

    Args:
        folder: The run's folder.
        good: Continue from the last good checkpoint instead, after a run has diverged.
        elsewhere: Continue although versions or the processor differ from those that the run was
            begun with; its numbers may then differ from the unbroken run's.
        watch: Called after each update.
        change: With ``good``: returns the settings with what is to be different from now on.

    Warns:
        StoppedTrainingWarning: As of ``train``.

    Raises:
        CheckpointError: No run is in the folder, or its checkpoint is damaged.
        ConfigError: Another process trains in the folder, settings change without ``good``, or
            versions or the processor differ and ``elsewhere`` is False.
        SandboxError, TrainingDivergedError: As of ``train``.
    """
    _refuse_follower()
    run = RunFolder(Path(folder))
    settings = run.read_config()
    changed = change(settings) if change else settings
    if changed != settings and not good:
        raise ConfigError(
            "a run is resumed with its own settings",
            value=sorted(name for name, value in changed.items() if settings.get(name) != value),
            cure="after a collapse, good=True allows other settings",
        )
    config = _launched(TrainConfig.from_mapping(changed), resume=True)
    trainer = Trainer(config, run, watch=watch)
    if changed != settings:
        run.write_config(config.to_mapping())
    return _finish(trainer, complete=trainer.run(resume=True, good=good, elsewhere=elsewhere))


def follow_launch(
    config: TrainConfig | None, out: str | Path | None = None, *, resume: Path | None = None
) -> bool:
    """Take part in a run whose leader is another process of the same launcher, to its end.

    Args:
        config: The settings, of a new run.
        out: The run's folder, of a new run.
        resume: The folder of a run that is continued.

    Returns:
        False if this process leads, or no launcher has started it: then nothing was done.
    """
    if launch_rank() == 0:
        return False
    leave_signals_to_the_leader()
    if resume is None:
        trainer = prepare(config or TrainConfig(), out)
    else:
        run = RunFolder(resume)
        trainer = Trainer(_launched(TrainConfig.from_mapping(run.read_config()), resume=True), run)
    with launch_team() as team:
        trainer.follow(team, resume=resume is not None)
    return True


def _launched(config: TrainConfig, *, resume: bool = False) -> TrainConfig:
    """Return settings with the launcher's number of processes, if there is a launcher.

    Raises:
        ConfigError: The settings ask for another number.
    """
    size = launch_size()
    if size == 1:
        return config
    if config.processes != size and (resume or config.processes > 1):
        raise ConfigError(
            "the launcher started another number of processes than the run has",
            value=size,
            expected=f"processes={config.processes}",
            cure="leave --processes to the launcher" if not resume else "launch as many as before",
        )
    return replace(config, processes=size)


def _refuse_follower() -> None:
    if launch_rank() > 0:
        raise ConfigError(
            "process 0 of a launcher leads the run",
            value=f"process {launch_rank()}",
            cure="launch codegym train, or call session.follow_launch in the other processes",
        )


def departures_of(config: TrainConfig) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Return, for the agent of each phase, the settings that differ from the paper's."""
    found = {}
    for phase in phases_of(config):
        agent_class = registry.get("agents", phase.agent)
        settings = agent_config(agent_class, phase, max_new_tokens=config.max_new_tokens)
        found[phase.agent] = departures(settings)
    return found


def _finish(trainer: Trainer, *, complete: bool) -> TrainingReport:
    """Return the report of a run; of a complete run also write it, with the plot."""
    config, folder = trainer.config, trainer.folder
    curve = tuple(folder.rows("curve"))
    report = TrainingReport(
        folder=folder.path,
        config=config,
        complete=complete,
        stopped_by=trainer.stopped_by,
        summary=summarise(curve) if complete else None,
        departures=departures_of(config),
        curve=curve,
        numerics=tuple(folder.rows("numerics")),
    )
    if complete:
        folder.write_report(report.to_json())
        title = f"{config.agent} from unit tests, seed {config.seed}"
        plot(curve, list(folder.rows("metrics")), folder.plot, title=title)
    else:
        # Level 3 is the line that called ``train`` or ``resume``.
        warnings.warn(report.message, StoppedTrainingWarning, stacklevel=3)
    return report
