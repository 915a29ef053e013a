"""Word tokens: the keywords and operators of Python 3.11 and their terminals."""

KEYWORDS = (
    "False None True and as assert async await break class continue def del elif else except "
    "finally for from global if import in is lambda nonlocal not or pass raise return try while "
    "with yield"
).split()
# Words that are names wherever the grammar has no other use for them.
SOFT = {"match": "MATCH", "case": "CASE"}
# Words that are names only in some places.
SPECIAL = {"_": "UNDERSCORE", "__debug__": "DEBUG"}
# Terminals without a keyword or operator. ITEMS stands for an empty text: see `parser.Parser`.
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
# Operators of CPython's tokenizer that no production uses; the lexer still reads them whole.
FOREIGN_OPERATORS = ("<>",)
BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
