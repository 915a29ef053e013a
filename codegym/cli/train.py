"""``codegym train``: a warm start, reinforcement learning, and a report in a run folder."""

import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from codegym.errors import ConfigError, UnknownNameError
from codegym.measuring.output import Output, with_output
from codegym.measuring.run_report import departure_lines
from codegym.settings import env_args
from codegym.training.interrupts import Interrupted, explained


class _Watcher:
    """Shows a run: a live bar on a terminal, a line now and then elsewhere; with -v all updates."""

    def __init__(self, output: Output) -> None:
        self._console = console = output.notes
        self._output = output
        self._bars: dict[str, TaskID] = {}
        self._shown = -1
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%  {task.fields[text]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __call__(self, update: Any) -> None:
        text = _line(update)
        # A terminal that is gone must not end the run before it is saved.
        with suppress(OSError):
            self._show(update, text)

    def _show(self, update: Any, text: str) -> None:
        if self._output.verbose:
            figures = "  ".join(f"{name} {value:.4g}" for name, value in update.metrics.items())
            self._output.detail(f"{update.phase} {update.progress:.1%}  {figures}")
            return
        if self._console.is_terminal:
            if update.phase not in self._bars:
                self._bars[update.phase] = self.progress.add_task(update.phase, total=1.0, text="")
            self.progress.update(self._bars[update.phase], completed=update.progress, text=text)
            return
        tenth = int(update.progress * 10)
        if tenth != self._shown:
            self._shown = tenth
            self._console.print(f"{update.phase:<12} {update.progress:4.0%}  {text}")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar; a terminal that is gone does no harm."""
        with suppress(OSError):
            self.progress.start()
        try:
            yield
        finally:
            with suppress(OSError):
                self.progress.stop()


@click.command()
@click.option("--preset", help="Begin from a named set of settings: demo.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Begin from a YAML file with the keys of a run's config.yaml.",
)
@click.option("--agent", help="Learning agent (codegym list agents).")
@click.option(
    "--agent-preset", help="Its named settings: small, paper, ...; auto chooses by the policy."
)
@click.option(
    "--policy",
    help="gpt:tiny, gpt:small@512 (with a context of 512 tokens), ... or a checkpoint's folder.",
)
@click.option(
    "--engine",
    help="What writes the programs of an hf policy: transformers, vllm://HOST:PORT, "
    "sglang://HOST:PORT.  [default: this process]",
)
@click.option("--tokenizer", help="Tokenizer of a new policy.")
@click.option(
    "--words",
    type=click.IntRange(min=0),
    help="Words of a new policy's vocabulary, from the training tasks; 0 keeps the shipped one.",
)
@click.option("--env", help="Id of the environment, such as CodeGym/Repair-v0.")
@click.option(
    "--env-arg",
    "env_assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="An argument of the environment: turns=3.",
)
@click.option("--num-envs", type=int, help="Sub-envs of an environment that is stepped.")
@click.option("--tasks", help="URI of the training tasks, or 0.7*URI + 0.3*URI.")
@click.option("--eval-tasks", help="URI of the held-out tasks.")
@click.option("--task-sampler", help="How training tasks are drawn: uniform, success, curriculum.")
@click.option(
    "--prefix-curriculum",
    help="Begin programs with a part of the solution: none, success, progress.",
)
@click.option("--reward", help="Name or expression, such as 0.8*pass_rate+0.2*coderl.")
@click.option("--minutes", type=float, help="Budget: minutes of training, evaluation left out.")
@click.option("--updates", type=int, help="Budget: updates of the agent.")
@click.option("--programs", type=int, help="Budget: programs written.")
@click.option(
    "--ahead", type=int, help="Updates whose programs are begun before learning from these."
)
@click.option("--warm-start-programs", type=int, help="Demonstrations to learn from first.")
@click.option("--warm-start-minutes", type=float, help="The same as minutes of training.")
@click.option("--max-new-tokens", type=int, help="Longest program in tokens.")
@click.option(
    "--grammar/--no-grammar",
    default=None,
    help="Write only programs that are valid Python, in training and evaluation.",
)
@click.option("--eval-count", type=int, help="Held-out tasks of the first and last evaluation.")
@click.option(
    "--eval-samples", type=int, help="Programs sampled per held-out task, beside the greedy one."
)
@click.option("--eval-seed", type=int, help="Seed of the evaluations' sampling; -1 takes --seed.")
@click.option("--curve-count", type=int, help="Held-out tasks of each evaluation in between.")
@click.option("--curve-points", type=int, help="Evaluations in between.")
@click.option("--patience", type=int, help="Evaluations in between without a new best; 0 for all.")
@click.option("--seed", type=int, help="Seed of everything that is drawn.")
@click.option("--isolation", help="Sandbox isolation: auto, namespace, landlock, unsafe, ray.")
@click.option("--workers", type=int, help="Number of sandbox workers; 0 chooses automatically.")
@click.option(
    "--ray",
    is_flag=False,
    flag_value="auto",
    metavar="[ADDRESS]",
    help="Write and grade the programs on a Ray cluster: auto (the running one), local, HOST:PORT, "
    "ray://HOST:PORT; options as auto?actors=2. Changes no number. Needs the extra ray.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the agent (lr=1e-4), of the warm start (warm_start.lr=1e-3) or of the "
    "guard (guard.max_kl=2).",
)
@click.option("--track", help="tensorboard, wandb, trackio; several with commas, or none.")
@click.option("--guard/--no-guard", default=None, help="Stop a run whose policy collapses.")
@click.option(
    "--keep-programs", help="Programs of training that are kept: none, all, failed, N an update."
)
@click.option(
    "--compress-programs/--no-compress-programs",
    default=None,
    help="Compress them with zstd (extra: zstd; Python 3.14 has its own).",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Number of torch's threads in each process."
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Processes that share writing, grading and learning, such as one a core.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The run's folder [default: runs/AGENT-SEED].",
)
@click.option(
    "--dry-run", is_flag=True, help="Show the settings and what would be done; do nothing."
)
@click.option("--overwrite", is_flag=True, help="Replace a run that is already in the folder.")
@click.option(
    "--resume",
    type=click.Path(file_okay=False, path_type=Path),
    help="Continue the run in this folder with its own settings, threads included; another "
    "option than --good and --elsewhere is refused.",
)
@click.option(
    "--good",
    is_flag=True,
    help="With --resume: go on from the last good checkpoint; --set and --no-guard may be given.",
)
@click.option(
    "--elsewhere",
    is_flag=True,
    help="With --resume: go on although versions or the processor differ from the run's; numbers "
    "may then differ from the unbroken run's, and the report says what changed.",
)
@with_output
def command(
    preset: str | None,
    config_file: Path | None,
    assignments: tuple[str, ...],
    env_assignments: tuple[str, ...],
    out: Path | None,
    dry_run: bool,
    overwrite: bool,
    resume: Path | None,
    good: bool,
    elsewhere: bool,
    output: Output,
    **settings: Any,
) -> None:
    """Train a policy: warm start, reinforcement learning from unit tests, evaluation.

    Ctrl-C, SIGTERM and SIGHUP save the run after the update under way and end it, with exit code
    128 + the signal's number; --resume continues it. A second signal ends it at once.
    """
    with output.notes.status("loading torch"):
        from codegym.training import session
    given = {name: value for name, value in settings.items() if value is not None}
    if env_assignments:
        given["env_args"] = env_args(env_assignments)
    watcher = _Watcher(output)
    if resume is None:
        _refuse_without_resume({"--good": good, "--elsewhere": elsewhere})
        config = session.make_config(_merge(preset, config_file, given, assignments))
        if not dry_run and session.follow_launch(config, out):
            return
        _announce(output, config, session.departures_of(config))
        if dry_run:
            trainer = session.prepare(config, out)
            _show(trainer.config, trainer.folder.path, output)
            return
        with watcher.shown(), _resumable(session.run_path(config, out)):
            report = session.train(config, out=out, overwrite=overwrite, watch=watcher)
    else:
        changed = {name: value for name, value in given.items() if name == "guard"} if good else {}
        others: dict[str, Any] = {"preset": preset, "config": config_file, "out": out}
        others |= {"dry_run": dry_run, "overwrite": overwrite}
        others["set"] = () if good else assignments
        _refuse_with_resume(
            {*(given.keys() - changed), *(name for name, value in others.items() if value)}
        )
        if session.follow_launch(None, resume=resume):
            return
        with watcher.shown(), _resumable(resume):
            report = session.resume(
                resume,
                good=good,
                elsewhere=elsewhere,
                watch=watcher,
                change=lambda kept: _assign(kept | changed, assignments),
            )
    if not report.complete:
        with _resumable(report.folder):
            output.document(report.to_json())
            raise Interrupted(report.stopped_by)
    _write(report, output)


def _refuse_without_resume(options: Mapping[str, bool]) -> None:
    for option, chosen in options.items():
        if chosen:
            raise ConfigError(
                f"{option} goes with --resume", value=option, cure=f"--resume FOLDER {option}"
            )


def _refuse_with_resume(names: Iterable[str]) -> None:
    if refused := sorted("--" + name.replace("_", "-") for name in names):
        raise ConfigError(
            "--resume takes no other setting",
            value=refused,
            expected="the settings in the run's own config.yaml",
            cure="leave them out; after a collapse, --good allows --set and --no-guard",
        )


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Say of a signal that the run's checkpoint can be gone on with, if there is one."""
    from codegym.training.interrupts import StoppedTrainingWarning
    from codegym.training.run_folder import RunFolder

    def saved() -> str:
        checkpoint = RunFolder(folder).checkpoint
        return f"the checkpoint in {checkpoint}" if checkpoint.is_dir() else ""

    again = shlex.join(["codegym", "train", "--resume", str(folder)])
    with explained(saved, again), warnings.catch_warnings():
        # The command says the same in its own way.
        warnings.simplefilter("ignore", StoppedTrainingWarning)
        yield


def _announce(output: Output, config: Any, departures: Mapping[str, Any]) -> None:
    """Write which preset was chosen, and which settings differ from the paper's."""
    reward = config.reward or "of the environment"
    lines = [f"{config.agent}, preset {config.agent_preset}, reward {reward}"]
    lines += [f"  {line}" for line in departure_lines(departures)]
    for line in lines:
        output.notes.print(line, highlight=False, markup=False)


def _show(config: Any, folder: Path, output: Output) -> None:
    """Write a run's settings as its config.yaml would hold them, and its phases."""
    import yaml

    from codegym.training.config import phases_of

    output.document(config.to_mapping() | {"folder": str(folder)})
    output.line(yaml.safe_dump(config.to_mapping(), sort_keys=False).rstrip("\n"))
    for phase in phases_of(config):
        budget = next(
            f"{getattr(phase, name):g} {name}"
            for name in ("minutes", "updates", "programs")
            if getattr(phase, name)
        )
        output.line(f"# {phase.name}: {phase.agent}, preset {phase.preset}, {budget}")
    output.line(f"# folder: {folder}")


def _merge(
    preset: str | None,
    config_file: Path | None,
    given: Mapping[str, Any],
    assignments: tuple[str, ...],
) -> dict[str, Any]:
    """Lay the sources of settings over one another; later ones win."""
    from codegym.training.config import BUDGETS, PRESETS
    from codegym.training.config_file import read_config_file

    merged: dict[str, Any] = {}
    if preset is not None:
        if preset not in PRESETS:
            raise UnknownNameError("preset", preset, PRESETS)
        merged |= PRESETS[preset]
    if config_file is not None:
        merged |= read_config_file(config_file)
    if any(name in given for name in BUDGETS):
        merged = {name: value for name, value in merged.items() if name not in BUDGETS}
    given = dict(given)
    if engine := given.pop("engine", None):
        given["policy"] = _with_engine(given.get("policy", merged.get("policy", "")), engine)
    if "env_args" in given:
        given = {**given, "env_args": {**merged.get("env_args", {}), **given["env_args"]}}
    return _assign({**merged, **given}, assignments)


def _with_engine(policy: str, engine: str) -> str:
    """Return the name of an hf policy with an engine that writes for it.

    Raises:
        ConfigError: The policy is no new hf policy, which alone takes an engine.
    """
    from codegym.policies.hf.engine_names import make_engine
    from codegym.policies.variant import with_option

    if not policy.startswith("hf:"):
        raise ConfigError(
            "--engine goes with an hf policy", value=policy, expected="--policy hf:FOLDER"
        )
    make_engine(engine)
    return with_option(policy, "engine", engine)


def _assign(settings: Mapping[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """Lay ``KEY=VALUE`` over settings; ``warm_start.KEY`` and ``guard.KEY`` have their own groups.

    Raises:
        ConfigError: An assignment without a value.
    """
    from codegym.training.config import GROUPS

    merged = dict(settings)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError("--set needs a value", value=assignment, expected="KEY=VALUE")
        head, dot, rest = key.partition(".")
        group, key = (f"{head}_settings", rest) if dot else ("agent_settings", key)
        if group not in GROUPS:
            heads = [name.removesuffix("_settings") for name in GROUPS]
            raise UnknownNameError("group of settings", head, heads)
        merged[group] = {**merged.get(group, {}), key: value}
    return merged


def _line(update: Any) -> str:
    metrics = update.metrics
    parts = [
        f"{name} {metrics[key]:.3f}"
        for name, key in (("loss", "loss"), ("pass", "pass_rate"))
        if key in metrics
    ]
    return "  ".join([*parts, f"{update.programs_per_s:.0f} programs/s"])


def _write(report: Any, output: Output) -> None:
    """Write the table of a complete run, and where its files are."""
    from codegym.measuring.run_report import notes, table

    output.document(report.to_json())
    output.table("summary", table(report.summary, agent=report.config.agent))
    for line in (*notes(report.summary), *departure_lines(report.departures)):
        output.line(line)
    output.remark(
        f"report  {report.folder / 'report.json'}\nplot    {report.folder / 'learning_curve.png'}\n"
        f"policy  {report.checkpoint}\npage    codegym show {report.folder}"
    )
