"""A policy of the user's own: what its class offers, and how the rest of the library reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.artifact import Parts, below, prefixed
from regime_assets.library.components import load_component
from regime_assets.library.policies.policy import Policy, PolicyError, rule_policy
from regime_assets.library.policies.settings import OwnPolicySettings
from regime_assets.library.trading.sleeves import Sleeves
from regime_assets.library.trading.tape import MarketTape

Array = NDArray[np.float64]
ROUNDING = 1e-9


class Decides(Protocol):
    """A fitted policy of the user's own."""

    def decide(self, observations: NDArray[np.float32], rule_exposure: Array) -> Array:
        """Weights (T, N) of observations (T, O) and the rule's exposure (T,); row t depends on rows up to t only."""
        ...

    def to_parts(self) -> Parts:
        """The policy taken apart, for `from_parts` of its component."""
        ...


class PolicyComponent(Protocol):
    """What the class that `policy:` names offers."""

    Settings: ClassVar[type[OwnPolicySettings]]
    version: ClassVar[int]

    @staticmethod
    def fit(tape: MarketTape, settings: Any, seed: int, previous: Any | None) -> Decides:
        """Fit a policy to a window's tape, from the previous accepted one where there is one."""
        ...

    @staticmethod
    def from_parts(parts: Parts) -> Decides:
        """The policy that `to_parts` took apart."""
        ...


@dataclass(frozen=True, eq=False)
class OwnPolicyFit:
    """A fitted policy of the user's own; how it learned is its own affair, so there are no curves."""

    model: OwnPolicy
    figures: dict[str, float]
    warm_started: bool


@dataclass(frozen=True, eq=False)
class OwnPolicy(Policy):
    """A policy of the user's own beside its rule, which stays what the gate and the report hold it against.

    Attributes:
        use: its component.
        fitted: what it decides by.
    """

    use: str = ""
    fitted: Decides | None = None

    def decide(
        self,
        observations: NDArray[np.floating],
        rule_exposure: NDArray[np.floating],
        initial_exposure: float | NDArray[np.floating] = 0.0,  # noqa: ARG002 (it keeps its own account)
    ) -> Array:
        """As `Policy.decide`.

        Raises:
            PolicyError: the class answers another shape, or a weight that is no finite number.
        """
        assert self.fitted is not None
        weights = np.asarray(self.fitted.decide(observations.astype(np.float32), rule_exposure.astype(np.float64)))
        wanted = (len(observations), len(self.action.base_weights))
        if weights.shape != wanted or not np.isfinite(weights).all():
            raise PolicyError(f"{self.use} must decide finite weights of shape {wanted}, not {weights.shape}")
        return weights.astype(np.float64)

    def to_parts(self) -> Parts:
        """Its own parts, with what reads them back."""
        assert self.fitted is not None
        parts = self.fitted.to_parts()
        arrays = {f"own/{name}": array for name, array in parts.arrays.items()}
        document = {"use": self.use, "reads_features": self.reads_features, "own": parts.document}
        if self.action.sleeves is not None:
            arrays |= prefixed("sleeves", self.action.sleeves.to_arrays())
        return Parts(arrays | {"base_weights": self.action.base_weights}, document)


def stored_policy(parts: Parts) -> Policy:
    """The policy that `to_parts` took apart, built in or the user's own."""
    if "use" not in parts.document:
        return Policy.from_parts(parts)
    document, own = parts.document, "own/"
    arrays = {name.removeprefix(own): array for name, array in parts.arrays.items() if name.startswith(own)}
    fitted = load_component("policies", str(document["use"])).from_parts(Parts(arrays, document["own"]))
    stored = below("sleeves", parts.arrays)
    sleeves = Sleeves.from_arrays(stored) if stored else None
    features = bool(document["reads_features"])
    return _own(str(document["use"]), fitted, parts.arrays["base_weights"], sleeves, features=features)


def fit_own(
    use: str, tape: MarketTape, settings: OwnPolicySettings, seed: int, previous: Policy | None
) -> tuple[OwnPolicyFit, tuple[RuleOutcome, ...]]:
    """Fit a policy of the user's own, and hold it against what every policy has to keep.

    Blocking: the exposure leaves its limits, or turnover exceeds its limit.
    """
    before = previous.fitted if isinstance(previous, OwnPolicy) and previous.use == use else None
    fitted = load_component("policies", use).fit(tape, settings, seed, before)
    policy = _own(use, fitted, tape.base_weights, tape.sleeves, features=settings.observes == "features")
    weights = policy.decide(tape.observations, tape.rule_exposure)
    exposure = policy.action.exposure(weights)
    turnover = float(np.abs(np.diff(weights, axis=0)).sum(axis=1).mean()) * settings.sessions_per_year
    low, high = settings.lowest_exposure, settings.highest_exposure
    if tape.sleeves is not None:
        low, high = min(low, -tape.sleeves.shorts), max(high, tape.sleeves.invested)
    outside = float(max(low - exposure.min(), exposure.max() - high, 0.0))
    figures = {
        "turnover_per_year": turnover,
        "mean_exposure": float(exposure.mean()),
        "lowest_exposure": float(exposure.min()),
        "highest_exposure": float(exposure.max()),
    }
    limit = settings.turnover_limit
    outcomes = (
        RuleOutcome("exposure_within_limits", outside, f"<= {ROUNDING}", outside <= ROUNDING, blocking=True),
        RuleOutcome("turnover_per_year", turnover, f"<= {limit}", turnover <= limit, blocking=True),
    )
    return OwnPolicyFit(policy, figures, before is not None), outcomes


def _own(use: str, fitted: Decides, base_weights: Array, sleeves: Sleeves | None, *, features: bool) -> OwnPolicy:
    rule = rule_policy(base_weights, 0, sleeves=sleeves)
    return OwnPolicy(rule.action, rule.centre, rule.scale, reads_features=features, use=use, fitted=fitted)
