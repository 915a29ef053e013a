"""Words of the default vocabulary: Python's words and those of the atoms' prompts."""

_INDENTS = (*("\n" + "    " * depth for depth in range(1, 6)), "    ")

_BARE = """
def return for while if elif else in not and or is None True False lambda pass break continue
import from class try except raise with as assert print range
len sum min max abs sorted list dict set tuple int float str bool any all map filter zip enumerate
reversed round ord chr divmod isinstance append extend insert pop remove index count sort reverse
copy join split strip lower upper replace find startswith endswith isdigit isalpha
isupper islower title capitalize swapcase keys values items get update add fromkeys key default
self xs ys ws fs result total out ch words text nums item value start end seen
counts first last yes no aeiou
Add Answer Append Capitalize Check Compute Convert Count Cut Decrease Divide Double Drop Find First
Flip Give Increase Join Keep List Make Map Move Multiply Negate Pair Put Remove Reverse
Round Skip Sort Spell Split Square Subtract Swap Take Tell Write
""".split()

_SPACED = """
in for if else and or not is lambda return None True False x y i j k n s t p f a b c d m w xs ys ws
fs v sum len sorted list int str bool float dict set tuple max min abs any all range zip enumerate
reversed round result total out ch key value words text item left right default
the of each number numbers string strings by to from with it its an only first last next then but
before after that finally items word letters letter character characters also are off what how
largest smallest maximum minimum values keep drop remove take add subtract multiply reverse sort
square negate count compute order ascending descending even odd positive negative greater less
than above below increase empty length lengths every other digits upper lower case spaces between
into up running totals duplicates copy absolute vowels keys remainder modulo differences neighbours
longest longer large small sign flip whether skip often occurs decimals percent alphabetically
backwards nearest integer dashes entries palindrome middle capital codes divides far mean gap minus
multiples point fraction table true false end hold reads same average distance median convert
split divide join move tell double check swap put append spell find capitalize make map
write answer cut pair times division divided itself as one decimal decrease give second at others
lists more does code many there short long alphabetical no two without counts
""".split()

_OPERATORS = "= + - * / % < > ! & | ( [ { \" '"


def _unique(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


DEFAULT_WORDS: tuple[str, ...] = _unique(
    _INDENTS
    + tuple(" " + sign for sign in _OPERATORS.split())
    + tuple(word for word in _BARE if len(word) > 1)
    + tuple(" " + word for word in _SPACED)
)
