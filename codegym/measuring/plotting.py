"""Plotting: what all plots of matplotlib share: colours, markers, and where the legend is."""

from typing import Any

# Okabe and Ito's colours, which people without full colour vision tell apart; each line also has a
# marker and a dash of its own.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", "-.", ":")

STYLES: tuple[dict[str, str], ...] = tuple(
    {
        "color": _COLOURS[number % len(_COLOURS)],
        "marker": _MARKERS[(number + 3 * (number // len(_COLOURS))) % len(_MARKERS)],
        "linestyle": _DASHES[(number // len(_COLOURS)) % len(_DASHES)],
    }
    for number in range(len(_COLOURS) * len(_DASHES))
)
BAND: dict[str, Any] = {"alpha": 0.12, "linewidth": 0}


def new_figure(width: float, height: float) -> Any:
    """Return a figure of a size in inches, without pyplot, which would keep global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def place_legend(figure: Any, axes: Any) -> None:
    """Put the legend of some axes below the figure, where it covers no curve."""
    handles, labels = axes.get_legend_handles_labels()
    columns = max(1, min(len(labels), 4))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize="small")
