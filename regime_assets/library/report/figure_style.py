"""What all pictures share: size, ink, colours, and how a drawing becomes bytes.

Pictures are drawn with matplotlib's object interface, never pyplot, so that drawing in one thread leaves no state
behind for another. A picture is either a PNG on white paper (asset metadata) or an SVG fragment (the report), whose
ink and paper are CSS variables, so that it follows the page into dark mode and stays sharp in print.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

Form = Literal["png", "svg"]

WIDTH_INCHES = 5.4  # one column of the report; scaled to a phone's width its text is still about 9 px high
TEXT_POINTS = 10.0
PNG_DOTS_PER_INCH = 150
PNG_COLOURS = 128  # of the palette: line art on white stays far below 60 KB, which metadata can carry
MOST_POINTS = 800  # of a line: more than the picture has columns

INK, MUTED, GRID, PAPER = "#1f2a37", "#67727f", "#dde2e8", "#fefefe"
CSS_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper"}

# Calm, uneasy, turbulent. Blue, amber and vermilion (Okabe and Ito 2008) differ in hue and lightness for every
# kind of colour blindness, and a regime's colour depends on its position alone, so refits do not repaint history.
CALM, UNEASY, TURBULENT = "#3a7fc1", "#e3a72f", "#cf4a1c"
# P. Tol's "bright" scheme; the subject first, the passive reference in grey, the others after.
STRATEGIES = ("#aa3377", "#4477aa", "#8a929c", "#228833", "#c0a92b", "#39a9c9", "#ee6677", "#7a5c3e")
GAIN, LOSS = CALM, TURBULENT


def regime_colours(n_regimes: int) -> tuple[str, ...]:
    """One colour for each regime, calm to turbulent; the ends are the same for every number of regimes."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("regimes", [CALM, UNEASY, TURBULENT])
    return tuple(to_hex(scale(x)) for x in np.linspace(0.0, 1.0, max(n_regimes, 2))[:n_regimes])


def strategy_colour(position: int) -> str:
    """The colour of the strategy at `position` (0 is the subject of the report)."""
    return STRATEGIES[position % len(STRATEGIES)]


def panels(height: float, ratios: Sequence[float] = (1.0,)) -> tuple[Figure, list[Axes]]:
    """A figure of one column width and `height` inches with panels of the given height ratios on one x axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained", facecolor=PAPER)
    grid = figure.subplots(
        len(ratios), 1, squeeze=False, sharex=len(ratios) > 1, gridspec_kw={"height_ratios": list(ratios)}
    )
    axes: list[Axes] = list(grid[:, 0])
    for panel in axes:
        panel.set_facecolor("none")
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.spines["bottom"].set_color(MUTED)
        panel.tick_params(labelsize=TEXT_POINTS - 1, labelcolor=MUTED, color=MUTED, length=3, which="both")
        panel.tick_params(axis="y", length=0, which="both")
        panel.grid(axis="y", color=GRID, linewidth=0.8)
        panel.set_axisbelow(True)
        panel.margins(x=0.0)
    return figure, axes


def heading(axes: Axes, text: str) -> None:
    """Name what the y axis shows, above its upper left end, where it costs no width."""
    axes.set_title(plain(text), loc="left", fontsize=TEXT_POINTS, color=MUTED, pad=4)


def legend(figure: Figure, axes: Axes, columns: int = 3) -> None:
    """The legend of `axes`, above all panels of `figure`."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=min(columns, len(labels)),
        fontsize=TEXT_POINTS - 0.5,
        frameon=False,
        labelcolor=INK,
        handlelength=1.3,
        columnspacing=1.2,
        borderaxespad=0.1,
    )


def dated(axes: Axes) -> None:
    """Few and short dates on the x axis."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set(fontsize=TEXT_POINTS - 1, color=MUTED)


def logarithmic(axes: Axes, low: float, high: float) -> None:
    """A log scale for values from `low` to `high` with round labels, however narrow the range."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_yscale("log")
    wide = high > 2.5 * low
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7), numticks=8) if wide else MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def plain(text: str) -> str:
    """`text` with its dollar signs kept from being read as mathematics."""
    return text.replace("$", r"\$")


def days(index: pd.Index) -> NDArray[np.datetime64]:
    """The sessions of an index as numbers matplotlib can place."""
    return pd.DatetimeIndex(index).to_numpy(dtype="datetime64[D]")


def thinned(series: pd.Series, most: int = MOST_POINTS) -> pd.Series:
    """At most about `most` points of `series`: the lowest and highest of each stretch, and both ends.

    A drawdown's trough is one session; taking every n-th session would miss it.
    """
    if len(series) <= most:
        return series
    values = series.to_numpy(dtype=float)
    kept = {0, len(series) - 1}
    for stretch in np.array_split(np.arange(len(series)), most // 2):
        finite = stretch[np.isfinite(values[stretch])]
        if len(finite):
            kept.update((int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])))
        else:
            kept.add(int(stretch[0]))  # a gap stays a gap
    return series.iloc[sorted(kept)]


def single(line: pd.Series) -> dict[str, Any]:
    """How to draw a line of one point, of which matplotlib would show nothing: with a marker."""
    return {"marker": "o"} if int(line.notna().sum()) == 1 else {}


def drawn_over(lines: Mapping[str, pd.Series]) -> str:
    """A line of text for each line that hides others which are exactly the same; empty when each can be seen."""
    hidden: dict[str, list[str]] = {}
    names = list(lines)
    for place, name in enumerate(names):
        first = next((other for other in names[:place] if lines[other].equals(lines[name])), None)
        if first is not None:
            hidden.setdefault(first, []).append(name)
    return "\n".join(f"{' and '.join(under)} under {top}, the same line" for top, under in hidden.items())


def rendered(figure: Figure, form: Form) -> bytes:
    """The bytes of `figure`: a PNG of few colours, or an SVG fragment to be put inline in an HTML page."""
    return _png(figure) if form == "png" else _svg(figure)


def markdown_picture(png: bytes, alt: str) -> str:
    """A PNG as a self-contained markdown image, as Dagster's `MetadataValue.md` shows it."""
    words = re.sub(r"[\[\]\\<>\s]+", " ", alt).strip()
    return f"![{words}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(PNG_DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
    picture = Image.fromarray(pixels).quantize(PNG_COLOURS, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _svg(figure: Figure) -> bytes:
    from matplotlib import rc_context

    figure.set_facecolor("none")
    buffer = io.BytesIO()
    # Text stays text (searchable, in the page's font); the salt makes the ids, and so the bytes, reproducible.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "regime_assets"}):
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", dpi=PNG_DOTS_PER_INCH, metadata=nothing)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)  # an HTML parser knows them
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text)  # would repeat from picture to picture
    text = re.sub(r'(?<= d=")[^"]*', _shortened, text)
    for colour, variable in CSS_VARIABLES.items():
        text = text.replace(colour, f"var({variable}, {colour})")
    return text.encode()


def _shortened(path: re.Match[str]) -> str:
    """A path's coordinates to a tenth of a point: half the bytes, and nothing that a screen could show."""
    return re.sub(r"(\.\d)\d+", r"\1", path[0])
