"""make_policy: a policy from a name with a variant, or from a checkpoint's folder."""

from pathlib import Path

from codegym import registry
from codegym.policies.checkpoint import load_policy
from codegym.policy import Policy
from codegym.tokenizers.tokenizer import Tokenizer


def make_policy(
    text: str | Path, *, tokenizer: str | Tokenizer = "lexemes", seed: int = 0
) -> Policy:
    """Make a new policy by name, or open a checkpoint.

    Args:
        text: ``name[:variant][?key=value&...]`` such as ``gpt:tiny``, or a checkpoint's folder.
        tokenizer: A new policy's tokenizer, or its name.
        seed: Seed of a new policy's first weights.

    Raises:
        UnknownNameError: No such policy, variant or tokenizer; names the nearest.
        CheckpointError: The folder holds no policy.
        MissingExtraError: It needs a package that is not installed.

    Example::

        policy = codegym.make_policy("gpt:tiny?value_hidden=64", seed=1)
    """
    if Path(text).is_dir():
        return load_policy(text)
    text = str(text)
    called, mark, options = text.partition("?")
    name, _, variant = called.partition(":")
    policy_class = registry.get("policies", name)
    if isinstance(tokenizer, str):
        tokenizer = registry.get("tokenizers", tokenizer)()
    policy: Policy = policy_class.create(variant + mark + options, tokenizer=tokenizer, seed=seed)
    return policy
