from __future__ import annotations

import numpy as np
import torch
from torch import nn

from regime_assets.library.policies.tower import Tower


def test_values_and_gradients_are_torchs() -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 2)]
    tower = Tower(layers, rows=20)
    for rows in (20, 3):
        inputs, at_output = torch.randn(rows, 5), torch.randn(rows, 2)
        outputs = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])(inputs)
        parameters = [parameter for layer in layers for parameter in (layer.weight, layer.bias)]
        expected = torch.autograd.grad(outputs, parameters, at_output)
        np.testing.assert_allclose(tower.evaluate(inputs.numpy()), outputs.detach().numpy(), atol=1e-6)
        tower.differentiate(inputs.numpy(), at_output.numpy())
        for parameter, gradient in zip(tower.expose_gradients(), expected, strict=True):
            np.testing.assert_allclose(parameter.grad, gradient, atol=1e-5)


def test_an_optimizers_step_is_evaluated_next() -> None:
    layers = [nn.Linear(2, 3), nn.Linear(3, 1)]
    tower = Tower(layers, rows=4)
    inputs = np.ones((4, 2), np.float32)
    before = tower.evaluate(inputs).copy()
    tower.differentiate(inputs, np.ones((4, 1), np.float32))
    torch.optim.SGD(tower.expose_gradients(), lr=0.1).step()
    assert (tower.evaluate(inputs) < before).all()
