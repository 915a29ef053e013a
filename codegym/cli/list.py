"""``codegym list``: shows every plug-in by group."""

import inspect

import click
from rich.console import Console
from rich.table import Table

from codegym import registry
from codegym.errors import MissingExtraError, UnknownNameError


@click.command()
@click.argument("group", required=False)
def command(group: str | None) -> None:
    """List the registered plug-ins; with GROUP, describe those of the group.

    GROUP is one of agents, policies, rewards, samplers, sandboxes, sources, tokenizers. Listing all
    groups imports no plug-in.
    """
    console = Console()
    groups = registry.groups()
    if group is None:
        table = Table("group", "names", title="registered", title_justify="left")
        for name in groups:
            table.add_row(name, ", ".join(registry.names(name)))
        console.print(table)
        console.print("codegym list GROUP describes each of them.", style="dim")
        return
    if group not in groups:
        raise UnknownNameError("plug-in group", group, groups)
    table = Table("name", "what it is", "options", title=group, title_justify="left")
    for name in registry.names(group):
        table.add_row(name, *_describe(group, name))
    console.print(table)


def _describe(group: str, name: str) -> tuple[str, str]:
    """Return the first paragraph and the options of a plug-in."""
    try:
        target = registry.get(group, name)
    except MissingExtraError as error:
        return f"({error})", ""
    text = (inspect.getdoc(target) or "").strip().split("\n\n")[0].replace("\n", " ")
    if group == "agents":
        return text, "presets: " + ", ".join(target.presets)
    if group not in ("sources", "samplers"):
        return text, ""
    options = [
        f"{key}={parameter.default}"
        if parameter.default not in ("", inspect.Parameter.empty)
        else key
        for key, parameter in inspect.signature(target).parameters.items()
        if key != "source"
    ]
    return text, ", ".join(options)
