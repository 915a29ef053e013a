"""Word list: the vocabulary of a new policy, taken from its training tasks."""

from codegym.errors import ConfigError
from codegym.tasks.task_source import TaskSource
from codegym.tokenizers import Tokenizer, make_tokenizer
from codegym.tokenizers.lexemes import LexemeTokenizer

_TASKS_READ = 20_000


def tokenizer_for(source: TaskSource | None, name: str, words: int) -> Tokenizer:
    """Make a tokenizer with its shipped words, or with the words that a source's tasks use most.

    Args:
        source: The tasks; of a long source at most about 20,000 are read, spread evenly.
        name: Name of the tokenizer.
        words: Number of words; 0 for the shipped words.

    Raises:
        ConfigError: Words are asked of a tokenizer that has none.
    """
    made = make_tokenizer(name)
    if not words:
        return made
    if not isinstance(made, LexemeTokenizer):
        raise ConfigError(
            "this tokenizer has no word list", value=name, expected="lexemes", cure="words=0"
        )
    if source is None:
        raise ConfigError(
            "a word list is taken from tasks", value=words, cure="give tasks, or words=0"
        )
    step = max(1, len(source) // _TASKS_READ)
    tasks = (source[number] for number in range(0, len(source), step))
    return LexemeTokenizer.fit(
        (task.prompt + (task.canonical_solution or "") for task in tasks), words
    )
