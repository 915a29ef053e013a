"""Option tables: settings of agents, runs, environments and plug-ins, as Markdown, from the code.

python docs/generators/option_tables.py prints the page of the site's reference.
"""

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_type_hints

from codegym import Limits, TrainConfig, registry
from codegym.envs.dialogue import Dialogue
from codegym.envs.synthesis import SynthesisEnv
from codegym.envs.text import TextEnv
from codegym.registration import ENVIRONMENTS

_Row = tuple[str, ...]


def page() -> str:
    """Return the page: every option of a run, an agent, an environment and the plug-ins."""
    parts = [
        "# Settings\n",
        "These tables are made from the code when the site is built. On the command line\n"
        "`codegym list GROUP` and `codegym COMMAND --help` show the same.\n",
        "## A run\n",
        "`codegym train`, `codegym.train` and a run's `config.yaml` take these names.\n",
        _dataclass_table(TrainConfig),
        "## Agents\n",
        "The default is the paper's setting; the other columns show what a preset changes.\n",
        *_agents(),
        "## Environments\n",
        *_environments(),
    ]
    for group, title in (
        ("rewards", "Rewards"),
        ("sources", "Task sources"),
        ("samplers", "Task samplers"),
    ):
        parts += [f"## {title}\n", *_plugins(group)]
    parts += ["## Limits of a run\n", _dataclass_table(Limits)]
    return "\n".join(parts)


def described(target: Any) -> dict[str, str]:
    """Return what a Google docstring says of each argument or attribute.

    Args:
        target: A class or function. Names that share a line, ``a, b: ...``, share its text.
    """
    found: dict[str, str] = {}
    section, names = "", []
    for line in (inspect.getdoc(target) or "").split("\n"):
        if heading := re.fullmatch(r"([A-Z]\w+):", line):
            section, names = heading[1], []
        elif section in ("Args", "Attributes"):
            entry = re.match(r" {4}([\w, *]+)(?: \([^)]*\))?: (.*)", line)
            if entry:
                names = [name.strip(" *") for name in entry[1].split(",")]
                found |= dict.fromkeys(names, entry[2])
            elif line.strip():
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _dataclass_table(cls: Any, presets: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """Return a table of a dataclass's fields, with a column for each preset that changes any."""
    words, types = described(cls), get_type_hints(cls)
    changing = {name: changes for name, changes in (presets or {}).items() if changes}
    missing = [field.name for field in dataclasses.fields(cls) if field.name not in words]
    if missing:
        raise ValueError(f"{cls.__name__} does not document {', '.join(missing)}")
    rows = [
        (
            f"`{field.name}`",
            _type(types[field.name]),
            _default(field),
            *(_shown(changes.get(field.name, "")) for changes in changing.values()),
            _text(words[field.name]),
        )
        for field in dataclasses.fields(cls)
    ]
    return _table(("setting", "type", "default", *changing, "meaning"), rows)


def _agents() -> Iterable[str]:
    for name in registry.names("agents"):
        cls = registry.get("agents", name)
        summary = (inspect.getdoc(cls) or "").split("\n")[0]
        yield f"### {name}\n\n{_text(summary)} Reward by default: `{cls.default_reward}`.\n"
        fields = dataclasses.fields(cls.config_class)
        yield _dataclass_table(cls.config_class, cls.presets) if fields else "It has no settings.\n"


def _environments() -> Iterable[str]:
    yield _table(
        ("id", "arguments it sets"),
        [
            (
                f"`{name}`",
                ", ".join(f"`{key}={value}`" for key, value in arguments.items()) or "none",
            )
            for name, (_, _, arguments) in ENVIRONMENTS.items()
        ],
    )
    words = described(SynthesisEnv)
    yield "### Environments by token\n"
    yield _signature_table(SynthesisEnv, words)
    # Arguments that TextEnv takes over are documented where they come from.
    own = {name: text for name, text in described(TextEnv).items() if "As of" not in text}
    yield "### Environments by line and by program\n"
    yield _signature_table(TextEnv, words | described(Dialogue) | own)


def _plugins(group: str) -> Iterable[str]:
    for name in registry.names(group):
        target = registry.get(group, name)
        summary = (inspect.getdoc(target) or "").split("\n\n")[0].replace("\n", " ")
        yield f"### {name}\n\n{_text(summary)}\n"
        table = _signature_table(target, described(target))
        yield table or "It has no options.\n"


def _signature_table(target: Callable[..., Any], words: Mapping[str, str]) -> str:
    rows = []
    for name, parameter in inspect.signature(target).parameters.items():
        if name in ("self", "source") or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        if name not in words:
            raise ValueError(f"{target.__qualname__} does not document {name}")
        default = "" if parameter.default is parameter.empty else _shown(parameter.default)
        rows.append((f"`{name}`", default, _text(words[name])))
    return _table(("option", "default", "meaning"), rows) if rows else ""


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is not dataclasses.MISSING:
        return _shown(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return _shown(field.default_factory())
    return ""


def _shown(value: Any) -> str:
    return "" if value == "" else f"`{value}`"


def _type(hint: Any) -> str:
    text = hint.__name__ if isinstance(hint, type) else str(hint)
    text = re.sub(r"(typing|collections\.abc)\.", "", text)
    return re.sub(r"^Literal\[(.*)\]$", lambda found: found[1].replace("'", ""), text)


def _text(words: str) -> str:
    """Return a docstring's text as Markdown in a table: its code marks, no pipe."""
    return words.replace("``", "`").replace("|", "\\|")


def _table(head: Iterable[str], rows: Iterable[_Row]) -> str:
    columns = list(head)
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
