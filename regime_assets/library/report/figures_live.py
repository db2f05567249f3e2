"""The picture of a live champion: what it earned, traded and lost to execution, each in its predictive band."""

from __future__ import annotations

import pandas as pd

from regime_assets.library.report.chart import Chart
from regime_assets.library.report.figure_style import days, strategy_colour, thinned

FEWEST_DRAWN = 5  # sessions: fewer are no line

HEADINGS = {
    "cumulative": "return since it went live, net of costs, in the band of its own record",
    "turnover": "turnover, multiples of wealth",
    "slippage": "slippage against plan, share of wealth",
}


def live_bands(paths: pd.DataFrame) -> str:
    """A panel for each of `HEADINGS`: the line, and the band between its _low and _high.

    Args:
        paths: index = sessions; for each heading's name the columns name, name_low and name_high.
    """
    chart = Chart(5.2, (1.6, 1.0, 1.0))
    for panel, (name, text) in zip(chart.panels, HEADINGS.items(), strict=True):
        panel.heading = text
        for edge in (thinned(paths[f"{name}{end}"]) for end in ("_low", "_high")):
            panel.line(days(edge.index), edge, strategy_colour(2), 0.9)
        line = thinned(paths[name])
        panel.line(days(line.index), line, strategy_colour(0), 1.9)
    return chart.svg()
