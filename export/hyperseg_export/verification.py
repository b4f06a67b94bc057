"""Verifies an exported file in ONNX Runtime against the PyTorch network, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from hyperseg_runtime.metadata import InputType, Precision, Verification
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hyperseg_export.errors import DisagreementError, ExportError
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_export.progress import Part
from hyperseg_export.reference import open_reference
from hyperseg_export.rounding import FLOAT16, FLOAT32, Bound, disturbed, smallest
from hyperseg_export.samples import sample_images
from hyperseg_export.tracing import INPUT_NAME, OUTPUT_NAMES

CHECKED = (Precision.FLOAT32, Precision.FLOAT16)
"""Precisions with a derived bound. The error of eight bits is not rounding of sums: it is measured and reported."""

_DISCARDED = "the file was discarded (--no-verify keeps it)"

# Bilinear interpolation by a power of two has exact weights: per axis two products and a sum, on both sides.
_INTERPOLATION = {Precision.FLOAT32: 16 * FLOAT32, Precision.FLOAT16: 16 * FLOAT32 + 4 * FLOAT16}


class Agreement:
    """Collects comparisons over images; `check` raises if one exceeds the effect of rounding."""

    def __init__(self, precision: Precision) -> None:
        self._precision = precision
        self._failure: str | None = None
        self._images = 0
        self._largest = 0.0
        self._error_sum = 0.0
        self._values = 0
        self._rounding = 0.0
        self._pixels = 0
        self._tied = 0
        self._different = 0

    def compare(self, part: str, found: Tensor, expected: Tensor, disturbed: Tensor) -> Bound:
        """Compares one result of one part of the network, with the same input for both.

        Args:
            part: its name, for the message.
            found: the file's result.
            expected: the network's.
            disturbed: the network's with the weights that `rounding.disturbed` made.
        """
        error = (found - expected).abs()
        if not bool(torch.isfinite(error).all()):
            raise DisagreementError(f"the exported file outputs values that are not finite ({part}); {_DISCARDED}")
        bound = Bound.of(disturbed - expected, expected, self._precision)
        largest, mean = float(error.max()), float(error.mean(dtype=torch.float64))
        for name, measured, allowed in (("up to", largest, bound.largest), ("on average", mean, bound.mean)):
            if measured > allowed:
                self._fail(f"{part}: off by {name} {measured:.2g}; the rounding bound is {allowed:.2g}")
        return bound

    def compare_logits(self, found: Tensor, expected: Tensor, disturbed: Tensor) -> Bound:
        """As `compare`, for the logits of the whole network: the values in the report."""
        error = (found - expected).abs()
        bound = self.compare("logits", found, expected, disturbed)
        self._images += len(found)
        self._largest = max(self._largest, float(error.max()))
        self._error_sum += float(error.sum(dtype=torch.float64))
        self._values += error.numel()
        self._rounding = max(self._rounding, bound.largest)
        return bound

    def compare_end(self, labels: NDArray[np.integer] | None, logits: Tensor | None, own: Tensor) -> None:
        """The file's labels and logits of full size against its own logits `own`, enlarged: interpolation and arg max
        alone, so hardly any rounding."""
        bound = _INTERPOLATION[self._precision] * float(own.abs().max()) + smallest(self._precision)
        if logits is not None:
            largest = float((logits - own).abs().max())
            if not largest <= bound:
                self._fail(f"upsampled logits: off by up to {largest:.2g}; the rounding bound is {bound:.2g}")
        if labels is not None:
            different = int(_different(labels, own, bound)[0].sum())
            if different:
                self._fail(f"labels: {different} are not those of the file's own largest logits")

    def compare_labels(self, labels: NDArray[np.integer], expected: Tensor, bound: float) -> None:
        """Compares the file's labels with the network's logits at full size, which are exact up to `bound`."""
        different, tied = _different(labels, expected, bound)
        self._pixels += labels.size
        self._different += int(different.sum())
        self._tied += int(tied.sum())

    def result(self) -> Verification:
        return Verification(
            inputs=self._images,
            max_abs_error=self._largest,
            mean_abs_error=self._error_sum / max(self._values, 1),
            label_agreement=1.0 - self._different / max(self._pixels, 1),
            label_ties=self._tied / max(self._pixels, 1),
            rounding=self._rounding if self._precision in CHECKED else None,
        )

    def check(self) -> None:
        """Raises DisagreementError for the first difference that rounding does not explain, with both numbers."""
        if self._precision not in CHECKED:
            return
        if self._different:
            self._fail(
                f"labels: {self._different} of {self._pixels} differ where the network's two logits are further apart "
                "than rounding moves them"
            )
        if self._failure is not None:
            raise DisagreementError(f"the exported file disagrees with the network ({self._failure}); {_DISCARDED}")

    def _fail(self, what: str) -> None:
        self._failure = self._failure or what


def _different(
    labels: NDArray[np.integer], logits: Tensor, bound: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where another label than the largest logit's was chosen: for a reason, and between two that rounding can swap."""
    classes = logits.shape[1]
    chosen = torch.from_numpy(labels.astype(np.int64))
    own = logits.gather(1, chosen.clamp(0, classes - 1)[:, None])[:, 0]
    best, first = logits.max(dim=1)
    other = chosen != first
    near = (best - own <= 2.0 * bound) & (chosen < classes)
    return (other & ~near).numpy(), (other & near).numpy()


Outputs: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Maps:
    """The tensors between the parts of a network: features F_1..F_5, signal φ, and the logits of the finest level."""

    image: Tensor
    features: list[Tensor]
    signal: Tensor
    low: Tensor


class VisibleFile:
    """A session of the file.

    Args:
        path: the file.
        outputs: names of its outputs.
        parts: whether it can be taken apart; one in eight bits has other maps.
        note: receives a message if an operator cannot run unchanged.
    """

    def __init__(self, path: Path, outputs: list[str], parts: bool, note: Callable[[str], None]) -> None:
        model = onnx.load(path)
        self._borders = _Borders.of(model.graph, parts)
        self._names = list(dict.fromkeys([*outputs, *self._borders.names]))
        _show(model.graph, self._names)
        self._session = open_reference(model, note)

    def run(self, feed: NDArray[Any]) -> Outputs:
        """All outputs by name."""
        return dict(zip(self._names, self._session.run(self._names, {INPUT_NAME: feed}), strict=True))

    def low(self, outputs: Outputs) -> Tensor:
        """The logits of the finest level, float32."""
        return torch.from_numpy(outputs[self._borders.low].astype(np.float32))

    def maps(self, outputs: Outputs, image: Tensor) -> Maps:
        """The maps between the parts, float32. A level that reads the image gets the file's version of it."""
        tensors = {name: torch.from_numpy(outputs[name].astype(np.float32)) for name in self._borders.names}
        features = sorted((tensors[name] for name in self._borders.features), key=lambda each: -each.shape[2])
        (signal,) = self._borders.signals
        own = tensors[self._borders.images[0]] if self._borders.images else image
        return Maps(own, features, tensors[signal], tensors[self._borders.low])


@dataclass(frozen=True)
class _Borders:
    """Names of the maps between the parts of the network."""

    features: tuple[str, ...]
    signals: tuple[str, ...]
    images: tuple[str, ...]
    low: str

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.features, *self.signals, *self.images, self.low)

    @staticmethod
    def of(graph: onnx.GraphProto, parts: bool) -> _Borders:
        """Found by the names of the nodes, which begin with their part. Raises ExportError."""
        values = (*graph.value_info, *graph.output)
        maps = {value.name for value in values if len(value.type.tensor_type.shape.dim) == 4}
        makers = {name: _part(node) for node in graph.node for name in node.output if name in maps}
        crossing: dict[tuple[str, str], list[str]] = {}
        for node in graph.node:
            for name in node.input:
                if name in makers and name not in crossing.setdefault((makers[name], _part(node)), []):
                    crossing[makers[name], _part(node)].append(name)
        low = crossing.get(("decoder", "deployment"), [])
        low += [value.name for value in graph.output if makers.get(value.name) == "decoder"]
        sources = ("backbone", "context_head", "deployment")
        features, signals, images = (tuple(crossing.get((part, "decoder"), ())) if parts else () for part in sources)
        if not low or (parts and (not features or len(signals) != 1 or len(images) > 1)):
            raise ExportError(
                "the exported graph does not show where its encoder ends and its decoder begins, so it cannot be "
                "compared part by part; --no-verify skips the comparison"
            )
        return _Borders(features, signals, images, low[0])


def _part(node: onnx.NodeProto) -> str:
    """`backbone` of `backbone.blocks.3.project/Conv`."""
    return node.name.partition("/")[0].partition(".")[0]


def _show(graph: onnx.GraphProto, names: list[str]) -> None:
    """Adds values to the outputs of the graph."""
    shown = {value.name for value in graph.output}
    known = {value.name: value for value in graph.value_info}
    graph.output.extend(known[name] for name in names if name not in shown)


_LABELS, _LOGITS = "labels", "logits"


def verify(
    path: Path,
    network: Any,
    options: ExportOptions,
    resolution: Resolution,
    note: Callable[[str], None] | None = None,
    progress: Part | None = None,
) -> Verification:
    """Compares the file with the network. Raises DisagreementError if they differ by more than rounding explains.

    The maps between encoder, context head and decoder are made outputs of the file. Decoder and end are then compared
    on the file's own maps: a network may amplify the encoder's rounding a thousandfold, behind which an error in one
    weight of the decoder would hide. A dynamic file is also run at a second size. `note` receives a sentence if
    our operators cannot run, `progress` the images.
    """
    agreement = Agreement(options.precision)
    checked = options.precision in CHECKED
    file = VisibleFile(path, OUTPUT_NAMES[options.output], checked, note or _ignore)
    twin = disturbed(network, options.precision) if checked else None
    batches = list(image_batches(options, resolution, network.config))
    count, begun = sum(map(len, batches)), 0
    for images in batches:
        if progress is not None:
            progress(begun + 1, count)
        begun += len(images)
        feed, normalised = network_inputs(images, network.config, options.input_type)
        outputs = file.run(feed)
        with torch.no_grad():
            expected = _run(network, normalised)
            other = expected if twin is None else _run(twin, normalised)
            if twin is not None:
                found = file.maps(outputs, normalised)
                _compare_parts(agreement, found, expected, other)
                arguments = found.image, found.features, found.signal
                agreement.compare("decoder", found.low, network.decoder(*arguments), twin.decoder(*arguments))
                logits = torch.from_numpy(outputs[_LOGITS]) if _LOGITS in outputs else None
                agreement.compare_end(outputs.get(_LABELS), logits, _enlarged(network, found.low))
            bound = agreement.compare_logits(file.low(outputs), expected.low, other.low)
            labels = outputs[_LABELS] if _LABELS in outputs else outputs[_LOGITS].argmax(axis=1)
            agreement.compare_labels(labels, _enlarged(network, expected.low), bound.largest)
    agreement.check()
    return agreement.result()


def _ignore(text: str) -> None:
    del text


def _compare_parts(agreement: Agreement, found: Maps, expected: Maps, other: Maps) -> None:
    """Compares encoder and context head."""
    for number, maps in enumerate(zip(found.features, expected.features, other.features, strict=True), 1):
        agreement.compare(f"feature map F{number}", *maps)
    used = found.signal.shape[1]  # channels that no level reads were left out
    agreement.compare("signal", found.signal, expected.signal[:, :used], other.signal[:, :used])


def _run(network: Any, image: Tensor) -> Maps:
    features, last = network.backbone(image)
    signal = network.context_head(last)
    return Maps(image, features, signal, network.decoder(image, features, signal))


def _enlarged(network: Any, low: Tensor) -> Tensor:
    """Logits at the size of the images."""
    stride = float(network.config.output_stride)
    return low if stride == 1 else F.interpolate(low, scale_factor=stride, mode="bilinear")


def image_batches(options: ExportOptions, resolution: Resolution, config: Any) -> Iterator[NDArray[np.uint8]]:
    """The images that a file is compared on: uint8 [N, H, W, 3], at a second size too if it is dynamic."""
    images = sample_images(resolution.height, resolution.width)
    for start in range(0, len(images), options.batch):
        yield np.stack([images[(start + index) % len(images)] for index in range(options.batch)])
    if options.dynamic:
        yield np.stack(sample_images(2 * config.unit, 3 * config.unit, seed=1))


def network_inputs(images: NDArray[np.uint8], config: Any, kind: InputType) -> tuple[NDArray[Any], Tensor]:
    """The images in the file's input format, and in the network's."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (config.mean, config.std))
    normalised = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0 - mean) / std
    return (images if kind is InputType.UINT8 else normalised.contiguous().numpy()), normalised
