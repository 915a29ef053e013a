"""A policy from nothing but the contract: which token follows which, as a table of scores.

It reads the last token alone, so there is no cache to keep and no prompt to encode. It passes
``check_policy``, and every agent trains it.

Run: ``python examples/bigram_policy.py``
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from codegym.checks.check_policy import check_policy
from codegym.errors import PromptTooLongError
from codegym.policies import checkpoint
from codegym.policy import Evaluation, Generation, Policy, Step
from codegym.tokenizers.lexemes import LexemeTokenizer


class Table(nn.Module):
    """Scores and values, one row for each last token."""

    def __init__(self, size):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(size, size))
        self.values = nn.Parameter(torch.zeros(size))


class BigramPolicy(Policy):
    """The next token depends on the last one."""

    name = "bigram"

    def __init__(self, tokenizer, *, seed=0, max_tokens=256):
        self.tokenizer, self.max_tokens, self.version = tokenizer, max_tokens, 0
        self.rng = torch.Generator().manual_seed(seed)
        self._module = Table(tokenizer.vocab_size)

    @classmethod
    def create(cls, variant, *, tokenizer, seed):
        """Make a fresh table; there are no variants."""
        return cls(tokenizer, seed=seed)

    @property
    def module(self):
        """Every weight."""
        return self._module

    def value_parameters(self):
        """The value of each last token."""
        return [self._module.values]

    def _logits(self, last):
        logits = self._module.scores[last].clone()
        logits[..., self.tokenizer.pad_id] = -1e9  # finite: 0 * log 0 stays 0 in the entropy
        return logits

    @torch.no_grad()
    def _draw(self, last, rng, *, mask=None, temperature=1.0, top_p=1.0, deterministic=False):
        logits = self._logits(last) / temperature
        if mask is not None:
            logits[torch.from_numpy(~mask)] = -torch.inf
        ranked, order = logits.softmax(dim=-1).sort(dim=-1, descending=True)
        if deterministic:
            place = torch.zeros(len(ranked), 1, dtype=torch.int64)
        else:
            ranked = ranked * (ranked.cumsum(dim=-1) - ranked < top_p)
            ranked = ranked / ranked.sum(dim=-1, keepdim=True)
            place = torch.multinomial(ranked, 1, generator=rng or self.rng)
        tokens = order.gather(1, place)[:, 0]
        log_probs = ranked.gather(1, place)[:, 0].log()
        return tokens.numpy(), log_probs.numpy(), self._module.values[last].numpy()

    def act(self, obs, state=None, *, temperature=1.0, deterministic=False, mask=None, rng=None):
        """Choose the next token of each row."""
        lengths = (obs != self.tokenizer.pad_id).sum(axis=1)
        last = torch.from_numpy(obs[np.arange(len(obs)), lengths - 1].astype(np.int64))
        actions, log_probs, values = self._draw(
            last, rng, mask=mask, temperature=temperature, deterministic=deterministic
        )
        return Step(actions=actions, log_probs=log_probs, values=values, state=None)

    def generate(
        self, prompts, *, n=1, budget, temperature=1.0, top_p=1.0, deterministic=False, rng=None
    ):
        """Write programs, all rows to the longest room, and cut them at their end."""
        for prompt in prompts:
            if len(prompt) >= self.max_tokens:
                raise PromptTooLongError("a prompt leaves no room", value=len(prompt))
        room = np.repeat([min(budget, self.max_tokens - len(prompt)) for prompt in prompts], n)
        last = torch.tensor([prompt[-1] for prompt in prompts for _ in range(n)])
        drawn = []
        for _ in range(room.max()):
            drawn.append(
                self._draw(
                    last,
                    rng,
                    temperature=temperature,
                    top_p=top_p,
                    deterministic=deterministic,
                )
            )
            last = torch.from_numpy(drawn[-1][0])
        tokens, log_probs, values = (np.stack(part, axis=1) for part in zip(*drawn, strict=True))
        ends = tokens == self.tokenizer.end_id
        lengths = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, room + 1)
        finished, lengths = lengths <= room, np.minimum(lengths, room)
        return Generation(
            actions=[row[:length] for row, length in zip(tokens, lengths, strict=True)],
            log_probs=[row[:length] for row, length in zip(log_probs, lengths, strict=True)],
            values=[row[:length] for row, length in zip(values, lengths, strict=True)],
            finished=finished,
        )

    def evaluate(self, batch, *, temperature=1.0):
        """Score the policy's actions of whole episodes; the mask leaves out all other tokens."""
        rows, columns = np.nonzero(batch.mask)
        temperatures = np.broadcast_to(np.float32(temperature), len(batch))[rows]
        last = torch.from_numpy(batch.tokens[rows, batch.prompt_lengths[rows] + columns - 1])
        actions = torch.from_numpy(batch.actions[rows, columns])
        log_all = (self._logits(last) / torch.from_numpy(temperatures)[:, None]).log_softmax(dim=-1)
        entropy = -(log_all.exp() * log_all).sum(dim=-1)

        def padded(flat):
            return flat.new_zeros(*batch.mask.shape, *flat.shape[1:]).index_put(
                (torch.from_numpy(rows), torch.from_numpy(columns)), flat
            )

        return Evaluation(
            log_probs=padded(log_all.gather(1, actions[:, None])[:, 0]),
            entropy=padded(entropy),
            values=padded(self._module.values[last]),
            hidden=padded(self._module.scores[last]),
        )

    def mark_updated(self):
        """There is no cache to drop."""
        self.version += 1

    def save(self, folder):
        """Write the table; ``replacing`` sees to it that a folder appears whole or not at all."""
        with checkpoint.replacing(Path(folder)) as aside:
            weights = {name: w.detach() for name, w in self._module.state_dict().items()}
            checkpoint.write_tensors(aside / "model.safetensors", weights)
            checkpoint.write_manifest(aside, self)

    @classmethod
    def load(cls, folder):
        """Read what ``save`` wrote."""
        folder = checkpoint.resolve(folder)
        manifest = checkpoint.read_manifest(folder, policy=cls.name)
        policy = cls(checkpoint.load_tokenizer(folder, manifest))
        checkpoint.read_tensors(folder / "model.safetensors", into=policy.module)
        policy.version = manifest.weight_version
        return policy


if __name__ == "__main__":
    check_policy(lambda: BigramPolicy(LexemeTokenizer(), seed=7, max_tokens=64))
    print("the bigram policy keeps the contract")
