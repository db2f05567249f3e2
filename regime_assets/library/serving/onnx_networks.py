"""A bundle's networks evaluated by ONNX Runtime instead of NumPy; everything between them stays as it is.

The graphs are written from the stored weights, without torch, in the float32 that the weights have. Answers differ from
NumPy's float64 in the sixth digit, so that what is recorded and replayed is always NumPy's. Needs the extra `onnx`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.encoders.fitted_encoder import FittedEncoder, Inference, MlpInference
from regime_assets.library.policies.networks import Networks, Networks64
from regime_assets.library.production.bundle import Bundle

OPSET, IR_VERSION = 17, 9  # old enough for every ONNX Runtime since 2023
INPUT, OUTPUT = "rows", "outputs"


class OnnxMissingError(Exception):
    """The extra `onnx` is not installed."""


class Layer(NamedTuple):
    """A linear layer: weight (in, out) or, of several members at once, (S, in, out), and a bias that broadcasts."""

    weight: NDArray[Any]
    bias: NDArray[Any]


def require_onnx() -> None:
    """Refuse to go on without the packages.

    Raises:
        OnnxMissingError: naming those that are missing.
    """
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise OnnxMissingError(f"{' and '.join(missing)} not installed: pip install 'regime_assets[onnx]'")


def with_onnx_networks(bundle: Bundle) -> Bundle:
    """The same bundle, of the same hash, whose encoder, decoder and policy networks ONNX Runtime evaluates."""
    prepared, vae = bundle, bundle.regimes.vae
    if isinstance(vae.inference, MlpInference):  # an encoder of another class stays what it is
        onnx = OnnxEncoder(**_fields_of(vae))
        onnx.decode(np.zeros((1, vae.settings.n_latents)))  # compiled here, not while a request waits
        prepared = replace(bundle, regimes=replace(bundle.regimes, vae=onnx))
    if bundle.policy.actor is None:
        return prepared
    actor = OnnxNetworks(**_fields_of(bundle.policy.actor))
    actor.evaluate(np.zeros((1, actor.shape[0])))
    return replace(prepared, policy=replace(bundle.policy, actor=actor))


class OnnxEncoder(FittedEncoder):
    """The shipped encoder, whose two networks are ONNX graphs."""

    @cached_property
    def inference(self) -> Inference:
        """ONNX Runtime instead of NumPy."""
        return _OnnxInference(self.weights, self.settings)


class _OnnxInference(MlpInference):
    @cached_property
    def _programs(self) -> dict[str, Program]:
        return {name: Program(graph_of(self.layers(name), "silu")) for name in ("encoder", "decoder")}

    def layers(self, network: str) -> list[Layer]:
        """The linear layers of one network."""
        weights = self.weights
        numbers = range(len(self.settings.hidden) + 1)
        return [Layer(weights[f"{network}.{n}.weight"].T, weights[f"{network}.{n}.bias"]) for n in numbers]

    def run(self, network: str, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `MlpInference`."""
        return self._programs[network](inputs)


class OnnxNetworks(Networks):
    """Policy networks, all members of which are one ONNX graph."""

    @cached_property
    def _program(self) -> Program:
        layers = [Layer(w, b[:, None, :]) for w, b in zip(self.weights, self.biases, strict=True)]
        return Program(graph_of(layers, "tanh", squashed=self.squashed))

    def in_float64(self) -> Networks64:
        """The networks prepared for many small evaluations."""
        return _Evaluated([], [], self.squashed, self._program)


class Program:
    """A graph that ONNX Runtime has loaded; one thread, as everywhere in this package."""

    def __init__(self, graph: bytes) -> None:
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs of rows (M, in): (M, out), or (S, M, out) of several members."""
        return self._session.run(None, {INPUT: rows.astype(np.float32)})[0].astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Evaluated(Networks64):
    program: Program

    def each(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs (M, S, 1, out) of inputs (M, in)."""
        return self.program(inputs).swapaxes(0, 1)[:, :, None]

    def forward(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs (S, M, out) of inputs (M, in)."""
        return self.program(inputs)


def graph_of(layers: Sequence[Layer], activation: Literal["silu", "tanh"], *, squashed: bool = False) -> bytes:
    """An ONNX model: linear layers with an activation between them, none or a tanh after the last."""
    onnx: Any = import_module("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    nodes: list[Any] = []
    constants: list[Any] = []
    value = INPUT
    for number, layer in enumerate(layers):
        if number and activation == "silu":
            nodes.append(helper.make_node("Sigmoid", [value], [f"sigmoid_{number}"]))
            nodes.append(helper.make_node("Mul", [value, f"sigmoid_{number}"], [f"active_{number}"]))
            value = f"active_{number}"
        elif number:
            nodes.append(helper.make_node("Tanh", [value], [f"active_{number}"]))
            value = f"active_{number}"
        for name, array in (("weight", layer.weight), ("bias", layer.bias)):
            tensor = np.ascontiguousarray(array, dtype=np.float32)
            constants.append(onnx.numpy_helper.from_array(tensor, f"{name}_{number}"))
        nodes.append(helper.make_node("MatMul", [value, f"weight_{number}"], [f"product_{number}"]))
        value = OUTPUT if number == len(layers) - 1 and not squashed else f"linear_{number}"
        nodes.append(helper.make_node("Add", [f"product_{number}", f"bias_{number}"], [value]))
    if squashed:
        nodes.append(helper.make_node("Tanh", [value], [OUTPUT]))
    entering = helper.make_tensor_value_info(INPUT, floats, [None, layers[0].weight.shape[-2]])
    members = list(layers[-1].weight.shape[:-2])
    leaving = helper.make_tensor_value_info(OUTPUT, floats, [*members, None, layers[-1].weight.shape[-1]])
    graph = helper.make_graph(nodes, "network", [entering], [leaving], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _fields_of(instance: Any) -> dict[str, Any]:
    return {field.name: getattr(instance, field.name) for field in fields(instance)}
