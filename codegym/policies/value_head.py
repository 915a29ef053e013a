"""The value head: one linear map from the last hidden state to the expected return."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from codegym.checkpoint import read_tensors

VALUE_HEAD_FILE = "value_head.safetensors"


class ValueHead(nn.Module):
    """Estimate the return from a hidden state that the estimate's gradient never reaches.

    It starts at zero, so that a fresh critic says 0 everywhere instead of noise.

    Args:
        width: Size d of the hidden state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return (...,) float32 values of (..., d) hidden states, which are detached."""
        return hidden.detach().float() @ self.weight + self.bias

    def save(self, folder: Path) -> None:
        """Write ``value_head.safetensors``."""
        tensors = {name: value.detach().cpu() for name, value in self.state_dict().items()}
        save_file(tensors, folder / VALUE_HEAD_FILE)

    def read(self, folder: Path) -> None:
        """Take over the weights of ``value_head.safetensors``.

        Raises:
            CheckpointError: The file is missing, truncated or of another shape.
        """
        read_tensors(folder / VALUE_HEAD_FILE, into=self)
