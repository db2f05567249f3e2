"""Which sessions an episode covers: sampled by recency, mixed with the past, free of shared random state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.trading.scoring import FILL_DELAY
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.tape import MarketTape

Segment = tuple[int, int]
"""Half-open range of sessions [first, end) that may be decided on."""


class EpisodeError(ValueError):
    """No episode fits where episodes were asked for."""


def decidable(tape: MarketTape) -> Segment:
    """All sessions of `tape` whose decision earns a return that the tape contains."""
    return 0, tape.n_sessions - FILL_DELAY


@dataclass(frozen=True, eq=False)
class EpisodeSampler:
    """Draws episodes; the draw is a pure function of (seed, number of the episode).

    Without a generator that environments share, an environment's episodes do not depend on how many others there are
    or when those finish.

    Attributes:
        starts: (M,) sessions at which an episode may start.
        ends: (M,) session after each one's last decision.
        cumulative: (M,) cumulative probability of the starts, last 1.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    cumulative: NDArray[np.float64]

    @classmethod
    def of(
        cls, tape: MarketTape, settings: TradingSettings, segments: Sequence[Segment] | None = None
    ) -> EpisodeSampler:
        """Episodes of `settings.episode_sessions` inside `segments`; a shorter segment is played whole.

        An episode is placed evenly around a session drawn with probability
        `(1 - past_share) * sample_weight + past_share * even`, so that the newest sessions, which no later ones
        follow, are visited as often as their weight says.

        Raises:
            EpisodeError: a segment is empty, leaves the tape, or all segments have weight zero.
        """
        first, last = decidable(tape)
        starts, ends, mass = [], [], []
        for begin, end in [(first, last)] if segments is None else segments:
            if not first <= begin < end <= last:
                raise EpisodeError(f"segment [{begin}, {end}) is empty or leaves the decidable [{first}, {last})")
            length = min(settings.episode_sessions, end - begin)
            start = np.arange(begin, end - length + 1)
            starts.append(start)
            ends.append(start + length)
            mass.append(_placed(tape.sample_weight[begin:end], length, settings.past_share))
        if not starts:
            raise EpisodeError("no segment to play episodes in")
        probability = np.concatenate(mass)
        if probability.sum() <= 0:
            raise EpisodeError("the sample weights of all segments are zero")
        cumulative = np.cumsum(probability)
        return cls(np.concatenate(starts), np.concatenate(ends), cumulative / cumulative[-1])

    def sample(
        self, seeds: NDArray[np.uint64], episodes: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First session and session after the last of episode number `episodes` (E,) of `seeds` (E,)."""
        bits = _mixed(_mixed(seeds) + episodes * np.uint64(0x9E3779B97F4A7C15))
        uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
        drawn = np.searchsorted(self.cumulative, uniform, side="right")
        return self.starts[drawn], self.ends[drawn]


def _placed(weight: NDArray[np.float64], length: int, past_share: float) -> NDArray[np.float64]:
    """Mass of each start when an episode of `length` is placed evenly around a drawn session of a segment."""
    # Even mass has the segment's mean weight, so that segments keep their weight against each other.
    focus = (1.0 - past_share) * weight + past_share * weight.mean()
    spread = np.convolve(focus, np.full(length, 1.0 / length))
    first, last = length - 1, len(weight) - 1
    mass = spread[first : last + 1].copy()
    # Placements that would leave the segment are moved to its edge.
    mass[0] += spread[:first].sum()
    mass[-1] += spread[last + 1 :].sum()
    return mass


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function (Steele, Lea and Flood 2014), a bijection that spreads every bit."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
