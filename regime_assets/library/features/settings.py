"""Settings of the shipped features."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from regime_assets.library.settings import STRICT


@dataclass(frozen=True, config=STRICT)
class FeatureSettings:
    """Which windows the features look at; all lengths in sessions.

    Attributes:
        half_lives: of the exponential downside deviations and Sortino ratios.
        fast_volatility_sessions: numerator of the volatility ratio.
        slow_volatility_sessions: its denominator.
        drawdown_sessions: the window whose highest close a drawdown is measured from (one year).
        trend_sessions: the moving average of trend and breadth (the field's 200 days).
        correlation_sessions: the window of the implied average correlation.
        dispersion_half_life: of the exponential mean of cross-sectional dispersion.
        memory_sessions: returns that a feature row may look at; five half-lives of the slowest kernel.
    """

    half_lives: tuple[int, ...] = (5, 20, 60)
    fast_volatility_sessions: int = 5
    slow_volatility_sessions: int = 60
    drawdown_sessions: int = 252
    trend_sessions: int = 200
    correlation_sessions: int = 60
    dispersion_half_life: int = 20
    memory_sessions: int = 300

    def __post_init__(self) -> None:
        longest = max(
            self.fast_volatility_sessions,
            self.slow_volatility_sessions,
            self.drawdown_sessions,
            self.trend_sessions,
            self.correlation_sessions,
            *self.half_lives,
        )
        if longest > self.memory_sessions:
            raise ValueError(f"memory_sessions is {self.memory_sessions} but a feature looks back {longest} sessions")


@dataclass(frozen=True, config=STRICT)
class RelativeStrengthSettings:
    """What an instrument did beyond the others; all lengths in sessions.

    Attributes:
        symbols: of these watched or traded instruments; of all of them when empty.
        half_lives: of the exponential mean of the return beyond the cross-section's mean.
        deviation_half_life: of the exponential deviation that it is measured in.
        memory_sessions: returns that a row looks at.
    """

    symbols: tuple[str, ...] = ()
    half_lives: tuple[int, ...] = (5, 20)
    deviation_half_life: int = 60
    memory_sessions: int = 300

    def __post_init__(self) -> None:
        longest = max(self.deviation_half_life, *self.half_lives)
        if longest > self.memory_sessions:
            raise ValueError(f"memory_sessions is {self.memory_sessions} but a half-life is {longest} sessions")
