"""Registration: the ids under which Gymnasium makes the environments. Strings only.

Importing this imports Gymnasium's registry and nothing of the environments; what is named here is
imported by ``gym.make``.
"""

from importlib.metadata import entry_points
from typing import Any

from gymnasium.envs.registration import register, registry

_ENVS = "codegym.envs"
_TOKEN = (f"{_ENVS}.synthesis:SynthesisEnv", f"{_ENVS}.vector:SynthesisVectorEnv")

_TEXT = (f"{_ENVS}.text:TextEnv", f"{_ENVS}.text_vector:TextVectorEnv")

# Id -> (entry point, vector entry point, keyword arguments). A change of rewards or tests of an id
# is a new version of it. `tasks` may be given to any of them; mined and APPS tasks stand in files,
# so that their ids need it: gym.make("codegym:CodeGym/Mined-v0", tasks="mined:/tasks.jsonl").
ENVIRONMENTS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "CodeGym/Synthesis-v0": (*_TOKEN, {}),
    "CodeGym/Atoms-v0": (*_TOKEN, {"tasks": "atoms"}),
    "CodeGym/Composites-v0": (*_TOKEN, {"tasks": "composites"}),
    "CodeGym/Mined-v0": (*_TOKEN, {"tasks": "mined", "max_tokens": 1024, "budget": 512}),
    "CodeGym/HumanEval-v0": (*_TOKEN, {"tasks": "humaneval", "max_tokens": 2048, "budget": 768}),
    "CodeGym/MBPP-v0": (*_TOKEN, {"tasks": "mbpp", "max_tokens": 2048, "budget": 768}),
    "CodeGym/APPS-v0": (*_TOKEN, {"tasks": "apps", "max_tokens": 8192, "budget": 2048}),
    "CodeGym/Line-v0": (*_TEXT, {"granularity": "line"}),
    "CodeGym/Program-v0": (*_TEXT, {"granularity": "program"}),
    "CodeGym/Repair-v0": (*_TEXT, {"granularity": "program", "turns": 3}),
}


def import_packages() -> dict[str, str]:
    """Import the modules of other packages' entry points in ``codegym.envs``, which register ids.

    Returns:
        Name of each entry point that cannot be imported -> the reason, with its package.
    """
    broken = {}
    for point in entry_points(group="codegym.envs"):
        try:
            point.load()
        # Another package may raise anything while it is imported.
        except Exception as error:
            package = f"{point.dist.name} {point.dist.version}" if point.dist else "?"
            reason = f"of the package {package} cannot be loaded: {type(error).__name__}: {error}"
            broken[point.name] = reason
    return broken


def register_environments() -> None:
    """Register every id that is not registered yet."""
    for name, (entry_point, vector_entry_point, kwargs) in ENVIRONMENTS.items():
        if name not in registry:
            register(
                id=name,
                entry_point=entry_point,
                vector_entry_point=vector_entry_point,
                kwargs=kwargs,
            )
