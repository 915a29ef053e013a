"""Config files: YAML with the keys of ``TrainConfig``; errors name file and line."""

from pathlib import Path
from typing import Any

import yaml

from codegym.errors import ConfigError, UnknownNameError
from codegym.settings import settings_of
from codegym.training.config import GROUPS, TrainConfig


def read_config_file(path: Path) -> dict[str, Any]:
    """Read the settings of a YAML file.

    Raises:
        UnknownNameError: A key that is no setting; names the nearest.
        ConfigError: The file is missing or no YAML, or a value is of the wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        settings = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the config file cannot be read: {error}", value=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or error
        raise ConfigError(f"{where}: no YAML: {problem}") from None
    if not isinstance(settings, dict) or not isinstance(root, yaml.MappingNode):
        raise ConfigError(
            "the config file holds no settings",
            value=str(path),
            expected="YAML of the form key: value",
        )
    seen: set[str] = set()
    for key_node, _ in root.value:
        key, where = str(key_node.value), f"{path}:{key_node.start_mark.line + 1}"
        if key in seen:
            raise ConfigError(f"{where}: a setting is given twice", value=key)
        seen.add(key)
        _check(key, settings.get(key), where)
    return settings


def _check(key: str, value: Any, where: str) -> None:
    try:
        settings_of(TrainConfig, {key: value}, "setting")
        if key in GROUPS and not isinstance(value, dict):
            raise ConfigError(
                f"setting {key!r} has the wrong type", value=value, expected="key: value"
            )
    except UnknownNameError as error:
        raise UnknownNameError(f"{error.kind} at {where}", error.name, error.known) from None
    except ConfigError as error:
        raise ConfigError(
            f"{where}: {error.message}", value=value, expected=error.expected, cure=error.cure
        ) from None
