"""The backtest report: one HTML file that opens without a network or scripts, on a phone, in the dark and on paper."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regime_assets.library.report import figures
from regime_assets.library.report.content import (
    Fact,
    Part,
    RegimeHistory,
    ReportContent,
    ReportError,
    StrategyRow,
)
from regime_assets.library.report.data_files import data_folder, report_tables, write_data_files
from regime_assets.library.report.figure_style import strategy_colour
from regime_assets.library.report.gate_section import GateSection, render_badge, render_gate
from regime_assets.library.shared_files import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

__all__ = [
    "Fact",
    "Part",
    "RegimeHistory",
    "ReportContent",
    "ReportError",
    "StrategyRow",
    "monthly_table",
    "render_report",
    "write_report",
]

TEMPLATE = Path(__file__).with_name("report_template.html")


def monthly_table(net: pd.Series) -> pd.DataFrame:
    """Compounded returns by year (rows) and month (columns 1 to 12), and the year's in the column "year".

    Args:
        net: simple returns by session. A month of which the series holds a part shows that part; one without
            sessions is NaN.
    """
    sessions = pd.DatetimeIndex(net.index)
    growth = (1.0 + net).groupby([sessions.year, sessions.month]).prod() - 1.0
    table = growth.unstack().reindex(columns=range(1, 13))
    table["year"] = (1.0 + net).groupby(sessions.year).prod() - 1.0
    return table.rename_axis(index="year", columns="month")


def render_report(content: ReportContent, data: str = "") -> str:
    """The report as HTML.

    Args:
        content: what it says.
        data: the folder of its figures, relative to it, which it then links to.

    Raises:
        ReportError: there are no notes, or a part is left out without a reason or given with one.
    """
    from markupsafe import Markup

    content.check()
    subject = next(iter(content.net), "")
    gate = GateSection(content.verdict, rules=content.rules, absent=content.absent.get("gate", ""))
    return _template().render(
        content=content,
        data=data,
        tables=list(report_tables(content)),
        badge=Markup(render_badge(gate)),
        gate=Markup(render_gate(gate)),
        subject=subject,
        months=list(monthly_table(content.net[subject]).itertuples()) if subject else [],
        swatches=_swatches(content),
        # Markup is safe here: a drawing escapes its texts.
        pictures={name: Markup(svg) for name, svg in _pictures(content).items()},
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Any] = environment.filters
    filters |= {"number": _number, "percent": _percent, "strength": _strength}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def write_report(content: ReportContent, path: Path) -> None:
    """Write the report to `path`, which at any time holds the old file or the whole new one, and its figures beside it.

    Raises:
        ReportError: as `render_report`.
    """
    page = render_report(content, data_folder(path).name).encode()
    write_data_files(content, path)
    write_file(path, page)


def _pictures(content: ReportContent) -> Mapping[str, str]:
    """The SVG of each figure that there is data for."""
    drawn: dict[str, str] = {}
    if content.rows:
        (levels, differences), swatches = _estimates(content), _swatches(content)
        if levels:
            drawn["levels"] = figures.estimates(levels, "Sharpe ratio, 95 % interval", swatches)
        if differences:
            title = f"Sharpe ratio minus that of {content.reference}, 95 % interval"
            drawn["differences"] = figures.estimates(differences, title, swatches)
    if content.net:
        drawn["equity"] = figures.equity_and_drawdown(content.net)
        if len(next(iter(content.net.values()))) > content.rolling_window:
            drawn["rolling"] = figures.rolling_sharpe_with_band(
                content.net, content.rolling_window, content.sessions_per_year
            )
    if content.weights is not None:
        drawn["weights"] = figures.weights_over_time(content.weights)
    if content.regimes is not None:
        history, sessions = content.regimes, pd.DatetimeIndex(content.regimes.prices.index)
        shown = history.states if history.posteriors is None else history.posteriors
        drawn["ribbon"] = figures.regime_ribbon(sessions, history.prices, shown, history.names)
        drawn["occupancy"] = figures.regime_occupancy(sessions, history.states, history.names)
        if history.latents is not None:
            drawn["latents"] = figures.latent_map(history.latents, history.states, history.names)
    if content.vae_curves is not None:
        drawn["vae"] = figures.loss_curves(content.vae_curves)
    if content.policy_curves is not None:
        drawn["policy"] = figures.reward_curves(content.policy_curves)
    return drawn


def _swatches(content: ReportContent) -> dict[str, str]:
    """The colour of each strategy, the same in pictures and tables."""
    names = list(content.net) or [row.name for row in content.rows]
    return {name: strategy_colour(position) for position, name in enumerate(names)}


def _estimates(
    content: ReportContent,
) -> tuple[dict[str, figures.Estimate], dict[str, figures.Estimate]]:
    """Sharpe ratios and their differences to the reference with their intervals, of the rows that have them."""
    levels = {
        row.name: figures.Estimate(row.summary.sharpe, *row.sharpe_interval)
        for row in content.rows
        if row.summary.sharpe is not None and row.sharpe_interval is not None
    }
    return levels, {row.name: row.difference for row in content.rows if row.difference is not None}


def _number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A number with a true minus sign, none on a rounded zero; an en dash where there is no number."""
    if value is None or not np.isfinite(value):
        return "–"
    rounded = round(float(value), digits) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''},.{digits}f}".replace("-", "−")


def _percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return "–" if value is None or not np.isfinite(value) else f"{_number(100.0 * value, digits)} %"


def _strength(value: float, full: float) -> str:
    """The strength of a cell's colour, 0 to 0.7."""
    return f"{0.7 * min(abs(value) / full, 1.0):.2f}"
