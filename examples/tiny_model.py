"""Write a tiny random language model with a tokenizer of bytes, to try trainers on a CPU.

    pip install torch transformers
    python examples/tiny_model.py runs/tiny

The folder is one that transformers, TRL and others open. The model knows nothing.
"""

import argparse
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast, set_seed

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer_of_bytes(template: str = CHAT) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token for each byte, and the marks of a chat's turns."""
    words = {
        word: number for number, word in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    inner = Tokenizer(models.BPE(vocab=words, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(mark, special=True) for mark in ("<|im_start|>",)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        padding_side="left",
        chat_template=template,
    )


def write(folder: Path, template: str = CHAT, seed: int = 0) -> None:
    """Write model and tokenizer into a folder."""
    set_seed(seed)
    tokenizer = tokenizer_of_bytes(template)
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=8192,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--template", type=Path, help="chat template, a Jinja file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    template = options.template.read_text() if options.template else CHAT
    write(options.folder, template, options.seed)
    print(options.folder)


if __name__ == "__main__":
    main()
