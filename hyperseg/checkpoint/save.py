"""`hyperseg.save`: the weights with their configuration beside them."""

import json
import os
from pathlib import Path

import torch

from hyperseg.network import HyperSeg


def save(model: HyperSeg, path: str | os.PathLike[str]) -> None:
    """Write a `.pth` (or `.pt`), or a `.safetensors` file, that `hyperseg.load` reads back.

    The file appears only when it is complete: it is written beside and renamed.

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
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(tensors, beside, metadata={"hyperseg": json.dumps(config)})
        else:
            torch.save({"format": "hyperseg", "version": 1, "config": config, "state_dict": tensors}, beside)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
