"""Settings of the regime models: what all of them share, and what each adds."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from regime_assets.library.settings import STRICT

Coordinates = Literal["decoded", "latent"]

SHORT_WINDOW_YEARS = 2.0
"""Length below which a window is short for its number of switches."""


@dataclass(frozen=True, config=STRICT)
class PersistenceSettings:
    """How often the regime may change.

    Attributes:
        target_switches_per_year: in-window, from which the penalty is chosen; what the regimes are asked to keep.
        short_window_target: the same of windows shorter than two years; None for the same number. In one year a target
            of 1.5 is met by anything between no switch and three, so that it leaves the penalty open.
        tolerance: the previous penalty is kept while its in-window switches differ from the target by no more than
            this share of it, or by two. At 1.0 a penalty of the year 2000 was never chosen anew.
        evidence_weight: what a nat counts in the posterior; below 1 because consecutive sessions' features overlap and
            are no independent evidence. It changes no state.
        largest_penalty: upper end of the penalties tried, in nats; above it a crash is recognised weeks late.
        candidates: how many penalties are tried, spaced geometrically.
    """

    target_switches_per_year: float = 1.5
    short_window_target: float | None = None
    tolerance: float = 0.4
    evidence_weight: float = 0.1
    largest_penalty: float = 400.0
    candidates: int = 24

    def wanted(self, n_sessions: int, sessions_per_year: float) -> float:
        """Switches that are wanted in a window of so many sessions."""
        years, short = n_sessions / sessions_per_year, self.short_window_target
        target = self.target_switches_per_year if short is None or years >= SHORT_WINDOW_YEARS else short
        return target * n_sessions / sessions_per_year


@dataclass(frozen=True, config=STRICT)
class IdentitySettings:
    """How much one refit may change.

    Attributes:
        floor: smallest share of the last year's sessions that keep their state. The gate asks for as much, so that a
            refit of yesterday's champion can replace it. One floor holds for warm refits and for full retrains.
        halvings: how often the way to the new regimes is halved before the predecessor's are taken.
    """

    floor: float = 0.95
    halvings: int = 4


@dataclass(frozen=True, config=STRICT)
class RegimeSettings:
    """What every regime model is told; one of your own inherits from it.

    Attributes:
        n_regimes: K; two are more stable than three on one index.
        sessions_per_year: of the universe's calendar, for everything that is said a year.
        coordinates: what is segmented, 'decoded' (denoised features) or 'latent' (aligned latents). Decoded features
            keep their axes in every refit: states of cold retrains agree there in .93 of sessions against .77.
        component_floor: smallest share of the sessions that still counts as a regime.
        relabel_ratio: regimes exchange their names only when the calmer one's downside second moment exceeds the
            other's by this factor, so that a tie does not flip them from day to day.
        persistence: how often the regime may change.
        identity: how much one refit may change.
        young_years: length of history up to which the rule follows its regimes by half and holds the market with the
            other half, so that a start on little history commits to nothing; within a year after that it goes over to
            them. 0 follows them from the first session on. It concerns the expanding window alone: a rolling one is as
            young on its last day as on its first.
    """

    n_regimes: Annotated[int, Field(ge=2, le=5)] = 2
    sessions_per_year: float = 252.0
    coordinates: Coordinates = "decoded"
    component_floor: float = 0.08
    relabel_ratio: float = 1.25
    persistence: PersistenceSettings = field(default_factory=PersistenceSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    young_years: Annotated[float, Field(ge=0, le=50)] = 0.0


@dataclass(frozen=True, config=STRICT)
class JumpSettings(RegimeSettings):
    """Centres of a path with a penalty for switches: the shipped regimes."""


@dataclass(frozen=True, config=STRICT)
class MixtureSettings(RegimeSettings):
    """A Gaussian mixture by expectation maximisation on the weighted window.

    Attributes:
        covariance: 'diag' or 'full'. Decoded features lie near a surface of the latents' dimension, where full
            covariances are nearly singular.
        noise_variance: added to every variance, as a share of the coordinate's own variance in the window: about
            what the decoder leaves unexplained (.23 to .32 over long windows). Less makes regimes follow noise: at
            .05 the states of consecutive short windows of January 2018 agreed in .95, at .3 in .99 of sessions.
        starts: k-means starts of a cold fit.
    """

    covariance: Literal["diag", "full"] = "diag"
    noise_variance: float = 0.3
    starts: int = 8


@dataclass(frozen=True, config=STRICT)
class OnlineMixtureSettings(MixtureSettings):
    """The mixture moved by stepwise EM on the sessions that are new.

    Attributes:
        online_half_life: sessions after which an observation counts half.
    """

    online_half_life: int = 126


@dataclass(frozen=True, config=STRICT)
class BufferSettings(MixtureSettings):
    """The mixture refitted on the most recent sessions.

    Attributes:
        buffer_sessions: how many of them.
    """

    buffer_sessions: int = 504
