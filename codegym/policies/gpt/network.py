"""GPTModule: every weight of a ``gpt`` policy."""

from torch import nn

from codegym.policies.gpt.transformer import GPTConfig, Transformer
from codegym.policies.value_head import ValueHead


class GPTModule(nn.Module):
    """The transformer and the value head beside it.

    Args:
        config: Shape of the transformer and of the value head.
        vocab_size: Number V of ids.
        pad_id: The id that is never written.
    """

    def __init__(self, config: GPTConfig, *, vocab_size: int, pad_id: int) -> None:
        super().__init__()
        self.transformer = Transformer(config, vocab_size=vocab_size, pad_id=pad_id)
        self.value_head = ValueHead(config.d_model, config.value_hidden)
