"""Rules on splits and dividends: those that prices show and nobody declared, and those that prices do not confirm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from regime_assets.library.market.findings import Finding, QualitySettings, Severity
from regime_assets.library.market.move_odds import dividend_odds, split_odds, turnover_change
from regime_assets.library.market.panel import Panel

FEWEST_DIVIDENDS = 2


def unapplied_splits(panel: Panel, settings: QualitySettings) -> Iterator[Finding]:
    """Rule `unapplied_split`: no move that a split explains better than news does."""
    with np.errstate(invalid="ignore"):
        moved = np.abs(panel.moves) > np.log(settings.smallest_split)
    bound = settings.split_odds if "volume" in panel.values else settings.split_odds_of_closes
    for row, column in panel.cells(moved):
        size = float(panel.growth[row, column])
        if size >= settings.largest_rise or size <= settings.largest_fall:
            continue  # blocked whatever the evidence says
        if panel.dividend[row, column] > 0.0 and dividend_odds(panel, row, column) >= settings.dividend_odds:
            continue  # the dividend is what is wrong
        odds = split_odds(panel, row, column, settings)
        if odds < settings.worth_a_look * bound:
            continue
        severity: Severity = "error" if odds >= bound else "warn"
        value = float(panel.values["close"][row, column])
        yield panel.finding(
            row,
            column,
            "unapplied_split",
            field="close",
            value=value,
            bound=f"a level that follows from {panel.previous[row, column]:.6g}",
            severity=severity,
            detail=f"{_ratio(size)}; {_evidence(panel, row, column)}; odds of a split against news {_odds(odds)}",
        )


def unpaid_dividends(panel: Panel, settings: QualitySettings) -> Iterator[Finding]:
    """Rules `unpaid_dividend` and `large_dividend`: what a dividend takes, the price gives up."""
    with np.errstate(invalid="ignore"):
        share = panel.dividend * panel.split / panel.previous
    for row, column in panel.cells((share > settings.small_dividend) & np.isfinite(panel.moves)):
        value, part = float(panel.dividend[row, column]), float(share[row, column])
        odds = dividend_odds(panel, row, column)
        if odds >= settings.worth_a_look * settings.dividend_odds:
            untraded = "volume" in panel.values and panel.values["volume"][row, column] == 0.0
            answered = not untraded or part > settings.large_dividend
            close = float(panel.values["close"][row, column] * panel.split[row, column])
            move = f"it moved {close / float(panel.previous[row, column]) - 1.0:+.2%}"
            doubt = "a wrong unit, a wrong date, counted twice?"
            yield panel.finding(
                row,
                column,
                "unpaid_dividend",
                field="dividend",
                value=value,
                bound=f"a price that falls by about {part:.2%}",
                severity="error" if odds >= settings.dividend_odds and answered else "warn",
                detail=f"{move}{', untraded' if untraded else ''}; {doubt} Odds of that {_odds(odds)}",
            )
        if part > settings.large_dividend:
            bound = f"at most {settings.large_dividend:.0%} of the close before"
            yield panel.finding(
                row, column, "large_dividend", field="dividend", value=value, bound=bound, detail=f"it is {part:.1%}"
            )


def dividend_units(panel: Panel, settings: QualitySettings) -> Iterator[Finding]:
    """Rule `dividend_unit`: a dividend is not a hundred times those before it, nor a hundredth."""
    for row, column in panel.cells(panel.dividend > 0.0):
        past, value = panel.dividend[:row, column], float(panel.dividend[row, column])
        past = past[past > 0.0]
        if past.size < FEWEST_DIVIDENDS:
            continue
        usual = float(np.median(past))
        if abs(abs(np.log(value / usual)) - np.log(settings.unit_factor)) <= np.log1p(settings.unit_tolerance):
            bound = f"the unit of the dividends before, about {usual:.6g}"
            yield panel.finding(row, column, "dividend_unit", field="dividend", value=value, bound=bound)


def _ratio(size: float) -> str:
    return f"{size:.4g} times the close before" if size > 1.0 else f"1/{1.0 / size:.4g} of the close before"


def _odds(odds: float) -> str:
    return "over 1000 to 1" if odds > 1000.0 else f"{odds:.2g} to 1"


def _evidence(panel: Panel, row: int, column: int) -> str:
    parts = [f"an ordinary session moves it {panel.scale(row, column):.1%}"]
    parts.append(f"the market explains {np.expm1(panel.market_part(row, column)):+.1%}")
    if "open" in panel.values and np.isfinite(panel.values["open"][row, column]):
        inside = panel.values["close"][row, column] / panel.values["open"][row, column] - 1.0
        parts.append(f"{inside:+.1%} from open to close")
    trend = panel.trend(row, column)
    if trend is not None:
        parts.append(f"the close before stood {np.expm1(trend):+.0%} from its median of 60 sessions")
    change = turnover_change(panel, row, column)
    if change is not None:
        parts.append(f"turnover in cash {np.exp(change):.2g} times the usual")
    return ", ".join(parts)
