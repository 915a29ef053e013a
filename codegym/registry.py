"""Names in, objects out: every plug-in is found here by name and imported at use.

A built-in is one file: ``codegym/rewards/binary.py`` registers ``binary`` when it is imported, and
is imported when somebody asks for that name; listing names imports nothing. Other packages add
theirs by entry points in the groups ``codegym.<group>``; a script adds its own by ``register``.
"""

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from codegym.errors import MissingExtraError, UnknownNameError

# Folders whose modules are plug-ins of the module's name, apart from _private ones and these.
_FOLDERS = {
    "sources": "codegym.sources",
    "rewards": "codegym.rewards",
    "tokenizers": "codegym.tokenizers",
    "agents": "codegym.agents",
}
_MACHINERY = {"credit", "mixture", "reward", "task_list", "task_uri", "tokenizer"}
# Groups whose folders also hold machinery name their plug-ins here.
_TABLES = {
    "sandboxes": {
        "namespace": "codegym.sandbox.bubblewrap:NamespaceLauncher",
        "landlock": "codegym.sandbox.landlock:LandlockLauncher",
        "unsafe": "codegym.sandbox.unsafe:UnsafeLauncher",
    },
    "samplers": {
        "uniform": "codegym.training.task_sampler:UniformSampler",
        "success": "codegym.training.task_sampler:SuccessSampler",
        "curriculum": "codegym.training.task_sampler:CurriculumSampler",
    },
    "policies": {
        "gpt": "codegym.policies.gpt.gpt_policy:GPTPolicy",
        "hf": "codegym.policies.hf.hf_policy:HFPolicy",
        "uniform": "codegym.policies.uniform:UniformPolicy",
    },
}
_KIND = {
    "sandboxes": "isolation",
    "sources": "task source",
    "rewards": "reward",
    "tokenizers": "tokenizer",
    "policies": "policy",
    "agents": "agent",
    "samplers": "task sampler",
}
_NEEDS_TORCH = ("policies", "agents")
_registered: dict[str, dict[str, Any]] = {group: {} for group in _KIND}


def register(group: str, name: str, target: Any) -> None:
    """Register a plug-in under a name, replacing what stood there.

    Args:
        group: One of ``sandboxes, sources, rewards, tokenizers, policies, agents,
            samplers``.
        name: The name users will write.
        target: The object itself, or ``"module:attribute"`` to import it at first use.

    Raises:
        UnknownNameError: ``group`` does not exist.
    """
    _table(group)[name] = target


def groups() -> list[str]:
    """List the groups of plug-ins, sorted."""
    return sorted(_registered)


def names(group: str) -> list[str]:
    """List the names known in a group, sorted, without importing any of them."""
    external = {point.name for point in entry_points(group=f"codegym.{group}")}
    return sorted(set(_table(group)) | set(_TABLES.get(group, ())) | _modules(group) | external)


def get(group: str, name: str) -> Any:
    """Import and return the plug-in of that name.

    Raises:
        UnknownNameError: Nothing answers to ``name``; holds the nearest known name.
        MissingExtraError: The plug-in needs a package that is not installed.
    """
    table = _table(group)
    try:
        if name not in table and name in _modules(group):
            importlib.import_module(f"{_FOLDERS[group]}.{name}")
        target = table.get(name, _TABLES.get(group, {}).get(name))
        if target is None:
            for point in entry_points(group=f"codegym.{group}"):
                if point.name == name:
                    return point.load()
            raise UnknownNameError(_KIND[group], name, names(group))
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if group in _NEEDS_TORCH and missing and missing != "codegym":
            raise MissingExtraError(missing, "agents") from error
        raise


def plugin(group: str, name: str) -> Callable[[Any], Any]:
    """Decorate a class or function with its own registration.

    Example:
        >>> from codegym import registry
        >>> @registry.plugin("rewards", "always_one")
        ... def always_one(verdict, feedback=None):
        ...     return 1.0
        >>> "always_one" in registry.names("rewards")
        True
    """

    def decorate(target: Any) -> Any:
        register(group, name, target)
        return target

    return decorate


def _table(group: str) -> dict[str, Any]:
    if group not in _registered:
        raise UnknownNameError("plug-in group", group, _registered)
    return _registered[group]


def _modules(group: str) -> set[str]:
    spec = find_spec(_FOLDERS[group]) if group in _FOLDERS else None
    if spec is None or spec.submodule_search_locations is None:
        return set()
    found = {module.name for module in pkgutil.iter_modules(spec.submodule_search_locations)}
    return {name for name in found if not name.startswith("_")} - _MACHINERY
