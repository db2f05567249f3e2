"""The picture of a live champion: what it earned, traded and lost to execution, each in its predictive band."""

from __future__ import annotations

import pandas as pd

from regime_assets.library.report.figure_style import (
    Form,
    dated,
    days,
    heading,
    panels,
    rendered,
    strategy_colour,
    thinned,
)

FEWEST_DRAWN = 5  # sessions: fewer are no line

HEADINGS = {
    "cumulative": "return since it went live, net of costs, in the band of its own record",
    "turnover": "turnover, multiples of wealth",
    "slippage": "slippage against plan, share of wealth",
}


def live_bands(paths: pd.DataFrame, *, form: Form = "png") -> bytes:
    """A panel for each of `HEADINGS`: the line, and the band between its _low and _high.

    Args:
        paths: index = sessions; for each heading's name the columns name, name_low and name_high.
        form: "png" or "svg".
    """
    figure, rows = panels(5.2, (1.6, 1.0, 1.0))
    for axes, (name, text) in zip(rows, HEADINGS.items(), strict=True):
        line, low, high = (thinned(paths[f"{name}{end}"]) for end in ("", "_low", "_high"))
        for edge in (low, high):
            axes.plot(days(edge.index), edge, color=strategy_colour(2), lw=0.9)
        axes.plot(days(line.index), line, color=strategy_colour(0), lw=1.9)
        heading(axes, text)
    dated(rows[-1])
    return rendered(figure, form)
