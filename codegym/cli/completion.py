"""``codegym completion``: prints what makes a shell complete commands, options and names."""

import click
from click.shell_completion import get_completion_class

from codegym.errors import UnknownNameError

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_CODEGYM_COMPLETE"


@click.command()
@click.argument("shell")
def command(shell: str) -> None:
    """Print a script for bash, zsh or fish that completes codegym's commands and options.

    Write it to where the shell looks: for bash to
    ~/.local/share/bash-completion/completions/codegym, for zsh to _codegym in a folder of $fpath,
    for fish to ~/.config/fish/completions/codegym.fish.
    """
    if shell not in SHELLS:
        raise UnknownNameError("shell", shell, SHELLS)
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    assert kind is not None
    click.echo(kind(root, {}, "codegym", VARIABLE).source())
