"""Small tanh networks in NumPy: what is left of a trained policy once torch is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Networks:
    """S multilayer perceptrons of one shape, tanh between the layers, linear at the end.

    Attributes:
        weights: per layer (S, in, out) float32.
        biases: per layer (S, out) float32.
        squashed: whether the outputs pass through a tanh, too.
    """

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    squashed: bool = False

    def __len__(self) -> int:
        return len(self.biases[0])

    def __getitem__(self, member: int) -> Networks:
        """One member alone."""
        pick = slice(member, member + 1)
        return Networks(tuple(w[pick] for w in self.weights), tuple(b[pick] for b in self.biases), self.squashed)

    @classmethod
    def stack(cls, members: Sequence[Networks]) -> Networks:
        """All members of `members` as one object."""
        layers = range(len(members[0].weights))
        return cls(
            tuple(np.concatenate([m.weights[i] for m in members]) for i in layers),
            tuple(np.concatenate([m.biases[i] for m in members]) for i in layers),
            members[0].squashed,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Widths from the input to the output."""
        return (*(w.shape[1] for w in self.weights), self.weights[-1].shape[2])

    def evaluate(self, inputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Outputs (S, M, out) of inputs (M, in), computed in float64."""
        return self.in_float64().forward(inputs.astype(np.float64))

    def reads(self, inputs: slice) -> bool:
        """Whether any of these inputs counts."""
        return bool(self.weights[0][:, inputs].any())

    def in_float64(self) -> Networks64:
        """The same networks prepared for many small evaluations."""
        return Networks64(
            [w.astype(np.float64) for w in self.weights],
            [b.astype(np.float64)[:, None, :] for b in self.biases],
            self.squashed,
        )

    def finite(self) -> bool:
        """Whether every weight is a finite number."""
        return all(bool(np.isfinite(array).all()) for array in (*self.weights, *self.biases))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays by name."""
        arrays: dict[str, NDArray[Any]] = {}
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays[f"weight_{layer}"], arrays[f"bias_{layer}"] = weight, bias
        return arrays | ({"squashed": np.ones(1, np.int8)} if self.squashed else {})

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Networks:
        """What `to_arrays` took apart."""
        layers = range(len(arrays) // 2)
        weights, biases = (tuple(arrays[f"{part}_{i}"] for i in layers) for part in ("weight", "bias"))
        return cls(weights, biases, "squashed" in arrays)


@dataclass(frozen=True, eq=False)
class Networks64:
    """`Networks` with float64 weights (S, in, out) and biases (S, 1, out)."""

    weights: list[NDArray[np.float64]]
    biases: list[NDArray[np.float64]]
    squashed: bool

    def each(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs (M, S, 1, out) of inputs (M, in), every row to the bits that it has alone."""
        return self.forward(inputs[:, None, None])

    def forward(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs (S, M, out) of inputs (M, in)."""
        hidden: NDArray[np.float64] = inputs
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = (np.tanh(hidden) if layer else hidden) @ weight + bias
        return np.tanh(hidden) if self.squashed else hidden


@dataclass(frozen=True, eq=False)
class Member:
    """One network (S = 1) with what a warm start needs.

    Attributes:
        actor: from inputs to actions, or to the value of each level (DQN).
        critic: from inputs to the value, of what learns from rollouts; None otherwise.
        log_std: (1, P) log standard deviation of exploration, of what learns from rollouts; None otherwise.
    """

    actor: Networks
    critic: Networks | None
    log_std: NDArray[np.float32] | None


Distance = Callable[[Member], tuple[float, float]]
"""KL divergence to the previous policy and entropy, of a member as it is now."""
