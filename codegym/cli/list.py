"""``codegym list``: shows the plug-ins of every group, and the environments."""

import importlib
import inspect
from importlib.metadata import entry_points
from typing import Any

import click
import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from codegym import registry
from codegym.errors import CodegymError, UnknownNameError
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import ResultTable, words
from codegym.registration import ENVIRONMENTS, import_packages

_ENVIRONMENTS = "environments"
# Groups whose plug-ins take options by name; an agent's are its settings.
_WITH_OPTIONS = ("rewards", "samplers", "sources")


@click.command()
@click.argument("group", required=False)
@with_output
def command(group: str | None, output: Output) -> None:
    """List what is registered; with GROUP, describe what is in the group.

    GROUP is one of agents, environments, policies, rewards, samplers, sandboxes, sources,
    tokenizers. Listing all groups imports no plug-in.
    """
    groups = sorted([*registry.groups(), _ENVIRONMENTS])
    if group is None:
        rows = [(name, ", ".join(_names(name))) for name in groups]
        output.table("registered", ResultTable((words("group"), words("names")), rows))
        output.document({name: _names(name) for name in groups})
        output.remark("codegym list GROUP describes each of them.")
        return
    if group not in groups:
        raise UnknownNameError("plug-in group", group, groups)
    described = [_describe(group, name) for name in _names(group)]
    if group == _ENVIRONMENTS:
        described += [
            {"name": name, "package": "", "text": f"({reason})", "options": ""}
            for name, reason in import_packages().items()
        ]
        described += [_describe_other(name) for name in others()]
    names = ["name", "what it is", "options"]
    # Packages are shown where there is one.
    if any(row["package"] for row in described):
        names.insert(1, "package")
    keys = {"what it is": "text"}
    cells = [tuple(row[keys.get(name, name)] for name in names) for row in described]
    columns = tuple(words(name, keys.get(name, name)) for name in names)
    output.table(group, ResultTable(columns, cells, title=group))
    output.document(described)


def _names(group: str) -> list[str]:
    return list(ENVIRONMENTS) if group == _ENVIRONMENTS else registry.names(group)


def _describe(group: str, name: str) -> dict[str, str]:
    """Return the first paragraph, the options and the package of a plug-in or an environment.

    A plug-in that cannot be loaded is described by the reason.
    """
    if group == _ENVIRONMENTS:
        entry, _, arguments = ENVIRONMENTS[name]
        module, _, attribute = entry.partition(":")
        target = getattr(importlib.import_module(module), attribute)
        text = (inspect.getdoc(target) or "").split("\n")[0]
        options = ", ".join(f"{key}={value}" for key, value in arguments.items())
        return {"name": name, "package": "", "text": text, "options": options}
    row = {"name": name, "package": registry.package_of(group, name), "options": ""}
    try:
        target = registry.get(group, name)
    except CodegymError as error:
        return row | {"text": f"({error})"}
    text = (inspect.getdoc(target) or "").strip().split("\n\n")[0].replace("\n", " ")
    return row | {"text": text, "options": _options(group, target)}


def others() -> list[str]:
    """Return the ids that the modules of other packages' entry points registered."""
    modules = {point.value.partition(":")[0] for point in entry_points(group="codegym.envs")}
    return [
        name
        for name, spec in gym.registry.items()
        if isinstance(spec.entry_point, str) and spec.entry_point.partition(":")[0] in modules
    ]


def _describe_other(name: str) -> dict[str, str]:
    entry = gym.registry[name].entry_point
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    text = (inspect.getdoc(creator) or "").split("\n")[0]
    return {"name": name, "package": str(entry).partition(":")[0], "text": text, "options": ""}


def _options(group: str, target: Any) -> str:
    if group == "agents":
        return "presets: " + ", ".join(target.presets)
    if group not in _WITH_OPTIONS or not isinstance(target, type):
        return ""
    kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return ", ".join(
        f"{key}={parameter.default}"
        if parameter.default not in ("", inspect.Parameter.empty)
        else key
        for key, parameter in inspect.signature(target).parameters.items()
        if key != "source" and parameter.kind not in kinds
    )
