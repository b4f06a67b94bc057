"""Bounds on the effect of rounding on a network's results. docs/numerics.md derives and measures them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperseg_runtime.metadata import Precision

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

FLOAT32 = 2.0**-24
"""Largest relative error of one rounding to float32."""
FLOAT16 = 2.0**-11
BFLOAT16 = 2.0**-8

FACTOR = 4.0
"""Two correct implementations differ by at most this factor times the effect of `disturbed` on one of them.

Each of them rounds, which makes sqrt(2); the rest is for the largest of many values, drawn twice, and for an image of
one colour, over which rounding errors are alike and averages do not remove them. Measured: 0.3 to 2."""

_GENERATED = 128
"""Terms of a decoder level's sums, whose factors a weight mapper's product makes: more than any published level has."""

_SMALLEST = {Precision.FLOAT16: 2.0**-24}
_SMALLEST_FLOAT32 = 1e-34
"""Values that fade out into denormal numbers, as those of untrained networks do, are zero in one implementation and not
in another, and in float16 are multiples of 2^-24: no relative error tells how far such values are off."""


def relative_error(terms: int, precision: Precision) -> float:
    """Standard deviation of a sum of products, in units of the root of the sum of their squares.

    Of all usual orders the sequential one loses most: of random signs, the first k of n terms make a partial sum of
    sqrt(k / n) of that unit; rounding it is an error of uniform distribution up to 2^-24 of it, of variance 2^-48/3;
    the n variances add up to 2^-48 n/6 (Higham, Accuracy and Stability of Numerical Algorithms, sections 4.2 and 4.5).
    In float16 and bfloat16 every factor was rounded before, to 11 and 8 bits.
    """
    summed = FLOAT32 * math.sqrt(max(terms, 6) / 6.0)
    return math.hypot(summed, {Precision.FLOAT16: FLOAT16, Precision.BFLOAT16: BFLOAT16}.get(precision, 0.0))


def smallest(precision: Precision) -> float:
    """The absolute error of values near zero."""
    return _SMALLEST.get(precision, _SMALLEST_FLOAT32)


@dataclass(frozen=True)
class Bound:
    """The largest and the mean error within rounding."""

    largest: float
    mean: float

    @staticmethod
    def of(change: Any, expected: Any, precision: Precision = Precision.FLOAT32) -> Bound:
        """The bound from the change of `expected` by perturbed weights; tensors or arrays.

        Results that hardly depend on the image, as those of a network that has just begun to learn, are one draw of the
        perturbation and not many, which may be small by chance: the last sum's own rounding counts in any case.
        """
        last_sum = relative_error(_GENERATED, Precision.FLOAT32)
        least = FACTOR * (last_sum * float(abs(expected).max()) + smallest(precision))
        size = abs(change)
        return Bound(max(FACTOR * float(size.max()), least), max(FACTOR * float(size.mean()), least))


def disturbed(network: Any, precision: Precision = Precision.FLOAT32, seed: int = 0) -> Any:
    """A copy with every weight perturbed, up or down at random, by the relative error of the sum that it is a term of.

    So the copy's results are as far from the network's as rounding makes those of an implementation that sums term by
    term, and amplified on their way through the network just as rounding errors are. No error of an export can make
    the distance larger: it is a property of the network and its input alone.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for tensor, terms in _constants(copied):
            signs = torch.randint(0, 2, tensor.shape, generator=generator) * 2 - 1
            tensor.mul_(1.0 + signs * relative_error(terms, precision))
    return copied


def _constants(network: Any) -> Iterator[tuple[Tensor, int]]:
    """Weights, biases and statistics, each with the number of terms of its sums."""
    for module in network.modules():
        tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        for tensor in tensors:
            if tensor.is_floating_point():
                yield tensor, _terms(network, module, tensor)


def _terms(network: Any, module: nn.Module, tensor: Tensor) -> int:
    from hyperseg.decoder import WeightMapper

    if isinstance(module, WeightMapper):  # the generated weights are terms of the levels' sums in turn
        levels = [level for level in network.config.levels if network.config.mappers[level.mapper] == module.shape]
        generated: int = max(max(level.inputs, level.hidden, level.kernel**2) for level in levels)
        return tensor.shape[1] + generated
    return int(tensor[0].numel()) if tensor.dim() > 1 else 1


_WEIGHTS_OF = {"Conv", "ConvTranspose", "Gemm", "MatMul", "FusedMapperDPWConv", "MBConv"}
_BIASES_OF = _WEIGHTS_OF | {"DPWConv", "DPWInvertedResidual", "DPWMetaBlock", "Add", "Mul", "Sub", "Div"}


def disturbed_file(model: onnx.ModelProto, precision: Precision, seed: int = 0) -> onnx.ModelProto:
    """As `disturbed`, for an ONNX file of float32, weights stored in float16 included."""
    from onnx import numpy_helper

    random = np.random.default_rng(seed)
    copied: onnx.ModelProto = copy.deepcopy(model)
    casts = {node.input[0]: node.output[0] for node in copied.graph.node if node.op_type == "Cast"}
    readers = {name: node for node in copied.graph.node for name in node.input if node.op_type in _BIASES_OF}
    for tensor in copied.graph.initializer:
        reader = readers.get(casts.get(tensor.name, tensor.name))
        values = numpy_helper.to_array(tensor)
        if reader is None or not np.issubdtype(values.dtype, np.floating):
            continue
        terms = _file_terms(reader, values) if reader.op_type in _WEIGHTS_OF else 1
        signs = random.integers(0, 2, values.shape) * 2 - 1
        moved = values.astype(np.float32) * (1.0 + signs * relative_error(terms, precision)).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(moved.astype(np.float32), tensor.name))
    return copied


def _file_terms(reader: onnx.NodeProto, values: np.ndarray[Any, Any]) -> int:
    """Convolutions store [outputs, inputs, ...]; products, such as weight mappers, [..., inputs, outputs]."""
    if values.ndim < 2:
        return 1
    if reader.op_type in ("MatMul", "FusedMapperDPWConv") and values.ndim != 4:
        return int(values.shape[-2]) + _GENERATED
    return int(np.prod(values.shape[1:]))
