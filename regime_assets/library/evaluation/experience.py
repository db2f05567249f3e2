"""What a history has held: a model does not recognise a crisis, or a calm, that it has never seen.

Measured on the sample's index: a line that began on the calm of 1996 named everything after it turbulent and held
cash until 2003; one that began on the crash years 1928 to 1934 called 1937 calm, stayed .71 invested and fell 65 %.
Both lacked one of the two kinds of market. The bar is a rule of thumb: five years, one fall of 20 % (the usual word
for a bear market), and one year near the peak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from regime_assets.library.acceptance import RuleOutcome

RULE = "experience"
LEAST_YEARS = 5.0
CRISIS_FALL = 0.20
CALM_FALL = 0.10
LEAST_CALM_YEARS = 1.0


@dataclass(frozen=True)
class Experience:
    """What the traded portfolio, always held, went through.

    Attributes:
        years: length of the history.
        deepest_fall: from a peak, a fraction of wealth.
        calm_years: spent within `CALM_FALL` of the peak.
    """

    years: float
    deepest_fall: float
    calm_years: float

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the history does not hold, a clause each; empty where it holds enough."""
        found: list[str] = []
        if self.years < LEAST_YEARS:
            found.append(f"it is young: {self.years:.1f} years of history, {LEAST_YEARS:g} are the bar")
        if self.deepest_fall < CRISIS_FALL:
            found.append(
                f"it has seen no crisis: the deepest fall is {self.deepest_fall:.0%}, {CRISIS_FALL:.0%} make one"
            )
        if self.calm_years < LEAST_CALM_YEARS:
            found.append(
                f"it has seen no calm: {self.calm_years:.1f} years within {CALM_FALL:.0%} of a peak, "
                f"{LEAST_CALM_YEARS:g} is the bar"
            )
        return tuple(found)


def experience(market_returns: ArrayLike, sessions_per_year: float) -> Experience:
    """Measure a history.

    Args:
        market_returns: (T,) simple returns of what is traded, from the history's first session on.
        sessions_per_year: to count years by.
    """
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + np.asarray(market_returns, np.float64))])
    fall = 1.0 - wealth / np.maximum.accumulate(wealth)
    calm = float(np.count_nonzero(fall[1:] < CALM_FALL))
    return Experience((len(wealth) - 1) / sessions_per_year, float(fall.max()), calm / sessions_per_year)


def experience_rule(market_returns: ArrayLike, sessions_per_year: float) -> RuleOutcome:
    """Whether a history holds both kinds of market; it warns and never blocks."""
    seen = experience(market_returns, sessions_per_year)
    return RuleOutcome(
        RULE,
        seen.years,
        f">= {LEAST_YEARS:g} years, a fall >= {CRISIS_FALL:.0%}, {LEAST_CALM_YEARS:g} calm year",
        passed=not seen.lacks,
        blocking=False,
        detail="; ".join(seen.lacks)
        or f"deepest fall {seen.deepest_fall:.0%}, {seen.calm_years:.1f} years within {CALM_FALL:.0%} of a peak",
    )
