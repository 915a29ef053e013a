"""hf: causal language models of Hugging Face transformers, whole or with LoRA adapters."""
