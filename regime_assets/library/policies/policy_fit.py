"""A trained policy and how it came about."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from regime_assets.library.policies.policy import Policy


@dataclass(frozen=True, eq=False)
class PolicyFit:
    """A trained policy and how it came about.

    Attributes:
        model: the policy.
        curves: one row per member (`seed`) and rollout: gradient_step, environment_step, reward (scaled), net,
            turnover, exposure (means per session while exploring), entropy, kl_to_previous, kl_step, loss.
        figures: see `train_policy`.
        warm_started: whether the networks began as the previous policy's.
        cold_reason: why they did not; empty when warm started.
        refused: why an online update was not kept, so that `model` is the previous policy; empty otherwise.
    """

    model: Policy
    curves: pd.DataFrame
    figures: dict[str, float]
    warm_started: bool
    cold_reason: str = ""
    refused: str = ""
