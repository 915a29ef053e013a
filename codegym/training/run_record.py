"""Run record: writes down the metrics, evaluations and programs of a training run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codegym.measuring.evaluation import EvaluationReport, evaluate, held_out, reference_loss
from codegym.measuring.kept_programs import chosen, kept_row
from codegym.measuring.run_report import KINDS
from codegym.policy import Policy
from codegym.sandbox import Sandbox
from codegym.tasks.task import Task
from codegym.training.config import Phase, TrainConfig
from codegym.training.progress import Progress
from codegym.training.run_folder import RunFolder
from codegym.training.tracking import Trackers
from codegym.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What a watcher of a run sees after each update."""

    phase: str
    progress: float
    programs_per_s: float
    metrics: Mapping[str, float]


class RunRecord:
    """What a run leaves in its folder beside the checkpoints, and shows to trackers.

    Args:
        config: Settings of the run.
        folder: The run's folder.
        sandbox: Where programs run.
        env: The environment of the evaluations.
        tasks: URI of the training tasks.
        watch: Called after each update.
        before: The evaluation before training, where an earlier run has made it.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        *,
        sandbox: Sandbox | None,
        env: Any,
        tasks: str = "",
        watch: Callable[[Update], None] | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        self._config, self._folder = config, folder
        self._sandbox, self._env, self._tasks = sandbox, env, tasks
        self._watch, self._before = watch, before

    def track(self, step: int) -> Trackers:
        """Open the trackers of the settings; what they hold from ``step`` on is replaced."""
        self._trackers = Trackers(
            self._config.track, self._folder.path, config=self._config.to_mapping(), step=step
        )
        return self._trackers

    def measure(
        self, policy: Policy, phase: Phase, progress: Progress, moment: str, count: int
    ) -> dict[str, Any]:
        """Evaluate greedily and by sampling, append one line to the curve, and return it.

        Args:
            policy: Who writes.
            phase: The present phase.
            progress: How far it has come.
            moment: ``before``, ``curve`` or ``after``.
            count: Number of held-out tasks.
        """
        policy.module.eval()
        tasks = held_out(self._env, count)
        row: dict[str, Any] = {"moment": moment, "phase": phase.name}
        row |= {"programs": progress.total_programs, "train_s": progress.total_s}
        if moment == "before" and self._before is not None:
            row |= {name: self._before[name] for name in (*KINDS, "loss") if name in self._before}
        else:
            for kind in KINDS:
                report = self._evaluate(policy, tasks, count, greedy=kind == "greedy")
                where: dict[str, Any] = {"moment": moment, "kind": kind, "phase": phase.name}
                where["programs_written"] = progress.total_programs
                self._folder.append_all("programs", [kept | where for kept in report.programs])
                # Without the rows of a full evaluation nobody could pair it with another.
                row[kind] = report.to_json(full=count == self._config.eval_count)
            loss = reference_loss(policy, self._env, (tasks or ())[: self._config.curve_count])
            if loss is not None:
                row["loss"] = loss
        shown = {f"held-out/{kind}": row[kind]["pass_at"]["1"]["mean"] for kind in KINDS}
        shown |= {
            f"held-out/{kind}_hidden_gap": row[kind]["hidden_gap"]["mean"]
            for kind in KINDS
            if row[kind].get("hidden_gap")
        }
        if "loss" in row:
            shown["held-out/loss"] = row["loss"]
        self._trackers.log(shown, progress.total_programs)
        self._folder.append("curve", row)
        return row

    def _evaluate(
        self, policy: Policy, tasks: Sequence[Task] | None, count: int, *, greedy: bool
    ) -> EvaluationReport:
        config = self._config
        return evaluate(
            policy,
            tasks,
            env=self._env,
            count=count,
            n=1 if greedy or tasks is None else config.eval_samples,
            deterministic=greedy,
            grammar=config.grammar,
            # The same draws at every moment: gains are compared pair by pair.
            seed=config.seed if config.eval_seed < 0 else config.eval_seed,
            name=config.eval_tasks or config.env,
            sandbox=self._sandbox,
        )

    def keep(self, phase: Phase, progress: Progress, episodes: Sequence[Trajectory]) -> None:
        """Write the programs of an update that the settings ask to keep."""
        rows = [
            kept_row(
                episode,
                sample=sample,
                seed=self._config.seed,
                tasks=self._tasks,
                phase=phase.name,
                update=progress.updates,
            )
            for sample, episode in enumerate(chosen(episodes, self._config.keep_programs))
        ]
        if rows:
            zstd = self._config.compress_programs
            self._folder.append_all("training_programs", rows, zstd=zstd)

    def log(self, phase: Phase, progress: Progress, metrics: Mapping[str, float]) -> None:
        """Write the metrics of an update, and show them to the trackers and the watcher."""
        row = {
            "phase": phase.name,
            "update": progress.updates,
            "programs": progress.programs,
            "train_s": round(progress.elapsed_s, 3),
        }
        self._folder.append("metrics", dict(metrics) | row)
        shown = {f"{phase.name}/{name}": value for name, value in metrics.items()}
        self._trackers.log(shown, progress.total_programs)
        if self._watch is not None:
            self._watch(
                Update(
                    phase=phase.name,
                    progress=progress.share(phase),
                    programs_per_s=metrics["programs_per_s"],
                    metrics=metrics,
                )
            )
