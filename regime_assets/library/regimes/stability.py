"""Do two consecutive regime models mean the same? Measured on the sessions of the last year, held against bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.regimes.identity import COMPARED_SESSIONS
from regime_assets.library.regimes.segmentation import Segmentation
from regime_assets.library.universe.gate_settings import StabilitySettings

if TYPE_CHECKING:
    from regime_assets.library.regimes.regime_model import RegimeFit, RegimeModel, RegimePath


@dataclass(frozen=True)
class Stability:
    """How far a refitted model differs from its predecessor.

    Attributes:
        agreement: share of the compared sessions with equal filtered states.
        ari: adjusted Rand index of the two paths; 0 is chance, and 1 equality. A path of one state has no structure to
            compare: 1 when both are equal, 0 otherwise.
        occupancy_change: largest change of a regime's share of the compared sessions.
        distance: largest root-mean-square move of a regime's mean in standard deviations of that regime;
            None where regimes have no means.
        residual: of the new model's alignment.
    """

    agreement: float
    ari: float
    occupancy_change: float
    distance: float | None
    residual: float


def compare_regimes(
    previous: RegimeModel,
    current: RegimeModel,
    features: pd.DataFrame,
    path: RegimePath | None = None,
    before: RegimePath | None = None,
) -> Stability:
    """Compare two models on the last of the features' sessions; the earlier ones bring both filters up to date.

    Args:
        previous: the predecessor.
        current: the refitted model.
        features: (T, F) of the window.
        path: of the refitted model on it, where it was inferred already.
        before: of the predecessor on it, likewise.
    """
    from sklearn.metrics import adjusted_rand_score

    last = slice(-COMPARED_SESSIONS, None)
    path = path or current.infer(features)
    before = before or (path if previous is current else previous.infer(features))
    was, now = before.states[last], path.states[last]
    n_regimes = len(current.names)
    shares = [np.bincount(states, minlength=n_regimes) / len(states) for states in (was, now)]
    return Stability(
        agreement=float((was == now).mean()),
        ari=float(adjusted_rand_score(was, now)),
        occupancy_change=float(np.abs(shares[1] - shares[0]).max()),
        distance=_distance(previous, current),
        residual=current.alignment.residual,
    )


def _distance(previous: RegimeModel, current: RegimeModel) -> float | None:
    old, new = previous.regimes, current.regimes
    if not (isinstance(old, Segmentation) and isinstance(new, Segmentation)):
        return None
    if old.mixture.means.shape != new.mixture.means.shape:
        return None
    gap = new.mixture.means - old.mixture.means
    variances = np.diagonal(old.mixture.covariances, axis1=1, axis2=2)
    return float(np.sqrt((np.square(gap) / variances).mean(axis=1)).max())


def assess_stability(
    fit: RegimeFit, stability: Stability | None, settings: StabilitySettings
) -> tuple[RuleOutcome, ...]:
    """Rules that a regime model has to meet: of itself, and towards its predecessor where there is one."""
    figures = fit.figures
    outcomes = [
        _at_least("smallest_weight", figures["smallest_weight"], settings.smallest_weight_block, blocking=True),
        _at_most("switches_per_year", figures["switches_per_year"], settings.switches_warn),
        _at_least("ordered_by_risk", figures["ordered_by_risk"], 1.0),
    ]
    if "separation" in figures:
        outcomes.append(_at_least("separation", figures["separation"], settings.smallest_separation_warn))
    if "audit_agreement" in figures:
        outcomes.append(_at_least("audit_agreement", figures["audit_agreement"], settings.audit_agreement_warn))
    if "update_step" in figures:
        outcomes.append(_at_least("update_step", figures["update_step"], settings.update_step_warn))
    if stability is not None:
        agreement = stability.agreement
        outcomes += [
            _at_least("agreement", agreement, settings.agreement_warn),
            _at_least("agreement_floor", agreement, settings.agreement_block, blocking=True),
            _at_most("occupancy_change", stability.occupancy_change, settings.occupancy_change_warn),
        ]
    return tuple(outcomes)


def _at_least(rule: str, value: float, bound: float, *, blocking: bool = False) -> RuleOutcome:
    return RuleOutcome(rule, value, f">= {bound:g}", value >= bound, blocking)


def _at_most(rule: str, value: float, bound: float) -> RuleOutcome:
    return RuleOutcome(rule, value, f"<= {bound:g}", value <= bound, blocking=False)
