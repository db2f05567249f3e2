"""The models of a session in the order in which they are fitted, named as the assets that fit them."""

from typing import Literal

Kind = Literal["vae", "latents", "gmm", "rl_policy"]
KINDS: tuple[Kind, ...] = ("vae", "latents", "gmm", "rl_policy")
RETRAINED: tuple[Kind, ...] = ("vae", "rl_policy")
"""Those that begin from scratch in a full retrain; the others follow."""
