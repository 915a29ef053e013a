"""Charts: lines with bands, and shares over time, as SVG inside a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

_WIDTH, _HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 12, 34
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 4", "12 4", "4 4")
_FILLS = 7


@dataclass(frozen=True, slots=True)
class Series:
    """A line.

    Attributes:
        name: What it shows.
        xs, ys: Its points.
        lows, highs: Its band; empty for none.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class _Scale:
    """Places of values in a picture."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Return the place of a value of the horizontal axis."""
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return the place of a value of the vertical axis."""
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    bounds: tuple[float, float] | None = None,
    mark: tuple[float, str] | None = None,
) -> str:
    """Return a figure of lines; "" if no line has a point.

    Args:
        title: Its title.
        series: The lines.
        x_label: Name of the horizontal axis.
        bounds: Lowest and highest value of the vertical axis; by the lines if None.
        mark: A place of the horizontal axis and its name.
    """
    drawn = [line for line in series if len(line.xs)]
    if not drawn:
        return ""
    xs = [x for line in drawn for x in line.xs]
    ys = [y for line in drawn for values in (line.ys, line.lows, line.highs) for y in values]
    low, high = bounds or (min(0.0, *ys), max(ys))
    # A line at the lowest value is above the axis, so that it is seen.
    pad = (high - low or 1.0) * 0.04
    # A single point is in the middle.
    room = 0.0 if max(xs) > min(xs) else 0.5
    scale = _Scale(min(xs) - room, max(xs) + room, low - pad, high + pad)
    parts = [_axes(scale, x_label)]
    if mark is not None and scale.x_low <= mark[0] <= scale.x_high:
        at = scale.x(mark[0])
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" '
            f'stroke="var(--soft)" stroke-dasharray="1 3"/>'
            # The halo keeps the words apart from the lines behind them.
            f'<text x="{min(at + 4, _WIDTH - 60):.1f}" y="{_TOP + 9}" paint-order="stroke" '
            f'stroke="var(--card)" stroke-width="5">{escape(mark[1])}</text>'
        )
    for number, line in enumerate(drawn):
        parts.append(_line(line, number, scale))
    last = ", ".join(f"{line.name} ends at {line.ys[-1]:.3g}" for line in drawn)
    keys = [(line.name, _swatch(number)) for number, line in enumerate(drawn)]
    return _figure(title, f"{title} by {x_label}: {last}", "".join(parts), keys)


def share_chart(
    title: str, xs: Sequence[float], shares: Mapping[str, Sequence[float]], *, x_label: str
) -> str:
    """Return a figure of shares that add up to 1 at every point, stacked; "" without points."""
    if not len(xs):
        return ""
    places = list(xs) if len(xs) > 1 else [xs[0], xs[0] + 1]
    scale = _Scale(places[0], places[-1], 0.0, 1.0)
    below = [0.0] * len(places)
    parts, keys = [_patterns()], []
    for number, (name, values) in enumerate(shares.items()):
        row = list(values) if len(xs) > 1 else [values[0]] * 2
        above = [low + value for low, value in zip(below, row, strict=True)]
        there = [f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in zip(places, above, strict=True)]
        back = [f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in zip(places, below, strict=True)]
        kind = number % _FILLS
        points = " ".join([*there, *reversed(back)])
        parts.append(
            f'<polygon points="{points}" fill="var(--s{kind})" fill-opacity=".55" '
            f'stroke="var(--card)" stroke-width="1"><title>{escape(name)}</title></polygon>'
            f'<polygon points="{points}" fill="url(#p{kind})" pointer-events="none"/>'
        )
        keys.append((f"{name} {row[-1]:.0%}", _patch(kind)))
        below = above
    parts.append(_axes(scale, x_label))
    last = ", ".join(f"{name} {values[-1]:.0%}" for name, values in shares.items())
    return _figure(title, f"{title} by {x_label}; at the end {last}", "".join(parts), keys)


def _figure(title: str, text: str, inside: str, keys: Sequence[tuple[str, str]]) -> str:
    legend = "".join(f"<li>{swatch}{escape(name)}</li>" for name, swatch in keys)
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(text)}">'
        f'{inside}</svg><ul class="key">{legend}</ul></figure>'
    )


def _line(line: Series, number: int, scale: _Scale) -> str:
    colour = f"var(--s{number % _FILLS})"
    points = [(scale.x(x), scale.y(y)) for x, y in zip(line.xs, line.ys, strict=True)]
    parts = []
    if len(line.lows):
        up = [
            f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in zip(line.xs, line.highs, strict=True)
        ]
        down = [
            f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in zip(line.xs, line.lows, strict=True)
        ]
        band = " ".join([*up, *reversed(down)])
        parts.append(f'<polygon points="{band}" fill="{colour}" fill-opacity=".15"/>')
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = _DASHES[number % len(_DASHES)]
    parts.append(
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
        f'stroke-dasharray="{dash}"/>'
    )
    if len(points) <= 30:
        for (x, y), value in zip(points, line.ys, strict=True):
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
                f"<title>{escape(line.name)} {value:.3f}</title></circle>"
            )
    return "".join(parts)


def _axes(scale: _Scale, x_label: str) -> str:
    base = _HEIGHT - _BOTTOM
    parts = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}" stroke="var(--soft)"/>'
    ]
    for value in ticks(scale.y_low, scale.y_high):
        y = scale.y(value)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="var(--line)"/>'
            f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for value in ticks(scale.x_low, scale.x_high):
        x = scale.x(value)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}" stroke="var(--soft)"/>'
            f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{value:g}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 3}" text-anchor="middle">{escape(x_label)}</text>'
    )
    return "".join(parts)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return at most ``most + 1`` round numbers from ``low`` to ``high``."""
    raw = (high - low) / most
    power = 10.0 ** floor(log10(raw))
    step = next(unit * power for unit in (1, 2, 2.5, 5, 10) if unit * power >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _swatch(number: int) -> str:
    return (
        f'<svg viewBox="0 0 32 12" aria-hidden="true"><line x1="0" x2="32" y1="6" y2="6" '
        f'stroke="var(--s{number % _FILLS})" stroke-width="3" '
        f'stroke-dasharray="{_DASHES[number % len(_DASHES)]}"/></svg>'
    )


def _patch(kind: int) -> str:
    return (
        f'<svg viewBox="0 0 32 12" aria-hidden="true"><rect width="32" height="12" '
        f'fill="var(--s{kind})" fill-opacity=".55"/>'
        f'<rect width="32" height="12" fill="url(#p{kind})"/></svg>'
    )


def _patterns() -> str:
    """Return a hatching for each fill, so that areas differ without colour too."""
    lines = ("", "M0 8L8 0", "M0 0L8 8", "M0 4H8", "M4 0V8", "M0 4H8M4 0V8", "M0 8L8 0M0 0L8 8")
    return (
        "<defs>"
        + "".join(
            f'<pattern id="p{number}" width="8" height="8" patternUnits="userSpaceOnUse">'
            f'<path d="{line}" stroke="var(--ink)" stroke-opacity=".35" fill="none"/></pattern>'
            for number, line in enumerate(lines)
        )
        + "</defs>"
    )
