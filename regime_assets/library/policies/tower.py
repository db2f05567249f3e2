"""A small tanh network of torch, evaluated and differentiated in NumPy where torch keeps its weights.

For networks this small torch's time on a CPU goes into bookkeeping, fresh memory and a slow tanh; NumPy into buffers
that are used again takes a fraction of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Float32 = NDArray[np.float32]


class Tower:
    """Linear layers with tanh between them.

    Weights and gradients are torch's own memory: what an optimizer changes is evaluated next, what `differentiate`
    finds is what the optimizer reads.
    """

    def __init__(self, layers: Sequence[nn.Linear], rows: int) -> None:
        """Take over `layers` from the input on, with buffers for up to `rows` inputs at once."""
        self._parameters: list[nn.Parameter] = [parameter for layer in layers for parameter in layer.parameters()]
        self._gradients = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._weights: list[Float32] = [layer.weight.detach().numpy() for layer in layers]
        self._biases: list[Float32] = [layer.bias.detach().numpy() for layer in layers]
        self._hidden: list[Float32] = [np.empty((rows, layer.out_features), np.float32) for layer in layers]
        self._errors: list[Float32] = [np.empty_like(hidden) for hidden in self._hidden]
        self._scratch: list[Float32] = [np.empty_like(hidden) for hidden in self._hidden]
        self._ones = np.ones(rows, np.float32)

    def expose_gradients(self) -> list[nn.Parameter]:
        """The parameters, with the buffers of `differentiate` as their `grad`."""
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._parameters

    def evaluate(self, inputs: Float32) -> Float32:
        """Outputs (M, out) of inputs (M, in), valid until the next call."""
        hidden = inputs
        for layer, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            if layer:
                np.tanh(hidden, out=hidden)
            hidden = np.matmul(hidden, weight.T, out=self._hidden[layer][: len(inputs)])
            hidden += bias
        return hidden

    def differentiate(self, inputs: Float32, at_output: NDArray[np.floating]) -> None:
        """Gradients of the parameters from the loss's gradient (M, out) at the outputs evaluated last."""
        rows = len(inputs)
        error: NDArray[np.floating] = at_output
        for layer in range(len(self._weights) - 1, -1, -1):
            below = self._hidden[layer - 1][:rows] if layer else inputs
            np.matmul(error.T, below, out=self._gradients[2 * layer].numpy())
            np.matmul(self._ones[:rows], error, out=self._gradients[2 * layer + 1].numpy())
            if layer:
                slope = np.multiply(below, below, out=self._scratch[layer - 1][:rows])
                np.subtract(np.float32(1.0), slope, out=slope)
                error = np.matmul(error, self._weights[layer], out=self._errors[layer - 1][:rows])
                error *= slope
