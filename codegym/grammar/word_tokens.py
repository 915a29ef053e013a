"""The words and signs of Python 3.11 and the terminals they stand for."""

KEYWORDS = (
    "False None True and as assert async await break class continue def del elif else except "
    "finally for from global if import in is lambda nonlocal not or pass raise return try while "
    "with yield"
).split()
# Words that are names wherever the rest of the grammar has no other use for them.
SOFT = {"match": "MATCH", "case": "CASE"}
# Words that are names for some purposes only.
SPECIAL = {"_": "UNDERSCORE", "__debug__": "DEBUG"}
# What no sign and no keyword writes. ITEMS stands for nothing: see `parser.Parser`.
LAYOUT = (
    *"NAME NUMBER IMAGINARY STRING BYTES NEWLINE INDENT DEDENT ITEMS".split(),
    *"FSTART FEND FLONG FLONGEND FOPEN FCLOSE FCOLON FEQUAL FCONVERSION".split(),
    *SOFT.values(),
    *SPECIAL.values(),
)

OPERATORS = {
    "(": "LPAR",
    ")": "RPAR",
    "[": "LSQB",
    "]": "RSQB",
    "{": "LBRACE",
    "}": "RBRACE",
    ":": "COLON",
    ",": "COMMA",
    ";": "SEMI",
    ".": "DOT",
    "...": "ELLIPSIS",
    "=": "ASSIGN",
    ":=": "WALRUS",
    "->": "ARROW",
    "|": "PIPE",
    "^": "CARET",
    "&": "AMPER",
    "<<": "LSHIFT",
    ">>": "RSHIFT",
    "+": "PLUS",
    "-": "MINUS",
    "*": "STAR",
    "/": "SLASH",
    "//": "DSLASH",
    "%": "PERCENT",
    "@": "AT",
    "~": "TILDE",
    "**": "DSTAR",
    "<": "LESS",
    ">": "MORE",
    "==": "EQUAL",
    "<=": "ATMOST",
    ">=": "ATLEAST",
    "!=": "UNEQUAL",
    **dict.fromkeys("+= -= *= /= //= %= @= &= |= ^= <<= >>= **=".split(), "AUG"),
}
# Signs of CPython's tokenizer that no production uses; they are read whole all the same.
FOREIGN_OPERATORS = ("<>",)
BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
