"""Predictors: a checkpoint, ONNX file or engine as a function from a frame to its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from hyperseg_runtime.metadata import InputSpec, InputType
from hyperseg_runtime.model_kinds import Kind, kind_of
from hyperseg_runtime.preprocess import Frame, Labels, Size, prepare, restore
from hyperseg_runtime.segmenter import Segmenter

from hyperseg_export.options import Resolution


@dataclass(frozen=True)
class Facts:
    """Properties of a network that a report lists; None if the file does not state it."""

    runner: str
    precision: str
    size: Size
    class_names: tuple[str, ...]
    parameters: int | None
    macs: int | None


class Predictor(Protocol):
    """uint8 [h, w, 3] BGR -> uint8 [h, w]."""

    facts: Facts

    def __call__(self, frame: Frame) -> Labels: ...

    def close(self) -> None: ...


def open_predictor(
    path: Path,
    backend: str,
    threads: int | None,
    size: Size | None,
    note: Callable[[str], None],
    *,
    allow_host_code: bool = False,
) -> Predictor:
    """The predictor for a file by its suffix. Raises what loading it raises; for `note` see `hyperseg.load`."""
    if kind_of(path) is Kind.CHECKPOINT:
        return CheckpointPredictor(path, threads, size, note)
    return SegmenterPredictor(
        Segmenter(path, backend=backend, threads=threads, resolution=size, allow_host_code=allow_host_code, note=note)
    )


class SegmenterPredictor:
    """An ONNX file or an engine in the runtime."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        metadata = segmenter.metadata
        parameters, macs = _cost(metadata.preset, metadata.config, segmenter.size)
        self.facts = Facts(
            segmenter.description,
            metadata.precision.value,
            segmenter.size,
            metadata.class_names,
            parameters,
            macs,
        )

    def __call__(self, frame: Frame) -> Labels:
        return self._segmenter(frame)

    def close(self) -> None:
        self._segmenter.close()


class CheckpointPredictor:
    """A checkpoint in PyTorch, with the runtime's preprocessing of frames and resizing of labels."""

    def __init__(self, path: Path, threads: int | None, size: Size | None, note: Callable[[str], None]) -> None:
        import torch

        import hyperseg

        if threads is not None:
            torch.set_num_threads(threads)
        self._model = hyperseg.fold(hyperseg.load(path, note=note))
        config = self._model.config
        self._size = size or config.resolution
        Resolution(*self._size).check(config.unit)
        self._spec = InputSpec(*self._size, mean=config.mean, std=config.std, dtype=InputType.FLOAT)
        parameters, macs = _cost(None, config.to_dict(), self._size)
        runner = f"PyTorch {torch.__version__}"
        self.facts = Facts(runner, "float32", self._size, config.classes.names, parameters, macs)

    def __call__(self, frame: Frame) -> Labels:
        import torch

        with torch.inference_mode():
            logits = self._model(torch.from_numpy(prepare(frame, self._spec, self._size)))
        labels = np.asarray(logits[0].argmax(0).to(torch.uint8).numpy(), np.uint8)
        return restore(labels, (frame.shape[0], frame.shape[1]))

    def close(self) -> None:
        del self._model


def _cost(preset: str | None, config: object, size: Size) -> tuple[int | None, int | None]:
    """Parameters and multiply-adds of the network in a file's metadata; None without PyTorch."""
    try:
        import hyperseg

        chosen = hyperseg.Config.from_dict(dict(config)) if isinstance(config, dict) else hyperseg.preset(preset or "")
        counted = hyperseg.summary(hyperseg.create(chosen), size)
    except (ImportError, ValueError):
        return None, None
    return counted.parameters, counted.macs
