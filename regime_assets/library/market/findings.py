"""What a data check finds, and the thresholds that it finds it by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from types import MappingProxyType
from typing import Literal

import pandas as pd

Severity = Literal["error", "warn"]

FROM_HERE_ON = ("unit_jump", "largest_move", "unapplied_split", "unpaid_dividend", "dividend_unit")
"""Rules that doubt the level of a price: the symbol is held back from that session to the end of the answer."""

WHOLE_ANSWER = ("rescaled", "currency")
"""Rules that doubt all bars of a symbol."""


SPLIT_RATIOS: Mapping[float, float] = MappingProxyType(
    {2.0: 0.28, 1.5: 0.14, 3.0: 0.1, 1.25: 0.09, 4.0: 0.06, 5.0: 0.06, 10.0: 0.06, 4 / 3: 0.04}
    | dict.fromkeys((1.2, 5 / 3, 2.5, 6.0, 7.0, 8.0, 20.0), 0.02)
    | dict.fromkeys((15.0, 25.0, 30.0, 40.0, 50.0, 100.0), 0.005)
)
"""Usual ratios of splits with their shares; the rest is any other ratio."""


@dataclass(frozen=True)
class QualitySettings:
    """Thresholds of the data checks.

    Attributes:
        outlier_mad: a return beyond this many median absolute deviations is an outlier; 8 are 5.4 standard
            deviations of a normal variable.
        outlier_floor: no return below this (0.08 = 8 %) is an outlier, however calm the instrument.
        mad_sessions: sessions before the return over which the deviation is taken.
        unit_factor: factor of a unit mistake; 100 is pence for pounds.
        unit_tolerance: relative distance from that factor that a move may have.
        largest_rise: gross return from which on no news explains a session. Listed companies have quadrupled in one.
        largest_fall: the same downwards; Washington Mutual fell to 1/11 of its price on its last day.
        smallest_split: ratio of two closes from which on a split is looked for.
        split_ratios: usual ratios (new shares for one old, or the other way round), each with its share of all splits.
        split_chance: chance that a session of an instrument has a split that its source does not report: one split in
            1,000 sessions, one in ten of them unreported.
        split_odds: odds (see `move_odds`) from which on an unreported split blocks.
        split_odds_of_closes: the same where closes alone are known. Lower, since turnover and opening cannot speak for
            a split there, and one that passes stays wrong for good, while a real move is accepted with a line.
        dividend_odds: odds from which on a dividend that the price did not give up blocks.
        small_dividend: share of the price below which a dividend is lost in an ordinary session.
        worth_a_look: share of the odds that block from which on a finding warns.
        stale_bars: identical bars in a row, volume included, from which on they are stale.
        stale_closes: the same where a source gives closes only; closes repeat by chance.
        stale_share: share of the symbols that repeat their bar from which on the whole session is a copy.
        untraded_share: the same for bars that repeat only the close, at a volume of zero, as vendors fill holidays; in
            a thin market some do on any session.
        stale_fewest_closes: symbols that must repeat where closes alone are known: two of four do by chance.
        reversal: a spike is undone when the move over both sessions is below this share of the first.
        large_dividend: dividend, as a share of the close before, that is worth a look.
        revision: relative change of a stored price from which on a revision is worth a look.
        window_sessions: sessions that a window needs at least.
        read_fields: the columns that windows read; a fault in another one is warned of and stored as it came.
        range_excess: share of the price by which a close may lie outside its bar's high and low. Vendors fill the
            evening's range late; 2 % of fresh bars have an open or close cents outside, all in order a day later.
    """

    outlier_mad: float = 8.0
    outlier_floor: float = 0.08
    mad_sessions: int = 60
    unit_factor: float = 100.0
    unit_tolerance: float = 0.25
    largest_rise: float = 5.0
    largest_fall: float = 1.0 / 15.0
    smallest_split: float = 1.15
    split_ratios: Mapping[float, float] = field(default_factory=lambda: SPLIT_RATIOS)
    split_chance: float = 1e-4
    split_odds: float = 1.0
    split_odds_of_closes: float = 0.4
    dividend_odds: float = 2.0
    small_dividend: float = 0.02
    worth_a_look: float = 0.05
    stale_bars: int = 2
    stale_closes: int = 4
    stale_share: float = 0.5
    untraded_share: float = 0.9
    stale_fewest_closes: int = 3
    reversal: float = 0.2
    large_dividend: float = 0.20
    revision: float = 0.001
    window_sessions: int = 120
    read_fields: tuple[str, ...] = ("close",)
    range_excess: float = 0.01


@dataclass(frozen=True)
class Finding:
    """One violation of one rule.

    Attributes:
        rule: the rule's name, a key of `quality.RULES`.
        severity: "error" keeps the data from being used; "warn" asks for a look.
        symbol: the symbol; empty when the finding concerns all.
        session: the session; None when it concerns none in particular.
        field: the column or the kind of action; empty when the whole bar is concerned.
        value: what was found; None when nothing was.
        bound: what the rule demands, as text.
        message: all of it as a sentence.
    """

    rule: str
    severity: Severity
    symbol: str
    session: date | None
    field: str
    value: float | None
    bound: str
    message: str


def found(
    rule: str,
    severity: Severity,
    symbol: str,
    session: date | None,
    *,
    field: str = "",
    value: float | None = None,
    bound: str,
    detail: str = "",
) -> Finding:
    """A finding whose message names symbol, session, field, value and rule."""
    subject = " ".join(part for part in (symbol, "" if session is None else session.isoformat(), field) if part)
    shown = "" if value is None else f" {value:.6g}"
    message = f"{subject}{shown}: {rule} demands {bound}" + (f" ({detail})" if detail else "")
    return Finding(rule, severity, symbol, session, field, value, bound, message)


def blocking(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that keep the data from being used."""
    return [finding for finding in findings if finding.severity == "error"]


def findings_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row for each finding, columns as `Finding`'s attributes; errors first."""
    columns = [column.name for column in fields(Finding)]
    ordered = sorted(findings, key=lambda f: (f.severity, f.rule, f.symbol, f.session or date.min))
    frame = pd.DataFrame([asdict(finding) for finding in ordered], columns=columns)
    return frame.assign(session=pd.to_datetime(frame["session"]), value=frame["value"].astype("float64"))
