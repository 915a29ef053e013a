"""Parse tables: what lark's LALR(1) analysis says of the grammar, read once per process."""

from functools import cache
from typing import Any

from codegym.errors import MissingExtraError
from codegym.grammar.productions import grammar_text

END = "$END"


class Tables:
    """The LALR(1) tables of the grammar.

    Attributes:
        shifts: For each state, symbol -> next state; terminals and non-terminals alike.
        reductions: For each state, terminal -> (symbol, length) of the rule to reduce.
        symbols: For each state, the symbol that leads to it.
        start: The first state.
        accepting: The state in which a whole file has been read.
        items: For each state, the rules begun in it: (symbol, length read, symbols to come).
        rules: Symbol -> right-hand sides.
        users: Symbol -> the symbols that have it in a right-hand side.
    """

    def __init__(self) -> None:
        table, start, accepting = _build()
        self.start, self.accepting = start, accepting
        self.shifts: list[dict[str, int]] = [{} for _ in table]
        self.reductions: list[dict[str, tuple[str, int]]] = [{} for _ in table]
        self.symbols = [""] * len(table)
        rules: dict[str, set[tuple[str, ...]]] = {}
        for state, row in table.items():
            for symbol, (action, argument) in row.items():
                if action.name == "Shift":
                    self.shifts[state][str(symbol)] = argument
                    self.symbols[argument] = str(symbol)
                else:
                    body = tuple(str(part.name) for part in argument.expansion)
                    self.reductions[state][str(symbol)] = (str(argument.origin.name), len(body))
                    rules.setdefault(str(argument.origin.name), set()).add(body)
        self.rules = {symbol: sorted(bodies) for symbol, bodies in sorted(rules.items())}
        self.users: dict[str, dict[str, None]] = {}
        for symbol, bodies in self.rules.items():
            for part in {part for body in bodies for part in body}:
                self.users.setdefault(part, {})[symbol] = None
        self.items = self._find_items()

    def _find_items(self) -> list[list[tuple[str, int, tuple[str, ...]]]]:
        """Read the begun rules of each state off the table, from where they are begun on.

        A rule is begun where its symbol may stand, and in every state its symbols lead to.
        """
        found: list[set[tuple[str, int, tuple[str, ...]]]] = [set() for _ in self.shifts]
        for state, row in enumerate(self.shifts):
            for name in row:
                for body in self.rules.get(name, ()):
                    here = state
                    for read, symbol in enumerate(body):
                        here = self.shifts[here][symbol]
                        found[here].add((name, read + 1, body[read + 1 :]))
        return [sorted(items) for items in found]


@cache
def load_tables() -> Tables:
    """Build the tables once per process.

    Raises:
        MissingExtraError: lark is not installed.
    """
    return Tables()


def _build() -> tuple[dict[int, dict[Any, Any]], int, int]:
    try:
        from lark import Lark
        from lark.lexer import Lexer
    except ModuleNotFoundError as error:
        raise MissingExtraError("lark", "grammar") from error

    class NoLexer(Lexer):
        """Terminals are fed one by one; nothing is read from a text."""

        def __init__(self, conf: Any) -> None:
            """Take lark's configuration and keep nothing."""

        def lex(self, *_: Any) -> Any:
            """Read nothing."""
            return iter(())

    parser = Lark(
        grammar_text(), parser="lalr", lexer=NoLexer, start="file", maybe_placeholders=False
    )
    conf = parser.parse_interactive("").parser_state.parse_conf
    return conf.states, conf.start_state, conf.end_state
