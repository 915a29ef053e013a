"""PolicyActor: a copy of a policy on a node, which writes the programs of calls.

It imports no Ray: ``codegym.cluster.ray_authors`` runs it as an actor. The policy comes as the
files of a checkpoint and its weights as arrays, so that nothing is unpickled into a policy.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codegym.errors import CodegymError
from codegym.policy import Generation, Policy
from codegym.rollout.authors import WriteCall, write_call

if TYPE_CHECKING:
    import torch

# Name -> (type, shape, bytes of the weights).
Weights = Mapping[str, tuple[str, tuple[int, ...], NDArray[np.uint8]]]


class PolicyActor:
    """Writes programs with the weights that come with each call."""

    def __init__(self) -> None:
        self._policy: Policy | None = None
        self._version = -1

    def start(
        self,
        files: Mapping[str, bytes],
        threads: int,
        load: Callable[[Path], Policy],
        facts: Callable[[], Mapping[str, Any]],
    ) -> Mapping[str, Any]:
        """Open the policy; return what its numbers depend on.

        Args:
            files: The files of a policy's folder, by relative path.
            threads: Number of torch's threads, which decides how sums are rounded.
            load: Opens such a folder.
            facts: Returns what numbers depend on here.
        """
        import torch

        torch.set_num_threads(threads)
        with tempfile.TemporaryDirectory(prefix="codegym-policy-") as folder:
            for name, data in files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._policy = load(Path(folder))
        self._policy.module.eval()
        self._policy.prepare()
        return facts()

    def write(
        self, version: int, weights: Weights, call: WriteCall, state: NDArray[np.uint8]
    ) -> Generation | CodegymError:
        """Write the programs of a call; return an error of the call instead of raising it.

        Args:
            version: Version of the weights.
            weights: The weights, which are read if the policy has others.
            call: What to write.
            state: State of the generator that is drawn from.
        """
        import torch

        assert self._policy is not None
        if version != self._version:
            load_weights(self._policy, weights, version)
            self._version = version
        rng = torch.Generator()
        rng.set_state(torch.from_numpy(np.array(state)))
        try:
            return write_call(self._policy, call, rng)
        except CodegymError as error:
            return error


def policy_files(policy: Policy, save: Callable[[Policy, Path], None]) -> dict[str, bytes]:
    """Return the files of a policy's folder by relative path.

    Args:
        policy: The policy.
        save: Writes it into a folder.
    """
    with tempfile.TemporaryDirectory(prefix="codegym-policy-") as parent:
        folder = Path(parent) / "policy"
        save(policy, folder)
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def take_weights(policy: Policy) -> dict[str, tuple[str, tuple[int, ...], NDArray[np.uint8]]]:
    """Return a copy of the weights that training can change, frozen ones left out."""
    frozen = {name for name, weight in policy.module.named_parameters() if not weight.requires_grad}
    return {
        name: _plain(tensor)
        for name, tensor in policy.module.state_dict().items()
        if name not in frozen
    }


def load_weights(policy: Policy, weights: Weights, version: int) -> None:
    """Give a policy the weights of ``take_weights`` and their version."""
    import torch

    own = policy.module.state_dict()
    with torch.no_grad():
        for name, (kind, shape, data) in weights.items():
            raw = torch.from_numpy(np.array(data))
            own[name].copy_(raw.view(getattr(torch, kind)).reshape(shape))
    policy.mark_updated()
    policy.version = version


def _plain(tensor: "torch.Tensor") -> tuple[str, tuple[int, ...], NDArray[np.uint8]]:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    kind = str(tensor.dtype).removeprefix("torch.")
    return kind, tuple(tensor.shape), np.array(flat.numpy())
