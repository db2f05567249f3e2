"""What all pictures share: colours, and how many points of a line are drawn.

A picture is an SVG fragment (`chart`): the report puts it inline, and asset metadata shows the same one as an image.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.report.chart import standing_alone

MOST_POINTS = 320  # of a line: as many as the picture is points wide

# Calm, uneasy, turbulent. Blue, amber and vermilion (Okabe and Ito 2008) differ in hue and lightness for every
# kind of colour blindness, and a regime's colour depends on its position alone, so refits do not repaint history.
CALM, UNEASY, TURBULENT = "#3a7fc1", "#e3a72f", "#cf4a1c"
# P. Tol's "bright" scheme; the subject first, the passive reference in grey, the others after.
STRATEGIES = ("#aa3377", "#4477aa", "#8a929c", "#228833", "#c0a92b", "#39a9c9", "#ee6677", "#7a5c3e")


def regime_colours(n_regimes: int) -> tuple[str, ...]:
    """One colour for each regime, calm to turbulent; the ends are the same for every number of regimes."""
    places = np.linspace(0.0, 1.0, max(n_regimes, 2))[:n_regimes]
    return tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in blended((CALM, UNEASY, TURBULENT), places).tolist())


def blended(colours: tuple[str, str, str], places: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours (..., 3) at places from 0 to 1 on the way from the first over the second to the third."""
    stops = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours], dtype=float)
    channels = [np.interp(places, (0.0, 0.5, 1.0), stops[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def strategy_colour(position: int) -> str:
    """The colour of the strategy at `position` (0 is the subject of the report)."""
    return STRATEGIES[position % len(STRATEGIES)]


def days(index: pd.Index) -> NDArray[np.float64]:
    """The sessions of an index as days since 1970."""
    return pd.DatetimeIndex(index).to_numpy(dtype="datetime64[D]").astype(np.float64)


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


def drawn_over(lines: Mapping[str, pd.Series]) -> str:
    """A line of text for each line that hides others which are exactly the same; empty when each can be seen."""
    hidden: dict[str, list[str]] = {}
    names = list(lines)
    for place, name in enumerate(names):
        first = next((other for other in names[:place] if lines[other].equals(lines[name])), None)
        if first is not None:
            hidden.setdefault(first, []).append(name)
    return "\n".join(f"{' and '.join(under)} under {top}, the same line" for top, under in hidden.items())


def markdown_picture(svg: str, alt: str) -> str:
    """A drawing as a self-contained markdown image, as Dagster's `MetadataValue.md` shows it."""
    words = re.sub(r"[\[\]\\<>\s]+", " ", alt).strip()
    return f"![{words}](data:image/svg+xml;base64,{base64.b64encode(standing_alone(svg)).decode()})"
