"""Evidence in two tiers: what a design did after it was declared, and what it would have done before.

Sessions after the day on which a design was declared are out of sample for its models and for the person who thought
of it: they are `live`. Earlier ones are a `replay`. Its models had not seen them, its author may have; and of many
designs that are tried on one history, the best one looks good. A replay is therefore worth something only after
deflation by everything that was tried on that history.

The probability p of the replay's score becomes 1 - (1 - p)^N for N trials (Šidák 1967): for the best of N designs
without skill that is uniform again, and too careful where designs resemble each other. The two scores are added with
the square roots of their sessions as weights (Stouffer 1949), the replay counting for at most as many sessions as the
live tier. So without skill the sum is a standard normal score, however many designs were tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regime_assets.library.evaluation.paired_test import PairedTest

REPLAY_SHARE = 1.0
"""Sessions of replay that count for each live one, at most. More of them find no more, and trials that were hidden from
the ledger promote more often (`benchmarks/gate_simulation.py`)."""


@dataclass(frozen=True)
class Tiers:
    """Both tiers of one challenger.

    Attributes:
        live: paired test on the live sessions; None where it could not be measured.
        replay: paired test on the replayed sessions; None where there are too few, or nothing differs on them.
        trials: designs tried on the replayed history, this one included.
    """

    live: PairedTest | None
    replay: PairedTest | None
    trials: int

    @property
    def deflated(self) -> float:
        """The replay's score after deflation by the trials; zero without a replay."""
        return 0.0 if self.replay is None else float(deflated_score(self.replay.z, self.trials))

    @property
    def score(self) -> float | None:
        """Both tiers together, a normal score; None without a live tier that can be measured."""
        if self.live is None or self.live.standard_error == 0.0:
            return None
        replayed = 0 if self.replay is None else self.replay.sessions
        return float(combined_score(self.live.z, self.live.sessions, self.deflated, replayed))


def deflated_score(score: ArrayLike, trials: int) -> NDArray[np.float64]:
    """The normal score of the probability that the best of `trials` designs without skill scores as high.

    Examples:
        What is left of a score of 2 when it is the best of one, ten and a hundred tries:

        >>> [round(deflated_score(2.0, tried).item(), 2) for tried in (1, 10, 100)]
        [2.0, 0.82, -1.28]
    """
    from scipy.special import ndtr, ndtri

    tail = np.clip(ndtr(-np.asarray(score, np.float64)), 1e-15, 1.0 - 1e-15)
    best = -np.expm1(max(1, trials) * np.log1p(-tail))
    return -ndtri(np.clip(best, 1e-15, 1.0 - 1e-15))


def combined_score(live: ArrayLike, live_sessions: int, deflated: ArrayLike, replayed: int) -> NDArray[np.float64]:
    """Both scores, weighted by the square roots of their sessions."""
    counted = min(float(replayed), REPLAY_SHARE * live_sessions)
    total = np.sqrt(live_sessions) * np.asarray(live) + np.sqrt(counted) * np.asarray(deflated)
    return total / np.sqrt(live_sessions + counted)
