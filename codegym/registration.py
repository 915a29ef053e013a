"""Registration: the ids under which Gymnasium makes the environments. Strings only.

Importing this imports Gymnasium's registry and nothing of the environments; what is named here is
imported by ``gym.make``.
"""

from typing import Any

from gymnasium.envs.registration import register, registry

_ENVS = "codegym.envs"
_TOKEN = (f"{_ENVS}.synthesis:SynthesisEnv", f"{_ENVS}.vector:SynthesisVectorEnv")

# Id -> (entry point, vector entry point, keyword arguments). A change of rewards or tests of an id
# is a new version of it.
ENVIRONMENTS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "CodeGym/Synthesis-v0": (*_TOKEN, {}),
}


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
