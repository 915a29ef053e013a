"""The command line: one file per command, imported when it is called."""

import importlib
import os
import sys
import traceback
from typing import Any

import click

from codegym.cli.click_errors import translated
from codegym.errors import CodegymError, MissingExtraError, UnknownNameError
from codegym.training.interrupts import Interrupted, raising_on_signals
from codegym.version import __version__

COMMANDS = {
    "train": "Train a policy: warm start, reinforcement learning, evaluation.",
    "eval": "Measure pass@k of a checkpoint on a task source.",
    "show": "Write a page of a run, of programs, or of several runs.",
    "verify": "Judge the programs that a run kept again.",
    "grade": "Run programs against their tests in the sandbox.",
    "serve": "Serve the grader over HTTP.",
    "synthesize": "Show or write tasks composed from atomic functions.",
    "mine": "Make tasks from the functions of real Python code.",
    "check": "Run the conformance suite of a plug-in.",
    "list": "List what is registered.",
    "new": "Write a package with a plug-in, to change.",
    "completion": "Print what makes a shell complete commands and options.",
    "doctor": "Say what this machine can isolate, and how to mend it.",
    "reproduce": "Run an ablation of a paper and compare its sign.",
    "bench": "Measure the performance claims as ratios taken in one run.",
}


class LazyGroup(click.Group):
    """A click group whose commands are modules of a package, imported at use.

    Args:
        package: Where the modules stand; ``grade`` is ``<package>.grade:command``.
        table: Command name -> one line of help.
        modules: Command name -> module, where it is not the command's own name.
    """

    def __init__(
        self,
        *,
        package: str,
        table: dict[str, str],
        modules: dict[str, str] | None = None,
        **rest: object,
    ) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self._package, self._table, self._modules = package, table, modules or {}

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return [*self._table]  # `list` is a module of this package

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import one command.

        Raises:
            UnknownNameError: No such command; names the nearest.
        """
        if name not in self._table:
            raise UnknownNameError("command", name, self._table)
        module = importlib.import_module(f"{self._package}.{self._modules.get(name, name)}")
        command: click.Command = module.command
        return command

    def invoke(self, context: click.Context) -> Any:
        """Import and run a command.

        Raises:
            MissingExtraError: The command needs an optional package that is not installed.
        """
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            missing = MissingExtraError.of(error)
            if missing is None:
                raise
            raise missing from error

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([*self._table.items()])


@click.group(
    cls=LazyGroup,
    package="codegym.cli",
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="codegym")
def root() -> None:
    """Code synthesis as a reinforcement-learning environment."""


def main() -> None:
    """Run the command line.

    An error of ours or of click is one clear message and exit code 2. A command that signal n ended
    says what was saved and how to go on, and exits with 128 + n.
    """
    try:
        with raising_on_signals():
            root.main(standalone_mode=False)
    except Interrupted as interrupted:
        _end(interrupted)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except (click.ClickException, CodegymError) as error:
        told = translated(error) if isinstance(error, click.ClickException) else error
        if {"-v", "--verbose"} & set(sys.argv):
            traceback.print_exception(error)
        click.echo(f"{type(told).__name__}: {told}", err=True)
        sys.exit(2)


def _end(interrupted: Interrupted) -> None:
    """Say what happened and exit.

    Raises:
        SystemExit: With 128 + the signal's number.
    """
    try:
        click.echo(interrupted.message, err=True)
    except OSError:
        # The terminal is gone. Python would end with another exit code if it could not flush.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for fd in (sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(nowhere, fd)
    sys.exit(interrupted.exit_code)


if __name__ == "__main__":
    main()
