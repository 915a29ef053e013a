"""Names in, objects out: every plug-in is found here by name and imported at use.

A built-in is one file: ``codegym/rewards/binary.py`` registers ``binary`` when it is imported, and
is imported when somebody asks for that name; listing names imports nothing. Other packages add
theirs by entry points in the groups ``codegym.<group>``; a script adds its own by ``register``.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from codegym.errors import ConformanceError, MissingExtraError, UnknownNameError

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
        "ray": "codegym.cluster.ray_sandbox:RaySandbox",
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
# What a plug-in of another package has to have, as far as can be seen without using it.
_NEEDS = {
    "agents": ("request", "update", "presets", "config_class"),
    "policies": ("generate", "evaluate", "act"),
    "rewards": ("__call__", "fine", "credit"),
    "samplers": ("draw",),
    "sandboxes": (),
    "sources": ("__len__", "__getitem__", "find"),
    "tokenizers": ("encode", "decode"),
}
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
    external = {point.name for point in _points(group)}
    return sorted(set(_table(group)) | set(_TABLES.get(group, ())) | _modules(group) | external)


def package_of(group: str, name: str) -> str:
    """Return the package that a name comes from by an entry point, with its version; "" for ours.

    Raises:
        UnknownNameError: ``group`` does not exist.
    """
    if name in _table(group) or name in _TABLES.get(group, ()) or name in _modules(group):
        return ""
    return next((_package(point) for point in _points(group) if point.name == name), "")


def get(group: str, name: str) -> Any:
    """Import and return the plug-in of that name.

    Raises:
        UnknownNameError: Nothing answers to ``name``; holds the nearest known name.
        MissingExtraError: The plug-in needs a package that is not installed.
        ConformanceError: Another package's plug-in cannot be loaded, or is none of its group.
    """
    table = _table(group)
    try:
        if name not in table and name in _modules(group):
            importlib.import_module(f"{_FOLDERS[group]}.{name}")
        target = table.get(name, _TABLES.get(group, {}).get(name))
        if target is None:
            for point in _points(group):
                if point.name == name:
                    return _loaded(group, point)
            raise UnknownNameError(_KIND[group], name, names(group))
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = MissingExtraError.of(error)
        if missing is None:
            raise
        raise missing from error


def _points(group: str) -> list[EntryPoint]:
    return list(entry_points(group=f"codegym.{group}"))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "?"


def _loaded(group: str, point: EntryPoint) -> Any:
    """Load and look over another package's plug-in.

    An entry point names the plug-in itself, or a module that registers it when it is imported.

    Raises:
        ConformanceError: It cannot be loaded, or lacks what plug-ins of its group have.
        MissingExtraError: It needs one of codegym's extras.
    """
    what = f"{_KIND[group]} {point.name!r} of the package {_package(point)}"
    cure = f"mend or remove that package; its entry point is {point.value!r}"
    try:
        target = point.load()
    except MissingExtraError:
        raise
    # Another package may raise anything while it is imported.
    except Exception as error:
        missing = MissingExtraError.of(error) if isinstance(error, ModuleNotFoundError) else None
        if missing is not None:
            raise missing from error
        raise ConformanceError(
            f"{what} cannot be loaded: {type(error).__name__}: {error}", cure=cure
        ) from error
    if inspect.ismodule(target):
        target = _table(group).get(point.name)
        if target is None:
            raise ConformanceError(
                f"{what} is a module that registers no such name",
                expected=f"@registry.plugin({group!r}, {point.name!r}) in it",
                cure=cure,
            )
        return target
    lacking = [needed for needed in _NEEDS[group] if not hasattr(target, needed)]
    if lacking or not (isinstance(target, type) or callable(target)):
        raise ConformanceError(
            f"{what} is no {_KIND[group]}: it lacks {', '.join(lacking) or 'a way to be called'}",
            value=target,
            cure=cure,
        )
    return target


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
