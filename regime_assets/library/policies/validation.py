"""Does the tilt earn more than its rule? Purged cross-validation of member networks and the evidence it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.policies.policy import Policy
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.trading.episodes import EpisodeError, Segment, decidable
from regime_assets.library.trading.scoring import FILL_DELAY
from regime_assets.library.trading.tape import MarketTape
from regime_assets.library.trading.terms import Charges

FEWEST_FOLDS = 4
"""Fewer members than this still hold out a quarter of the tape, not half or all of it."""

NEWEY_WEST_LAGS = 10
"""Sessions over which differences of returns may be correlated."""


@dataclass(frozen=True)
class Fold:
    """What one member trains on and what it is validated on.

    Attributes:
        training: segments of decisions whose returns are known without the validation block's.
        validation: the held-out block of decisions.
    """

    training: tuple[Segment, ...]
    validation: Segment


def purged_folds(tape: MarketTape, members: int, purge_sessions: int) -> list[Fold]:
    """One fold per member; member 0 is validated on the newest block.

    With `FEWEST_FOLDS` members or more the blocks cover the tape, so that the evidence comes from every session, and
    every session trains all members but one. Sessions within `purge_sessions + FILL_DELAY` of the block are left
    out of training (de Prado 2018, chapter 7).

    Raises:
        EpisodeError: the tape is too short to leave training sessions beside a block.
    """
    first, end = decidable(tape)
    edges = np.linspace(first, end, max(members, FEWEST_FOLDS) + 1).round().astype(int).tolist()[::-1]
    gap = purge_sessions + FILL_DELAY
    folds: list[Fold] = []
    for high, low in pairwise(edges[: members + 1]):
        sides = ((first, low - gap), (high + gap, end))
        training = tuple((begin, stop) for begin, stop in sides if stop > begin)
        if high <= low or not training:
            raise EpisodeError(
                f"{tape.n_sessions} sessions are too few for {len(edges) - 1} blocks with {gap} purged on each side"
            )
        folds.append(Fold(training, (low, high)))
    return folds


def gain_over_rule(policy: Policy, tape: MarketTape, block: Segment, settings: PolicySettings) -> NDArray[np.float64]:
    """Risk-adjusted log return (M,) that `policy` earns more than its rule, per decision of `block`.

    Both enter with the rule's position of the session before, or from cash at the tape's beginning.
    """
    low, high = block
    before = np.zeros(policy.action.width)
    if low > 0:
        before = policy.action.at_rule(tape.rule_exposure[low - 1 : low])[0]
    rule = tape.rule_exposure[low:high]
    initial = before if policy.action.per_instrument else float(before[0])
    decided = policy.positions(tape.observations[low:high], rule, initial)
    returns = tape.returns[low + FILL_DELAY : high + FILL_DELAY]
    start = policy.action.weights(before[None])
    own, rules = (
        _utility(policy.action.weights(positions), start, returns, settings, tape.charges)
        for positions in (decided, policy.action.at_rule(rule))
    )
    return own - rules


def foreseen(policy: Policy, tape: MarketTape, block: Segment, settings: PolicySettings) -> NDArray[np.float64]:
    """What the tilt of a policy earns by itself (M,), net of its own trades, per decision of `block`: both signs of it,
    whatever the rule holds and the limits forbid.

    A limit throws sessions away: a rule that is invested whole says nothing of a tilt that wants more. Whether the tilt
    knows anything is asked of all sessions; whether that is worth anything, of `gain_over_rule`.
    """
    low, high = block
    nothing = np.zeros((high - low, policy.action.width))
    tilt = np.clip(policy.member_actions(tape.observations[low:high], nothing)[0], -1.0, 1.0)
    returns = tape.returns[low + FILL_DELAY : high + FILL_DELAY]
    earned = returns if policy.action.per_instrument else (returns @ _tilted(policy, tape))[:, None]
    traded = np.abs(np.diff(tilt, axis=0, prepend=tilt[:1]))
    cost = settings.trading.cost if tape.charges is None else float(tape.charges.cost.mean())
    charged = cost * traded.sum(axis=1)
    if tape.charges is not None and policy.action.per_instrument:
        charged = traded @ tape.charges.cost
    tilt = tilt - tilt.mean(axis=0)  # to be invested more on every session is no foresight
    return (tilt * earned).sum(axis=1) - charged


def _tilted(policy: Policy, tape: MarketTape) -> NDArray[np.float64]:
    """(N,) what one unit of a tilt of the exposure holds more, and less of the refuge."""
    sleeves = policy.action.sleeves
    return tape.base_weights if sleeves is None else tape.base_weights - sleeves.refuge


def _utility(
    weights: NDArray[np.float64],
    start: NDArray[np.float64],
    earned: NDArray[np.float64],
    settings: PolicySettings,
    charges: Charges | None,
) -> NDArray[np.float64]:
    """The environment's reward, unscaled and without the penalty on the tilt, of weights and what they earn (M, N)."""
    if charges is None:
        traded = np.abs(np.diff(weights, axis=0, prepend=start)).sum(axis=1)
        net = (weights * earned).sum(axis=1) - settings.trading.cost * traded
    else:
        gross, _, charged = charges.step(weights, np.vstack([start, weights[:-1]]), earned)
        net = gross - charged
    return np.log1p(net) - 0.5 * settings.trading.risk_aversion * net**2


@dataclass(frozen=True)
class Evidence:
    """A mean gain per session and how sure it is.

    Attributes:
        gain: weighted mean gain per session, log return.
        z: gain over its standard error; 0 when the gain never varies from zero.
    """

    gain: float
    z: float


def evidence(gains: Sequence[NDArray[np.float64]], weights: Sequence[NDArray[np.float64]]) -> Evidence:
    """Weighted mean of the gains of all blocks over its Newey-West standard error (Bartlett kernel; blocks apart)."""
    total = float(sum(weight.sum() for weight in weights))
    if total <= 0:
        return Evidence(0.0, 0.0)
    mean = float(sum((gain * weight).sum() for gain, weight in zip(gains, weights, strict=True)) / total)
    variance = 0.0
    for gain, weight in zip(gains, weights, strict=True):
        error = weight * (gain - mean)
        variance += float(error @ error)
        for lag in range(1, min(NEWEY_WEST_LAGS, len(error) - 1) + 1):
            kernel = 1.0 - lag / (NEWEY_WEST_LAGS + 1)
            variance += 2.0 * kernel * float(error[lag:] @ error[:-lag])
    deviation = np.sqrt(max(variance, 0.0)) / total
    # Differences of identical strategies are zero up to rounding: no evidence, whatever their ratio.
    return Evidence(mean, float(mean / deviation) if deviation > 1e-12 else 0.0)


def kept_share(z: float, evidence_z: float) -> float:
    """Share of the tilt that evidence z keeps: none up to `evidence_z`, nearly all far above it."""
    return max(0.0, 1.0 - (evidence_z / z) ** 2) if z > evidence_z else 0.0


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean without the lowest and highest quarter, rounded down (Agarwal et al. 2021, Deep RL at the Edge)."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def spread(values: Sequence[float]) -> float:
    """Interquartile range."""
    low, high = np.quantile(np.asarray(values, dtype=np.float64), [0.25, 0.75])
    return float(high - low)
