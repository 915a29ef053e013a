"""Words: texts and lists of words."""

from codegym.atoms.atom import atom


@atom(
    "split into words",
    "make a list of the words",
    "split it at the spaces",
    level=2,
)
def split_words(s: str) -> list[str]:
    """Split a text at its spaces.

    >>> split_words("a red  bee")
    ['a', 'red', 'bee']
    """
    return s.split()


@atom(
    "join with spaces",
    "join the words with spaces",
    "put the words in one string with spaces between",
    level=2,
)
def join_with_spaces(ws: list[str]) -> str:
    """Write words one after another with a space between them.

    >>> join_with_spaces(["a", "bee"])
    'a bee'
    """
    return " ".join(ws)


@atom(
    "join with dashes",
    "join the words with dashes",
    "put the words in one string with dashes between",
    level=2,
)
def join_with_dashes(ws: list[str]) -> str:
    """Write words one after another with a dash between them.

    >>> join_with_dashes(["a", "bee"])
    'a-bee'
    """
    return "-".join(ws)


@atom(
    "capitalize each word",
    "capitalize all words",
    "write each word with one capital and then small letters",
)
def capitalize_each(ws: list[str]) -> list[str]:
    """Give each word one capital, its first letter.

    >>> capitalize_each(["bee", "STAR"])
    ['Bee', 'Star']
    """
    return [w.capitalize() for w in ws]


@atom(
    "join the first letters",
    "join the first letter of each word",
    "make a string of the first letters of the words",
)
def initials(ws: list[str]) -> str:
    """Write the first letter of each word.

    >>> initials(["River", "of", "Ink"])
    'RoI'
    """
    return "".join(w[:1] for w in ws)


@atom(
    "find the longest word or an empty string if empty",
    "take the longest word or an empty string if empty",
    "find the first longest word or an empty string if empty",
    inline='max(ws, key=len, default="")',
)
def longest_word(ws: list[str]) -> str:
    """Return the longest word, the first of several, or "" for an empty list.

    >>> longest_word(["ox", "bee", "dog"])
    'bee'
    """
    longest = ""
    for w in ws:
        if len(w) > len(longest):
            longest = w
    return longest


@atom(
    'keep words that hold the letter "{k}"',
    'keep words with the letter "{k}"',
    'drop words without the letter "{k}"',
    draw={"k": tuple("aeot")},
)
def keep_words_with(ws: list[str], k: str) -> list[str]:
    """Keep the words in which a letter occurs.

    >>> keep_words_with(["tree", "sky", "bee"], "e")
    ['tree', 'bee']
    """
    return [w for w in ws if k in w]


@atom(
    "check that it reads the same backwards",
    "tell whether it is a palindrome",
    "check that it is a palindrome",
)
def is_palindrome(s: str) -> bool:
    """Tell whether a text reads the same from both ends.

    >>> is_palindrome("noon"), is_palindrome("moon")
    (True, False)
    """
    return s == s[::-1]


@atom(
    'write "yes" if true and "no" if false',
    'answer "yes" if true or "no" if false',
    'convert true to "yes" and false to "no"',
)
def yes_or_no(p: bool) -> str:
    """Say a truth value in words.

    >>> yes_or_no(True)
    'yes'
    """
    return "yes" if p else "no"


@atom(
    "write {a} and then {b}",
    "join the strings {a} and {b}",
    "append {b} to {a}",
)
def join_texts(s: str, t: str) -> str:
    """Write a second text right after a first.

    >>> join_texts("moon", "sky")
    'moonsky'
    """
    return s + t
