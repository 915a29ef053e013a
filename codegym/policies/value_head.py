"""The value head: from the last hidden state to the expected return, by one or two layers."""

import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from codegym.policies.checkpoint import read_tensors

VALUE_HEAD_FILE = "value_head.safetensors"


class ValueHead(nn.Module):
    """Estimates the return from a hidden state; the gradient stops at the hidden state.

    It starts at zero, so that a fresh critic returns 0 everywhere instead of noise. With a hidden
    layer it is the "simple feed-forward critic on the actor's hidden states" of Gorinski et al.
    2023 (2310.13669).

    Args:
        width: Size d of the hidden state.
        hidden: Units of a hidden layer; 0 makes the head one linear map.
    """

    def __init__(self, width: int, hidden: int = 0) -> None:
        super().__init__()
        self._layered = hidden > 0
        if self._layered:
            self.hidden_weight = nn.Parameter(torch.zeros(hidden, width))
            self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.weight = nn.Parameter(torch.zeros(hidden or width))
        self.bias = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def initialize(self, rng: torch.Generator) -> None:
        """Draw the first weights of the hidden layer, if the head has it; the value stays 0."""
        if self._layered:
            width = self.hidden_weight.shape[1]
            drawn = torch.randn(self.hidden_weight.shape, generator=rng, device=rng.device)
            self.hidden_weight.copy_(drawn / math.sqrt(width))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return (...,) float32 values of (..., d) hidden states, which are detached."""
        x = hidden.detach().float()
        if self._layered:
            x = F.gelu(F.linear(x, self.hidden_weight, self.hidden_bias))
        return x @ self.weight + self.bias

    def save(self, folder: Path) -> None:
        """Write ``value_head.safetensors``."""
        tensors = {name: value.detach().cpu() for name, value in self.state_dict().items()}
        save_file(tensors, folder / VALUE_HEAD_FILE)

    def read(self, folder: Path) -> None:
        """Read the weights of ``value_head.safetensors``.

        Raises:
            CheckpointError: The file is missing, truncated or of another shape.
        """
        read_tensors(folder / VALUE_HEAD_FILE, into=self)
