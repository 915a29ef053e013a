"""Chat template: renders messages as a model's template lays them out, by transformers' renderer.

Templates use extensions that belong to the renderer (``strftime_now``, ``raise_exception``,
``{% generation %}``, ``{% break %}``, ``tojson`` with arguments), so no other renderer will do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codegym.errors import ConfigError
from codegym.tokenizers.hf import HFTokenizer


def render_chat(
    messages: Sequence[Mapping[str, Any]],
    tokenizer: HFTokenizer,
    *,
    add_generation_prompt: bool = True,
    **variables: Any,
) -> str:
    """Return messages as text, with the beginning of the model's answer.

    Args:
        messages: Dictionaries with ``role`` and ``content``.
        tokenizer: Holds the template and the special tokens that it may name.
        add_generation_prompt: Whether the text ends with the head of the assistant's turn.
        variables: Further variables of the template, such as ``enable_thinking``.

    Raises:
        ConfigError: There is no template, or it refuses the messages: many accept no ``system``
            role, or demand that user and assistant alternate.
    """
    if not tokenizer.chat_template:
        raise ConfigError(
            "the model has no chat template", value="chat", expected="style code, or a chat model"
        )
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        # Annotated as text; in fact a list of texts, and the places of generated tokens.
        rendered: Any = render_jinja_template(
            [[dict(message) for message in messages]],
            chat_template=tokenizer.chat_template,
            add_generation_prompt=add_generation_prompt,
            **(_special_tokens(tokenizer) | variables),
        )
    except ImportError:
        raise
    except Exception as error:  # a template raises whatever its expressions raise
        raise ConfigError(
            f"the model's chat template refuses the messages ({error})",
            value=[message.get("role") for message in messages],
            expected="roles in an order that the template accepts",
            cure="put what the system message says into the user's request"
            if any(message.get("role") == "system" for message in messages)
            else "style code, or another template",
        ) from error
    return str(rendered[0][0])


def _special_tokens(tokenizer: HFTokenizer) -> dict[str, Any]:
    """Return the tokens that a template may name, as transformers hands them over."""
    found: dict[str, Any] = {}
    for name, entry in tokenizer.config.items():
        text = entry.get("content") if isinstance(entry, Mapping) else entry
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found
