"""Designs that are fitted within tenths of a second."""

from typing import Any

from regime_assets.library.design import Component, Design
from regime_assets.library.encoders.settings import MlpVaeSettings
from regime_assets.library.policies.settings import PolicySettings

SMALL_ENCODER: dict[str, Any] = {
    "hidden": (8,), "epochs": 6, "warm_up_epochs": 2, "steps_per_epoch": 4, "fine_tune_epochs": 2
}  # fmt: skip
SMALL_POLICY: dict[str, Any] = {"seeds": 2, "gradient_steps": 20}


def small_design(encoder: dict[str, Any] | None = None, policy: dict[str, Any] | None = None) -> Design:
    """The shipped components, made small, with what a test changes of them."""
    chosen = SMALL_POLICY | (policy or {})
    if chosen.get("algorithm", "direct") != "direct":
        chosen = {"hidden": (8,)} | chosen  # the shipped policy is linear
    return Design(
        encoder=Component("encoders", "mlp_vae", MlpVaeSettings(**SMALL_ENCODER | (encoder or {}))),
        policy=Component("policies", "tilts", PolicySettings(**chosen)),
    )
