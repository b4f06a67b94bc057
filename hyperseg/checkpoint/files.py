"""Checkpoint files: reading as data only, without executing code, and `hyperseg.save`."""

import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyperseg.checkpoint.kinds import (
    is_safetensors,
    reason_after_failure,
    reason_before_reading,
    reason_of_folder,
    refused_global,
)
from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg
from hyperseg.output_files import atomic_output


def save(model: HyperSeg, path: str | os.PathLike[str], *, half: bool = False) -> None:
    """Write a `.pth` (or `.pt`), or a `.safetensors` file, that `hyperseg.load` reads back.

    The file is written atomically.

    Args:
        model: the network.
        path: its suffix says which format is written.
        half: store the weights of convolutions and mappers as float16, at half the size; they are rounded to 11 bits.
            `hyperseg.load` makes float32 of them. BatchNorms and biases stay float32.

    Raises:
        ValueError: another suffix, a model that is not a `HyperSeg` with its BatchNorms (a folded one), or weights that
            float16 cannot hold.
    """
    file = Path(path)
    if type(model) is not HyperSeg:
        raise ValueError("only an unfolded HyperSeg model can be saved; fold it after loading")
    if file.suffix not in (".pth", ".pt", ".safetensors"):
        raise ValueError(f"{file}: the suffix must be .pth, .pt or .safetensors")
    config = model.config.to_dict()
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if half:
        tensors = {name: value.half() if value.dim() > 1 else value for name, value in tensors.items()}
        overflow = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
        if overflow:
            raise ValueError(f"{overflow[0]} has values that float16 cannot hold (over 65504); save without half=True")
    with atomic_output(file) as draft:
        if file.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(tensors, draft, metadata={"hyperseg": json.dumps(config)})
        else:
            torch.save({"format": "hyperseg", "version": 1, "config": config, "state_dict": tensors}, draft)


def read(path: Path) -> Any:
    """Read the data of a `.pth`, `.pt` or `.safetensors` file, told by its content and not by its name.

    A safetensors file gives {"config": …, "state_dict": …}, as our `.pth` files do.

    Raises:
        CheckpointError: the file is missing, truncated, no checkpoint, or holds something other than data.
    """
    content = read_tensors(path)
    if not isinstance(content, _Safetensors):
        return content
    if "hyperseg" not in content.metadata:
        raise CheckpointError(
            f"{path} has no `hyperseg` configuration in its metadata, which says what network its weights belong to; "
            "write it with hyperseg.save"
        )
    try:
        config = json.loads(content.metadata["hyperseg"])
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: the `hyperseg` configuration in its metadata is not JSON") from None
    return {"format": "hyperseg", "config": config, "state_dict": dict(content)}


def read_tensors(path: Path) -> Any:
    """Read the data of a file that need not describe its network; errors as in `read`."""
    _require_file(path)
    if is_safetensors(path):
        return _read_safetensors(path)
    reason = reason_before_reading(path)
    if reason is not None:
        raise CheckpointError(f"{path} {reason}")
    return _read_pickle(path)


class _Safetensors(dict[str, torch.Tensor]):
    """The tensors of a safetensors file, with the texts of its header."""

    metadata: dict[str, str]


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise CheckpointError(f"{path} {reason_of_folder(path)}")
    if not path.exists():
        raise CheckpointError(f"{path}: no such file")
    if not path.is_file():
        raise CheckpointError(f"{path} is a pipe or device, expected a checkpoint file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None


def _read_pickle(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_allowed()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error) or "GLOBAL" in str(error):
            named = refused_global(str(error))
            raise CheckpointError(
                f"{path} holds objects other than tensors and numbers{named} and is not loaded; save the network's "
                "state dict and configuration only"
            ) from None
        raise CheckpointError(f"{path} {reason_after_failure(path)}") from None
    except Exception:
        # A damaged file can fail anywhere in the reader: EOFError, RuntimeError, KeyError, struct.error, ...
        raise CheckpointError(f"{path} {reason_after_failure(path)}") from None


def _read_safetensors(path: Path) -> _Safetensors:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = _Safetensors((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118  no mapping
            tensors.metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a safetensors file, or is truncated: {error}") from None
    return tensors


def _allowed() -> list[Any]:
    """Globals that the NumPy scalar `best_iou` of the published files needs."""
    scalar = np.float64(0.0).__reduce__()[0]
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        type(np.dtype(np.float64)),
    ]
