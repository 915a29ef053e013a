"""``codegym list``: shows the plug-ins of every group, and the environments."""

import importlib
import inspect

import click
from rich.console import Console
from rich.table import Table

from codegym import registry
from codegym.errors import MissingExtraError, UnknownNameError
from codegym.registration import ENVIRONMENTS

_ENVIRONMENTS = "environments"


@click.command()
@click.argument("group", required=False)
def command(group: str | None) -> None:
    """List what is registered; with GROUP, describe what is in the group.

    GROUP is one of agents, environments, policies, rewards, samplers, sandboxes, sources,
    tokenizers. Listing all groups imports no plug-in.
    """
    console = Console()
    groups = sorted([*registry.groups(), _ENVIRONMENTS])
    if group is None:
        table = Table("group", "names", title="registered", title_justify="left")
        for name in groups:
            table.add_row(name, ", ".join(_names(name)))
        console.print(table)
        console.print("codegym list GROUP describes each of them.", style="dim")
        return
    if group not in groups:
        raise UnknownNameError("plug-in group", group, groups)
    table = Table("name", "what it is", "options", title=group, title_justify="left")
    for name in _names(group):
        table.add_row(name, *_describe(group, name))
    console.print(table)


def _names(group: str) -> list[str]:
    return list(ENVIRONMENTS) if group == _ENVIRONMENTS else registry.names(group)


def _describe(group: str, name: str) -> tuple[str, str]:
    """Return the first paragraph and the options of a plug-in or an environment."""
    if group == _ENVIRONMENTS:
        entry, _, arguments = ENVIRONMENTS[name]
        module, _, attribute = entry.partition(":")
        text = inspect.getdoc(getattr(importlib.import_module(module), attribute)) or ""
        return text.split("\n")[0], ", ".join(f"{key}={value}" for key, value in arguments.items())
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
