"""The words of the default vocabulary: Python's, and those of the atoms' prompts."""

_INDENTS = (*("\n" + "    " * depth for depth in range(1, 6)), "    ")

_BARE = """
def return for while if elif else in not and or is None True False lambda pass break continue
import from class try except finally raise with as assert yield global nonlocal del print range
len sum min max abs sorted list dict set tuple int float str bool any all map filter zip enumerate
reversed round ord chr divmod isinstance append extend insert pop remove index count sort reverse
copy clear join split strip lower upper replace find startswith endswith isdigit isalpha isalnum
isupper islower title capitalize swapcase keys values items get update add key default self xs ys ws
s n x y i j k a b c d m f w result total out ch words text nums item value left right start
stop end tmp seen counts first last math Counter
""".split()

_SPACED = """
in for if else and or not is lambda return None True False x y i j k n s a b c d m w xs ys ws v
sum len sorted list int str bool float dict set tuple max min abs any all range zip enumerate
reversed result total out ch key value words text item left right
the of each number numbers list string by to and or from with if is it its a an all only first last
next then but before that finally items item word words letters letter character characters
sum product largest smallest maximum minimum value values keep drop remove take add subtract
multiply divide reverse sort square negate count return compute convert split join order ascending
descending even odd positive negative greater less than above below equal times increase decrease
empty length every other digits digit upper lower case space spaces between into up down at most
least one two three zero index position sums running distinct duplicates copy absolute unique
vowels dictionary keys pairs difference remainder neighbours longest shortest alphabetical
""".split()

_OPERATORS = "= + - * / % < > ! & | ( [ { : \" ' @ ^ ~ ."


def _unique(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


DEFAULT_WORDS: tuple[str, ...] = _unique(
    _INDENTS
    + tuple(" " + sign for sign in _OPERATORS.split())
    + tuple(word for word in _BARE if len(word) > 1)
    + tuple(" " + word for word in _SPACED)
)
