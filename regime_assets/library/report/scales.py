"""Where values stand on an axis, and which of them are written at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

Tick = tuple[float, str]
Format = Callable[[float], str]
EPOCH = date(1970, 1, 1)
WIDE = 2.5  # a log axis over more than this factor has round numbers, below it evenly spaced ones


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` on a stretch from `begin` to `end`, evenly or by their logarithm."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, values: object) -> NDArray[np.int64]:
        """Positions, rounded to the drawing's unit."""
        at, low, high = np.asarray(values, dtype=float), self.low, self.high
        if self.logarithmic:
            at, low, high = np.log(np.maximum(at, 1e-300)), np.log(low), np.log(high)
        share = (at - low) / (high - low)
        return np.rint(self.begin + share * (self.end - self.begin)).astype(np.int64)


def spread(values: Sequence[float], margin: float = 0.0, logarithmic: bool = False) -> tuple[float, float]:
    """The range of finite values with a share of it as margin on both sides; never empty."""
    finite = [value for value in values if np.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if logarithmic:
        low, high = np.log(low), np.log(high)
    if high - low <= 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5 * max(abs(low), 0.1), high + 0.5 * max(abs(high), 0.1)
    low, high = low - margin * (high - low), high + margin * (high - low)
    return (float(np.exp(low)), float(np.exp(high))) if logarithmic else (float(low), float(high))


def plain_number(value: float) -> str:
    """A number without trailing zeros."""
    return f"{value + 0.0:,.4g}".replace("-", "−")


def percent(value: float) -> str:
    """A fraction as whole per cent."""
    return f"{100 * value + 0.0:.0f} %".replace("-", "−")


def short_count(value: float) -> str:
    """A count: 20,000 as 20k, 3,000,000 as 3M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def round_values(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """At most about `most` round values from `low` to `high`."""
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough * 0.999)
    step = max(1.0, np.ceil(step)) if whole else step
    return [float(k * step) for k in range(int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9)) + 1)]


def number_ticks(
    low: float, high: float, most: int = 5, write: Format = plain_number, whole: bool = False
) -> list[Tick]:
    """Round values with their texts."""
    return [(value, write(value)) for value in round_values(low, high, most, whole)]


def log_ticks(low: float, high: float, most: int = 7) -> list[Tick]:
    """Round values of a log axis, however narrow its range."""
    if high <= WIDE * low:
        return number_ticks(low, high)
    for factors in ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        found = [f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d <= high]
        if len(found) <= most:
            break
    else:
        found = found[:: int(np.ceil(len(found) / most))]
    return [(value, plain_number(value)) for value in found]


def date_ticks(low: float, high: float, most: int = 6) -> list[Tick]:
    """Few and short dates between two days since 1970; a year is written where it begins, or once at the start."""
    first, last = _day(low), _day(high)
    days = max((last - first).days, 1)
    for every in (1, 2, 5, 10, 20, 50):
        if days / 365.25 / every <= most and days > 3 * 365:
            years = range(-(-(first.year + (first > date(first.year, 1, 1))) // every) * every, last.year + 1, every)
            return [(_number(date(year, 1, 1)), str(year)) for year in years]
    for every in (1, 2, 3, 6):
        if days / 30.4 / every <= most and days > 45:
            months = [(first.year + m // 12, m % 12 + 1) for m in range(first.month - 1, first.month + days // 28 + 2)]
            firsts = [date(year, month, 1) for year, month in months if (month - 1) % every == 0]
            shown = [day for day in firsts if first <= day <= last]
            return _named(shown, "%b", "%b %Y")
    every = max(1, -(-days // most))
    return _named([first + timedelta(days=n) for n in range(0, days + 1, every)], "%-d %b", "%-d %b %Y")


def _named(days: Sequence[date], usual: str, first: str) -> list[Tick]:
    has_january = any(day.month == 1 and day.day == 1 for day in days)
    ticks: list[Tick] = []
    for place, day in enumerate(days):
        begins = day.month == 1 and day.day == 1 and usual == "%b"
        text = str(day.year) if begins else day.strftime(first if place == 0 and not has_january else usual)
        ticks.append((_number(day), text))
    return ticks


def _day(number: float) -> date:
    return EPOCH + timedelta(days=round(number))


def _number(day: date) -> float:
    return float((day - EPOCH).days)
