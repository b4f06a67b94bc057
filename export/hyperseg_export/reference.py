"""ONNX Runtime on the CPU as the reference for other runtimes.

Labels may differ only where the two logits of the file are closer than the effect of rounding, and on not many more
pixels than rounding changes. Engines have their logits at the network's own output size too, which may differ by no
more than that effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import Precision
from numpy.typing import NDArray

from hyperseg_export.errors import ExportError
from hyperseg_export.operators import DOMAIN
from hyperseg_export.passes.standard_operators import to_standard_operators
from hyperseg_export.rounding import FACTOR, Bound, disturbed_file


def open_reference(model: onnx.ModelProto, progress: Callable[[str], None]) -> onnxruntime.InferenceSession:
    """A session of the model. Without our library, our operators are replaced by standard ones, with a message to
    `progress`. Raises ExportError if ONNX Runtime cannot load the model."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    # Untrained networks fade out into denormal numbers, which processors handle a hundred times slower.
    settings.add_session_config_entry("session.set_denormal_as_zero", "1")
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it alternates with PyTorch's threads
    if any(node.domain == DOMAIN for node in model.graph.node):
        library = find(Library.ONNXRUNTIME)
        if library is None:
            progress(f"{Library.ONNXRUNTIME.value} is not built: comparing with standard operators in place of ours")
            model = in_standard_operators(model)
        else:
            settings.register_custom_ops_library(str(library))
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes have no common base
        raise ExportError(f"ONNX Runtime cannot load the exported file: {' '.join(str(error).split())}") from error


def in_standard_operators(model: onnx.ModelProto, keep: tuple[str, ...] = ()) -> onnx.ModelProto:
    """A copy without our operators, except those named in `keep`."""
    graph = ir.from_proto(model)
    to_standard_operators(graph, keep)
    return ir.to_proto(graph)


_OURS = ("DPWConv", "DPWInvertedResidual", "DPWMetaBlock", "FusedMapperDPWConv", "MBConv")


@dataclass(frozen=True)
class LabelComparison:
    """Shares of all pixels, 0 to 1."""

    equal: float
    different: float
    """Another label, and its logit is further from the largest than rounding explains."""
    turned_by_rounding: float
    """Of the file's own labels, by an error as large as rounding's."""

    @property
    def explained(self) -> bool:
        return self.different == 0 and 1.0 - self.equal <= FACTOR * self.turned_by_rounding

    def __str__(self) -> str:
        return (
            f"{self.equal:.3%} of the labels are the same; rounding turns {self.turned_by_rounding:.3%}, and on "
            f"{self.different:.3%} the file's logits differ by more than the effect of rounding"
        )


class LabelCheck:
    """An exported file with its logits as outputs, and the effect of rounding on them.

    Args:
        model: computes in float32.
        precision: what the other implementation computes in.
    """

    def __init__(self, model: onnx.ModelProto, precision: Precision) -> None:
        visible, self._logits, self._low_logits = _with_logits(model)
        self._session = open_reference(visible, lambda _: None)
        self._precision = precision
        self._twin = open_reference(disturbed_file(visible, precision), lambda _: None)

    def compare(self, images: NDArray[Any], labels: NDArray[Any]) -> LabelComparison:
        """Compares labels [N, H, W] of the other implementation for these images, in the file's input format."""
        expected, moved = (
            one.run([self._logits], {"image": images})[0].astype(np.float32) for one in (self._session, self._twin)
        )
        bound = Bound.of(moved - expected, expected, self._precision).largest
        best = expected.argmax(axis=1)
        chosen = np.minimum(labels.astype(np.int64), expected.shape[1] - 1)
        margin = expected.max(axis=1) - np.take_along_axis(expected, chosen[:, None], axis=1)[:, 0]
        other = labels != best
        # A few pixels may differ by chance, even if the perturbed copy changed none.
        turned = max(float(np.mean(moved.argmax(axis=1) != best)), 1.0 / best.size)
        return LabelComparison(
            equal=float(1.0 - other.mean()),
            different=float(np.mean(other & ((margin > 2.0 * bound) | (labels != chosen)))),
            turned_by_rounding=turned,
        )

    def explains(self, images: NDArray[Any], low_logits: NDArray[Any]) -> bool:
        """Whether rounding explains how the other implementation's logits at the network's own output size,
        [N, C, h, w], differ from the file's."""
        expected, moved = (
            one.run([self._low_logits], {"image": images})[0].astype(np.float32) for one in (self._session, self._twin)
        )
        if low_logits.shape != expected.shape:
            return False
        error = np.abs(low_logits.astype(np.float32) - expected).max()
        return bool(error <= Bound.of(moved - expected, expected, self._precision).largest)


def _with_logits(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str, str]:
    """A copy whose outputs include the logits at full size, and those before they are enlarged; and their names."""
    copied = in_standard_operators(model, _OURS)
    makers = {name: node for node in copied.graph.node for name in node.output}
    name = _full_logits(copied, makers)
    low = name
    while low in makers and makers[low].op_type in ("Resize", "Cast"):
        low = makers[low].input[0]
    known = {value.name: value for value in copied.graph.value_info}
    for each in dict.fromkeys((name, low)):
        if all(value.name != each for value in copied.graph.output):
            copied.graph.output.append(known.get(each, onnx.ValueInfoProto(name=each)))
    return copied, name, low


def _full_logits(model: onnx.ModelProto, makers: Mapping[str, onnx.NodeProto]) -> str:
    if any(value.name == "logits" for value in model.graph.output):
        return "logits"
    node = makers[model.graph.output[0].name]
    while node.op_type != "ArgMax":
        if node.input[0] not in makers:
            raise ExportError("the model's labels do not come from an arg max, so they cannot be compared")
        node = makers[node.input[0]]
    name: str = node.input[0]
    return name
