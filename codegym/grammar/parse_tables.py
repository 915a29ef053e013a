"""Parse tables: the LALR(1) tables that lark computes from the grammar, built once per process."""

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
        start: The initial state.
        accepting: The state after a whole file.
        items: For each state, its begun rules: (symbol, length read, remaining symbols).
        rules: Symbol -> right-hand sides.
        users: Symbol -> the symbols with this symbol in a right-hand side.
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
        """Find the begun rules of each state from the shifts.

        A rule is begun in every state that its symbols lead to from a state that expects it.
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
        """A lexer without input: terminals are fed to the parser individually."""

        def __init__(self, conf: Any) -> None:
            """Ignore lark's configuration."""

        def lex(self, *_: Any) -> Any:
            """Return no tokens."""
            return iter(())

    parser = Lark(
        grammar_text(), parser="lalr", lexer=NoLexer, start="file", maybe_placeholders=False
    )
    conf = parser.parse_interactive("").parser_state.parse_conf
    return conf.states, conf.start_state, conf.end_state
