"""Checkpoint files: reading as data only, without executing code, and `hyperseg.save`."""

import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg
from hyperseg.output_files import atomic_output


def save(model: HyperSeg, path: str | os.PathLike[str]) -> None:
    """Write a `.pth` (or `.pt`), or a `.safetensors` file, that `hyperseg.load` reads back.

    The file is written atomically.

    Raises:
        ValueError: another suffix, or a model that is not a `HyperSeg` with its BatchNorms (a folded one).
    """
    file = Path(path)
    if type(model) is not HyperSeg:
        raise ValueError("only an unfolded HyperSeg model can be saved; fold it after loading")
    if file.suffix not in (".pth", ".pt", ".safetensors"):
        raise ValueError(f"{file}: the suffix must be .pth, .pt or .safetensors")
    config = model.config.to_dict()
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic_output(file) as draft:
        if file.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(tensors, draft, metadata={"hyperseg": json.dumps(config)})
        else:
            torch.save({"format": "hyperseg", "version": 1, "config": config, "state_dict": tensors}, draft)


def read(path: Path) -> dict[str, Any]:
    """Read the dictionary in a `.pth` or `.safetensors` file.

    A safetensors file gives {"config": …, "state_dict": …}, as our `.pth` files do.

    Raises:
        CheckpointError: the file is missing, truncated, no checkpoint, or holds something other than data.
    """
    content = _read_safetensors(path) if path.suffix == ".safetensors" else read_data(path)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise CheckpointError(f"{path} is not a HyperSeg checkpoint: it has no `state_dict`")
    return content


def read_data(path: Path) -> Any:
    """Read any data that `torch.save` wrote; errors as in `read`."""
    _require_file(path)
    return _read_pickle(path)


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, expected a checkpoint file")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
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
            raise CheckpointError(f"{path} holds objects other than tensors and numbers and is not loaded") from None
        raise CheckpointError(f"{path} is not a checkpoint that PyTorch can read") from None
    except Exception:
        # A damaged file can fail anywhere in the reader: EOFError, RuntimeError, KeyError, struct.error, ...
        found = "is truncated or damaged" if _looks_like_checkpoint(path) else "is not a PyTorch checkpoint"
        raise CheckpointError(f"{path} {found}") from None


def _looks_like_checkpoint(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    return zipfile.is_zipfile(path) or start.startswith((b"PK\x03\x04", b"\x80"))


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a safetensors file, or is truncated: {error}") from None
    if "hyperseg" not in metadata:
        raise CheckpointError(f"{path} has no `hyperseg` configuration in its metadata")
    try:
        return {"config": json.loads(metadata["hyperseg"]), "state_dict": tensors}
    except ValueError:
        raise CheckpointError(f"{path}: the `hyperseg` configuration in its metadata is not JSON") from None


def _allowed() -> list[Any]:
    """Globals that the NumPy scalar `best_iou` of the published files needs."""
    scalar = np.float64(0.0).__reduce__()[0]
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        type(np.dtype(np.float64)),
    ]
