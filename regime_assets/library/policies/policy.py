"""A policy as it is stored and served: arrays, settings and a pure NumPy decision.

The regime rule, a residual on it and free policies sit behind one interface. Networks come from training
(`policy_training`); deciding needs neither torch nor stable_baselines3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts, below, prefixed
from regime_assets.library.policies.networks import Networks
from regime_assets.library.trading.actions import ActionKind, ActionMap
from regime_assets.library.trading.sleeves import Sleeves

OBSERVATION_CLIP = 5.0
"""Standardised observations are cut off here: a network says nothing useful about what it never saw."""


class PolicyError(ValueError):
    """A policy was asked to decide on arrays that do not fit it."""


@dataclass(frozen=True, eq=False)
class Policy:
    """Positions from observations, session by session; the mean of S member networks' actions.

    Attributes:
        action: what an action means, with the base weights (N,) and the limits.
        centre, scale: (O,) standardisation of the observations, fitted with the networks.
        actor: S networks from (standardised observations, previous position) to actions; None for the rule.
        critic: the value networks of training, kept so that a warm start has them; None when there is none.
        log_std: (S, P) log standard deviation of the exploration; empty for discrete actions.
        levels: actions that a discrete policy chooses from, neutral first; empty for a continuous policy.
        reads_features: whether the observations hold the features behind what the regimes say.
        tilt_kept: factor in [0, 1] on a residual policy's action; 0 decides exactly as the rule does.
    """

    action: ActionMap
    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    actor: Networks | None = None
    critic: Networks | None = None
    log_std: NDArray[np.float32] | None = None
    levels: tuple[float, ...] = ()
    tilt_kept: float = 1.0
    reads_features: bool = False

    @property
    def kind(self) -> ActionKind:
        """`rule`, `residual`, `exposure` or `weights`."""
        return self.action.kind

    def standardised(self, observations: NDArray[np.floating]) -> NDArray[np.float32]:
        """Observations (T, O) as the networks read them, float32."""
        scaled = (observations.astype(np.float32) - self.centre) / self.scale
        return np.clip(scaled, -OBSERVATION_CLIP, OBSERVATION_CLIP)

    def decide(
        self,
        observations: NDArray[np.floating],
        rule_exposure: NDArray[np.floating],
        initial_exposure: float | NDArray[np.floating] = 0.0,
    ) -> NDArray[np.float64]:
        """Weights (T, N) decided at the closes of T sessions; row t depends on rows up to t only, to the bit.

        Args:
            observations: (T, O), not standardised.
            rule_exposure: (T,).
            initial_exposure: held before the first session: an exposure of the base weights or, where a position
                is a weight per instrument, (N,) weights.

        Raises:
            PolicyError: a shape differs from what the policy was trained on, or an input is not finite.
        """
        return self.action.weights(self.positions(observations, rule_exposure, initial_exposure))

    def positions(
        self,
        observations: NDArray[np.floating],
        rule_exposure: NDArray[np.floating],
        initial_exposure: float | NDArray[np.floating] = 0.0,
    ) -> NDArray[np.float64]:
        """Positions (T, P) behind `decide`'s weights: exposures, or weights per instrument."""
        self._check(observations, rule_exposure)
        if self.actor is None or (self.action.from_rule and self.tilt_kept == 0.0):
            return self.action.at_rule(rule_exposure)
        width, known = self.action.width, len(self.centre)
        actor = self.actor.in_float64()
        inputs = np.zeros((len(observations), known + width))
        inputs[:, :known] = self.standardised(observations)
        if not self.actor.reads(slice(known, None)):
            # No decision depends on the one before, but for the band: all at once, each row by a product of its own.
            wanted = self.action.positions(self._combined(actor.each(inputs)), rule_exposure)
            return self.action.held(self._position(initial_exposure), wanted)
        position = self._position(initial_exposure)
        positions = np.empty((len(observations), width))
        for t in range(len(observations)):
            inputs[t, known:] = position.astype(np.float32)
            action = self._combined(actor.forward(inputs[t : t + 1])[None])
            wanted = self.action.positions(action, rule_exposure[t : t + 1])
            position = self.action.settled(position[None], wanted)[0]
            positions[t] = position
        return positions

    def _position(self, initial_exposure: float | NDArray[np.floating]) -> NDArray[np.float64]:
        initial = np.asarray(initial_exposure, dtype=np.float64)
        if self.action.per_instrument and initial.ndim == 0:
            initial = initial * self.action.base_weights
        if initial.size != self.action.width:
            raise PolicyError(f"initial_exposure has {initial.size} numbers, a position has {self.action.width}")
        return initial.reshape(self.action.width)

    def member_actions(
        self, observations: NDArray[np.floating], positions: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Raw outputs (S, T, P) or, with levels, values (S, T, levels), at given previous positions (T, P)."""
        if self.actor is None:
            raise PolicyError("the rule has no member networks")
        return self.actor.evaluate(np.concatenate([self.standardised(observations), positions], axis=1))

    def _combined(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean actions (T, P) of the members' outputs (T, S, 1, P or levels), shrunk by `tilt_kept`.

        Sessions come first, so that the members of one are added in the same order however many there are.
        """
        if self.levels:
            actions = np.asarray(self.levels)[outputs.argmax(axis=3)][..., None]
        else:
            actions = np.minimum(np.maximum(outputs, -1.0), 1.0)
        mean = np.add.reduce(actions, axis=1)[:, 0] / actions.shape[1]
        return mean * self.tilt_kept if self.action.from_rule else mean

    def member(self, index: int) -> Policy:
        """The policy of one member network alone, with its whole tilt."""
        if self.actor is None:
            raise PolicyError("the rule has no member networks")
        return replace(
            self,
            actor=self.actor[index],
            critic=None if self.critic is None else self.critic[index],
            log_std=None if self.log_std is None else self.log_std[index : index + 1],
            tilt_kept=1.0,
        )

    def _check(self, observations: NDArray[np.floating], rule_exposure: NDArray[np.floating]) -> None:
        if observations.ndim != 2 or observations.shape[1] != len(self.centre):
            raise PolicyError(f"observations {observations.shape}: the policy reads {len(self.centre)} columns")
        if rule_exposure.shape != observations.shape[:1]:
            raise PolicyError(f"rule_exposure {rule_exposure.shape} does not fit observations {observations.shape}")
        for name, array in (("observations", observations), ("rule_exposure", rule_exposure)):
            if not np.isfinite(array).all():
                raise PolicyError(f"{name}: row {int(np.argwhere(~np.isfinite(array))[0, 0])} is not finite")

    def to_parts(self) -> Parts:
        """Arrays and document for `library.artifact`."""
        arrays: dict[str, NDArray[Any]] = {
            "base_weights": self.action.base_weights,
            "centre": self.centre,
            "scale": self.scale,
        }
        for name, networks in (("actor", self.actor), ("critic", self.critic)):
            if networks is not None:
                arrays |= prefixed(name, networks.to_arrays())
        if self.action.sleeves is not None:
            arrays |= prefixed("sleeves", self.action.sleeves.to_arrays())
        if self.log_std is not None:
            arrays["log_std"] = self.log_std
        document = {
            "kind": self.kind,
            "tilt_bound": self.action.tilt_bound,
            "lowest_exposure": self.action.lowest_exposure,
            "highest_exposure": self.action.highest_exposure,
            "no_trade_band": self.action.no_trade_band,
            "levels": list(self.levels),
            "tilt_kept": self.tilt_kept,
            "reads_features": self.reads_features,
        }
        return Parts(arrays, document)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The policy that `to_parts` took apart."""
        arrays, document = parts
        actor, critic = below("actor", arrays), below("critic", arrays)
        sleeves = below("sleeves", arrays)
        return cls(
            ActionMap(
                document["kind"],
                arrays["base_weights"],
                document["tilt_bound"],
                document["lowest_exposure"],
                document["highest_exposure"],
                document.get("no_trade_band", 0.0),  # not in policies stored before there was one
                Sleeves.from_arrays(sleeves) if sleeves else None,
            ),
            arrays["centre"],
            arrays["scale"],
            Networks.from_arrays(actor) if actor else None,
            Networks.from_arrays(critic) if critic else None,
            arrays.get("log_std"),
            tuple(document["levels"]),
            document["tilt_kept"],
            document.get("reads_features", False),  # not in policies stored before there was one
        )


def rule_policy(
    base_weights: NDArray[np.float64],
    n_observations: int,
    lowest_exposure: float = 0.0,
    highest_exposure: float = 1.0,
    sleeves: Sleeves | None = None,
) -> Policy:
    """The regime rule itself as a policy: the rule's exposure within the limits, times the base weights (N,)."""
    if sleeves is not None:
        lowest_exposure, highest_exposure = -sleeves.shorts, sleeves.invested
    action = ActionMap(
        "rule",
        base_weights,
        tilt_bound=0.0,
        lowest_exposure=lowest_exposure,
        highest_exposure=highest_exposure,
        sleeves=sleeves,
    )
    return Policy(action, np.zeros(n_observations, np.float32), np.ones(n_observations, np.float32))
