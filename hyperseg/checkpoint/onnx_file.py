"""Networks rebuilt from ONNX files of hyperseg-export: `hyperseg.shipped`, and what `hyperseg-train --init` reads.

An exported file has every BatchNorm folded (`hyperseg.fold`). The rebuilt network has BatchNorms that add the folded
bias and change nothing else: mean 0, variance 1 - eps, weight 1. Before they can work on batch statistics they need
the statistics of their inputs, which `hyperseg.training.calibration` measures.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.checkpoint.states import one_line
from hyperseg.config import Config
from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg

_METADATA = "hyperseg"
_PREFIX = "network."
_HALVED = ".half"
"""Suffix of weights that are stored in float16, see `hyperseg_export.shipped_model`."""
_ELSE = "name the checkpoint that it was exported from"


def shipped(name: str = "camvid-lite") -> HyperSeg:
    """Rebuild a network that ships with the package, in eval mode on the CPU, in float32.

    Its logits are those of the shipped ONNX file up to rounding. `hyperseg.save(hyperseg.shipped(), "m.safetensors",
    half=True)` writes it as a checkpoint.

    Raises:
        CheckpointError: there is no such model, or its file is damaged.
    """
    path = shipped_file(name)
    if path is None:
        raise CheckpointError(
            f"no model {name!r} ships with this package; it has {', '.join(shipped_names()) or 'none'}"
        )
    return load_onnx(path)


def shipped_names() -> tuple[str, ...]:
    """Names of the models that ship with the package."""
    return tuple(sorted(path.stem for folder in _folders() for path in folder.glob("*.onnx") if "." not in path.stem))


def shipped_file(name: str) -> Path | None:
    """ONNX file of a shipped model, or None."""
    return next((folder / f"{name}.onnx" for folder in _folders() if name in shipped_names()), None)


def _folders() -> list[Path]:
    # The models lie beside the runtime, which is found and not imported: it is another package's code, these are data.
    spec = importlib.util.find_spec("hyperseg_runtime")
    return [Path(place) / "models" for place in (spec.submodule_search_locations if spec else None) or ()]


def load_onnx(path: Path) -> HyperSeg:
    """Rebuild the network of an ONNX file that hyperseg-export wrote, in eval mode on the CPU, in float32.

    Raises:
        CheckpointError: the file is none of hyperseg-export, or its weights are not kept as they are (int8).
    """
    try:
        config, values = _read(path)
        return _rebuild(config, values)
    except CheckpointError as error:
        raise CheckpointError(one_line(path, error)) from None


def _read(path: Path) -> tuple[Config, dict[str, Tensor]]:
    import onnx
    from onnx import numpy_helper

    if not path.is_file():
        raise CheckpointError("no such file")
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's DecodeError, OSError, checks of external data: one meaning
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"cannot be read as an ONNX file ({reason}); {_ELSE}") from None
    text = next((entry.value for entry in model.metadata_props if entry.key == _METADATA), None)
    if text is None:
        raise CheckpointError(f"was not written by hyperseg-export: it has no metadata {_METADATA!r}; {_ELSE}")
    try:
        config = Config.from_dict(json.loads(text)["config"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise CheckpointError(f"its metadata describe no network ({error}); {_ELSE}") from None
    values: dict[str, Tensor] = {}
    for tensor in model.graph.initializer:
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
            array = numpy_helper.to_array(tensor).astype(np.float32)
            values[tensor.name.removeprefix(_PREFIX).removesuffix(_HALVED)] = torch.from_numpy(array.copy())
    for node in model.graph.node:
        # A convolution that was exported as a matrix product: the node has its name, and not the weights.
        if node.op_type == "Gemm" and node.input[0] in values:
            block = node.name.removesuffix("/Gemm")
            values[f"{block}.weight"] = values[node.input[0]]
            if len(node.input) > 2:
                values[f"{block}.bias"] = values[node.input[2]].flatten()
    return config, values


@torch.no_grad()
def _rebuild(config: Config, values: Mapping[str, Tensor]) -> HyperSeg:
    model = HyperSeg(config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.fill_(1 - module.eps)
    for name, expected in model.state_dict().items():
        part, _, entry = name.rpartition(".")
        if part.endswith(".norm") or ".norms." in part:
            if entry == "bias":
                _fill(name, expected, _bias(part, values))
        else:
            _fill(name, expected, _as_convolution(_weight(name, part, values), expected))
    return model.eval()


def _weight(name: str, part: str, values: Mapping[str, Tensor]) -> Tensor | None:
    """Values of a convolution or mapper, from the names that `hyperseg.fold` gives them."""
    if part.startswith("decoder.mappers."):
        matrix = values.get(f"decoder.mapper_weights.{part.rpartition('.')[2]}")  # [T, C_i / T, L]
        return None if matrix is None else matrix.transpose(1, 2).reshape(-1, matrix.shape[1], 1, 1)
    block = part.removesuffix(".conv")
    fine, coarse = values.get(f"{block}.fine.weight"), values.get(f"{block}.coarse.weight")
    if fine is not None and coarse is not None:
        return torch.cat([fine, coarse], dim=1)
    return values.get(name, _pruned(part, "weight", values))


def _as_convolution(value: Tensor | None, expected: Tensor) -> Tensor | None:
    """The weights [M, C, s, s] of a convolution that was exported as a product with [M, s * s * C] (`conv_to_gemm`)."""
    if value is None or value.dim() != 2 or expected.dim() != 4:
        return value
    _, channels, height, width = expected.shape
    if value.shape[1] != channels * height * width:
        return value
    return value.view(-1, height, width, channels).permute(0, 3, 1, 2)


def _bias(part: str, values: Mapping[str, Tensor]) -> Tensor | None:
    """Shift of a BatchNorm: the bias of the convolution that it was folded into."""
    if ".norms." in part:
        _, _, level, _, norm = part.split(".")
        return values.get(f"decoder.biases.{level}.{norm}")
    block = part.removesuffix(".norm")
    return values.get(f"{block}.conv.bias", values.get(f"{block}.fine.bias", _pruned(f"{block}.conv", "bias", values)))


def _pruned(part: str, entry: str, values: Mapping[str, Tensor]) -> Tensor | None:
    """Values of a context head of which the file has only the channels that affect the output; the others are empty."""
    kept = values.get(f"context_head.conv.{entry}")
    if kept is None or not part.startswith("context_head."):
        return None
    return kept if part == "context_head.inner.conv" else kept[:0]


def _fill(name: str, expected: Tensor, value: Tensor | None) -> None:
    """Give the entry the file's values; one of fewer rows, of a pruned head, leaves the others as they are."""
    if value is None:
        raise CheckpointError(f"lacks the weights of {name}, as a quantised or rewritten file does; {_ELSE}")
    pruned = name.startswith("context_head.") and len(value) < len(expected)
    if not pruned and value.shape != expected.shape:
        raise CheckpointError(f"has {name} of shape {list(value.shape)}, expected {list(expected.shape)}; {_ELSE}")
    if not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"has values in {name} that are not finite (NaN or infinity)")
    if len(value):
        expected[: len(value)] = value
