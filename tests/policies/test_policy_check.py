"""check_policy passes the built-in policy and catches each way of breaking the contract."""

import dataclasses

import numpy as np
import pytest
import torch

from codegym.checks.check_policy import check_policy
from codegym.errors import ConformanceError
from codegym.policies.gpt.gpt_policy import GPTPolicy


def test_gpt_keeps_the_contract():
    check_policy(GPTPolicy)
    check_policy(lambda: GPTPolicy.specimen(seed=1))


class DriftingLogProbs(GPTPolicy):
    """Samples at another temperature than it says."""

    def generate(self, prompts, **settings):
        return super().generate(prompts, **{**settings, "temperature": 1.1})


class WrongValues(GPTPolicy):
    """Reports the values one token late."""

    def generate(self, prompts, **settings):
        written = super().generate(prompts, **settings)
        return dataclasses.replace(written, values=[np.roll(v, 1) for v in written.values])


class SampleMajor(GPTPolicy):
    """Returns the programs of all prompts in turn."""

    def generate(self, prompts, *, n=1, **settings):
        written = super().generate(prompts, n=n, **settings)
        order = [prompt * n + k for k in range(n) for prompt in range(len(prompts))]
        return dataclasses.replace(
            written,
            **{
                field.name: [getattr(written, field.name)[row] for row in order]
                for field in dataclasses.fields(written)
            },
        )


class AlwaysFinished(GPTPolicy):
    """Says that every program ended by itself."""

    def generate(self, prompts, **settings):
        written = super().generate(prompts, **settings)
        return dataclasses.replace(written, finished=np.ones_like(written.finished))


class OverBudget(GPTPolicy):
    """Writes one token too many."""

    def generate(self, prompts, *, budget, **settings):
        return super().generate(prompts, budget=budget + 1, **settings)


class StaleCache(GPTPolicy):
    """Goes on using keys and values of older weights."""

    def act(self, obs, state=None, **settings):
        if state is not None:
            state.stamp = (self, self.version, self.device)
        return super().act(obs, state, **settings)


class TrustingCache(GPTPolicy):
    """Believes that every row continues the cached one."""

    def act(self, obs, state=None, **settings):
        if state is not None:
            state._ids[:, : obs.shape[1]] = obs
            state._lengths[:] = obs.shape[1]
        return super().act(obs, state, **settings)


class IgnoresMask(GPTPolicy):
    """Takes any token."""

    def act(self, obs, state=None, *, mask=None, **settings):
        return super().act(obs, state, **settings)


class UnmaskedLogProbs(GPTPolicy):
    """Respects the mask, but reports the unmasked probability."""

    def act(self, obs, state=None, *, mask=None, **settings):
        step = super().act(obs, state, mask=mask, **settings)
        if mask is None:
            return step
        scores = self.scores(obs).detach().numpy()
        return dataclasses.replace(step, log_probs=scores[range(len(obs)), step.actions])


class GlobalRandomness(GPTPolicy):
    """Draws from torch's global generator."""

    def act(self, obs, state=None, *, rng=None, **settings):
        torch.rand(1)
        return super().act(obs, state, rng=rng, **settings)


class Seedless(GPTPolicy):
    """Ignores the generator it is given."""

    def generate(self, prompts, *, rng=None, **settings):
        return super().generate(prompts, **settings)


class FrozenVersion(GPTPolicy):
    """Never raises its version."""

    def mark_updated(self):
        pass


class LeakingPad(GPTPolicy):
    """Lets the longest row of a batch shift the others."""

    def evaluate(self, batch, **settings):
        scored = super().evaluate(batch, **settings)
        return dataclasses.replace(scored, entropy=scored.entropy * (batch.tokens.shape[1] / 99))


class DirtyPadding(GPTPolicy):
    """Leaves numbers where there is no action."""

    def evaluate(self, batch, **settings):
        scored = super().evaluate(batch, **settings)
        return dataclasses.replace(scored, entropy=scored.entropy + 0.01)


class SharedGradient(GPTPolicy):
    """Mixes the value into the log-probabilities."""

    def evaluate(self, batch, **settings):
        scored = super().evaluate(batch, **settings)
        mixed = scored.log_probs + 1e-9 * scored.values
        return dataclasses.replace(scored, log_probs=mixed)


class NoGradient(GPTPolicy):
    """Scores without gradients."""

    def evaluate(self, batch, **settings):
        scored = super().evaluate(batch, **settings)
        return dataclasses.replace(scored, log_probs=scored.log_probs.detach().requires_grad_(True))


class ForgetsValueHead(GPTPolicy):
    """Loads everything but the value head."""

    @classmethod
    def load(cls, folder):
        loaded = super().load(folder)
        with torch.no_grad():
            loaded.module.value_head.weight.zero_()
        return loaded


class ForgetsVersion(GPTPolicy):
    """Starts counting again."""

    @classmethod
    def load(cls, folder):
        loaded = super().load(folder)
        loaded.version = 0
        return loaded


class LoadsRubbish(GPTPolicy):
    """Answers a truncated checkpoint with a fresh policy."""

    @classmethod
    def load(cls, folder):
        try:
            return super().load(folder)
        except Exception:
            return cls.specimen(seed=0)


class SwallowsLongPrompts(GPTPolicy):
    """Writes nothing for a prompt that leaves no room."""

    def generate(self, prompts, **settings):
        return super().generate([p[: self.max_tokens - 1] for p in prompts], **settings)


class PreparesByTraining(GPTPolicy):
    """Changes its weights where it should only get ready."""

    def prepare(self):
        with torch.no_grad():
            self.module.transformer.embed_in.weight.mul_(1.5)


class KnowsNoTemperature(GPTPolicy):
    """Draws and scores at temperature 1, whatever is asked."""

    def generate(self, prompts, *, temperature=1.0, **settings):
        return super().generate(prompts, **settings)

    def act(self, obs, state=None, *, temperature=1.0, **settings):
        return super().act(obs, state, **settings)

    def evaluate(self, batch, *, temperature=1.0):
        return super().evaluate(batch)


class ScoresAtOne(GPTPolicy):
    """Draws at the temperature, scores at 1."""

    def evaluate(self, batch, *, temperature=1.0):
        return super().evaluate(batch)


class ActsAtOne(GPTPolicy):
    """Steps at temperature 1, whatever is asked."""

    def act(self, obs, state=None, *, temperature=1.0, **settings):
        return super().act(obs, state, **settings)


class OneTemperature(GPTPolicy):
    """Scores all rows at the temperature of the first."""

    def evaluate(self, batch, *, temperature=1.0):
        return super().evaluate(batch, temperature=float(np.ravel(temperature)[0]))


class PlainEntropy(GPTPolicy):
    """Reports the entropy at temperature 1."""

    def evaluate(self, batch, *, temperature=1.0):
        scored = super().evaluate(batch, temperature=temperature)
        return dataclasses.replace(scored, entropy=super().evaluate(batch).entropy)


class TemperedValues(GPTPolicy):
    """Divides the values too."""

    def evaluate(self, batch, *, temperature=1.0):
        scored = super().evaluate(batch, temperature=temperature)
        rows = torch.as_tensor(temperature, dtype=torch.float32).reshape(-1, 1)
        return dataclasses.replace(scored, values=scored.values / rows)


def everything_chosen(batch):
    """Return a batch in which what the environment wrote counts as the policy's."""
    mask = np.arange(batch.mask.shape[1]) < batch.lengths[:, None]
    return dataclasses.replace(batch, mask=mask)


class ScoresHoles(GPTPolicy):
    """Takes what the environment wrote for its own."""

    def evaluate(self, batch, **settings):
        return super().evaluate(everything_chosen(batch), **settings)


class LearnsHoles(GPTPolicy):
    """Hides what it scores in a hole, but not its gradient."""

    def evaluate(self, batch, **settings):
        scored = super().evaluate(batch, **settings)
        full = super().evaluate(everything_chosen(batch), **settings).log_probs
        hidden = torch.where(torch.from_numpy(batch.mask), 0.0, full - full.detach())
        return dataclasses.replace(scored, log_probs=scored.log_probs + hidden)


class SkipsHoles(GPTPolicy):
    """Reads what the environment wrote as another token."""

    def evaluate(self, batch, **settings):
        tokens = batch.tokens.copy()
        for row, start in enumerate(batch.prompt_lengths):
            written = np.flatnonzero(~batch.mask[row, : batch.lengths[row]])
            tokens[row, start + written] = 9
        return super().evaluate(dataclasses.replace(batch, tokens=tokens), **settings)


class PadsMessages(GPTPolicy):
    """Encodes messages with the pad id."""

    def encode_message(self, text):
        return [self.tokenizer.pad_id, *super().encode_message(text)]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (DriftingLogProbs, "generate and evaluate disagree on log-prob"),
        pytest.param(
            WrongValues, "generate and evaluate disagree on values", marks=pytest.mark.slow
        ),
        pytest.param(SampleMajor, "generate and evaluate disagree", marks=pytest.mark.slow),
        (AlwaysFinished, "finished does not say"),
        (OverBudget, "breaks the budget"),
        (StaleCache, "older weights"),
        (TrustingCache, "act and evaluate disagree"),
        (IgnoresMask, "the mask forbids"),
        (UnmaskedLogProbs, "masked distribution"),
        (GlobalRandomness, "global random generator"),
        (Seedless, "same seed writes other"),
        (FrozenVersion, "does not raise version"),
        (LeakingPad, "depends on the rows beside it"),
        (DirtyPadding, "not 0 on padding"),
        (SharedGradient, "reaches the value head"),
        (NoGradient, "do not lead generate"),
        (ForgetsValueHead, "loaded policy"),
        (ForgetsVersion, "version is lost"),
        (LoadsRubbish, "truncated checkpoint loads"),
        (SwallowsLongPrompts, "not refused"),
        (PreparesByTraining, "prepare changes"),
        (KnowsNoTemperature, "does not divide the scores"),
        (ScoresAtOne, "generate and evaluate disagree at temperature 0.6"),
        (ActsAtOne, "act and evaluate disagree at temperature 0.6"),
        (OneTemperature, "each row at its own temperature"),
        (PlainEntropy, "entropy is not that of the tempered"),
        (TemperedValues, "temperature changes the values"),
        (ScoresHoles, "is not 0 where the environment wrote"),
        (LearnsHoles, "what the environment wrote has a gradient"),
        (SkipsHoles, "scored otherwise where the environment wrote"),
        (PadsMessages, "encode_message returns no ids"),
    ],
)
def test_each_broken_promise_is_named(broken, message):
    with pytest.raises(ConformanceError, match=message):
        check_policy(broken)


def test_a_skip_that_draws_otherwise_is_found():
    from codegym.policies.uniform import UniformPolicy

    class Skips(UniformPolicy):
        def skip(self, rng, *, programs, budget):
            super().skip(rng, programs=programs, budget=budget + 1)

    with pytest.raises(ConformanceError, match="skip leaves a generator elsewhere"):
        check_policy(Skips)
