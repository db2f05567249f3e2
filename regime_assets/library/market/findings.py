"""What a data check finds, and the thresholds that it finds it by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Literal

import pandas as pd

Severity = Literal["error", "warn"]


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
        split_ratios: ratios (new shares for one old) in which listed shares are split. 5:4 and 4:3 are left out:
            moves of a fifth or a quarter are too common to be told from them.
        split_tolerance: relative distance from a split ratio that a move may have.
        usual_volume: volume, or turnover in cash, up to this multiple of its recent median is usual; a session that
            halves a share's price for real multiplies it.
        volume_sessions: sessions before over which that median is taken.
        market_move: with a median move of the other symbols beyond this, they do not speak against a real move.
        stale_bars: identical bars in a row, volume included, from which on they are stale.
        stale_closes: the same where a source gives closes only; closes repeat by chance.
        stale_share: share of the symbols that repeat their bar from which on the whole session is a copy.
        reversal: a spike is undone when the move over both sessions is below this share of the first.
        large_dividend: dividend, as a share of the close before, that is worth a look.
        revision: relative change of a stored price from which on a revision is worth a look.
        window_sessions: sessions that a window needs at least.
    """

    outlier_mad: float = 8.0
    outlier_floor: float = 0.08
    mad_sessions: int = 60
    unit_factor: float = 100.0
    unit_tolerance: float = 0.25
    split_ratios: tuple[float, ...] = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0)
    split_tolerance: float = 0.12
    usual_volume: float = 3.0
    volume_sessions: int = 20
    market_move: float = 0.10
    stale_bars: int = 2
    stale_closes: int = 4
    stale_share: float = 0.5
    reversal: float = 0.2
    large_dividend: float = 0.20
    revision: float = 0.001
    window_sessions: int = 120


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
    columns = [field.name for field in fields(Finding)]
    ordered = sorted(findings, key=lambda f: (f.severity, f.rule, f.symbol, f.session or date.min))
    frame = pd.DataFrame([asdict(finding) for finding in ordered], columns=columns)
    return frame.assign(session=pd.to_datetime(frame["session"]), value=frame["value"].astype("float64"))
