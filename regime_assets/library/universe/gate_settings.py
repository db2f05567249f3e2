"""The bounds of the gate's rules and of a regime model's stability: `gate:` and `stability:` of a universe file."""

from __future__ import annotations

from statistics import NormalDist

from pydantic.dataclasses import dataclass

from regime_assets.library.settings import STRICT


@dataclass(frozen=True, config=STRICT)
class GateSettings:
    """Bounds of the rules. Ratios are annualised; fractions are of wealth.

    Attributes:
        label_agreement: least share of the last year's sessions with the champion's regime (warm refits: .996).
        exposure_change: largest mean |difference of exposure| to the champion.
        comparison_sessions: sessions over which exposures are compared.
        drawdown_limit: deepest drawdown of the out-of-sample track over `drawdown_sessions`, where buy & hold fell
            less; what buy & hold fell, where that is deeper.
        drawdown_sessions: newest sessions over which drawdowns are judged.
        turnover_limit: notional traded a year, one way, in multiples of wealth; as a policy is accepted. Trades
            are paid for in the record that is judged: this bounds what goes wrong, not what costs.
        exposure_limit: largest exposure of any session.
        minimum_fresh_sessions: fresh sessions from which non-inferiority is judged.
        non_inferiority_margin: Sharpe ratio that a refresh may lose on them.
        non_inferiority_confidence: one-sided confidence that it loses no more.
        challenge_sessions: paired out-of-sample sessions, live and replayed, before the first look at a challenger.
        live_sessions: of them, sessions after the day on which its design was declared.
        live_confidence: one-sided confidence that the live sessions alone must give it.
        look_interval: sessions between two looks at one challenger.
        boundary_z: normal score that a look demands of live and replayed sessions together.
        alpha_per_year: error probability that all looks of a year may spend together; a bound on the expected
            false promotions a year, however many challengers there are.
        serving_boundary_z: as `boundary_z`, for the nightly choice between the learned policy and its rule.
        serving_validation_z: gain over the rule on the policy's held-out blocks, over its standard error, from which
            the policy serves without that boundary as long as it is not behind its rule out of sample.
    """

    label_agreement: float = 0.95
    exposure_change: float = 0.10
    comparison_sessions: int = 252
    drawdown_limit: float = 0.35
    drawdown_sessions: int = 756
    turnover_limit: float = 25.0
    exposure_limit: float = 1.0
    minimum_fresh_sessions: int = 126
    non_inferiority_margin: float = 0.5
    non_inferiority_confidence: float = 0.80
    challenge_sessions: int = 504
    live_sessions: int = 126
    live_confidence: float = 0.80
    look_interval: int = 63
    boundary_z: float = 1.75
    alpha_per_year: float = 0.25
    serving_boundary_z: float = 2.5
    serving_validation_z: float = 2.5

    @property
    def look_alpha(self) -> float:
        """Error probability that one look spends."""
        return 1.0 - NormalDist().cdf(self.boundary_z)


@dataclass(frozen=True, config=STRICT)
class StabilitySettings:
    """What a refit may change and still be the same model.

    Attributes:
        agreement_warn, agreement_block: smallest share of sessions with equal states. The bound on a refit keeps the
            latter; a model that breaks it is not what that bound gave.
        update_step_warn: share of the way to its fitted regimes that a refit went; less is a bound that acted.
        occupancy_change_warn: largest change of a regime's share of sessions.
        smallest_weight_block: smallest weight of a mixture component.
        smallest_separation_warn: Bhattacharyya distance between components, nats; .1 is heavy overlap.
        switches_warn: largest number of switches a year in the window.
        audit_agreement_warn: online mixture against its refit.
    """

    agreement_warn: float = 0.98
    agreement_block: float = 0.95
    update_step_warn: float = 1.0
    occupancy_change_warn: float = 0.05
    smallest_weight_block: float = 0.08
    smallest_separation_warn: float = 0.1
    switches_warn: float = 6.0
    audit_agreement_warn: float = 0.95
