"""Predictors: a checkpoint, ONNX file or engine as a function from a frame to its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.metadata import InputSpec, InputType
from hyperseg_runtime.model_kinds import Kind, kind_of
from hyperseg_runtime.network import Network
from hyperseg_runtime.preprocess import Frame, Labels, Size
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.tile_inference import inference_of

from hyperseg_export.evaluation.checkpoint_session import CheckpointSession
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
    fit: Fit = Fit.STRETCH,
    allow_host_code: bool = False,
) -> Predictor:
    """The predictor for a file by its suffix. Raises what loading it raises; for `note` see `hyperseg.load`."""
    if kind_of(path) is Kind.CHECKPOINT:
        return CheckpointPredictor(path, threads, size, fit, note)
    return SegmenterPredictor(
        Segmenter(
            path,
            backend=backend,
            threads=threads,
            resolution=size,
            fit=fit,
            allow_host_code=allow_host_code,
            note=note,
        )
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
    """A checkpoint in PyTorch, with the runtime's preprocessing of frames and its rule for labels of their size."""

    def __init__(
        self, path: Path, threads: int | None, size: Size | None, fit: Fit, note: Callable[[str], None]
    ) -> None:
        import torch

        import hyperseg

        if threads is not None:
            torch.set_num_threads(threads)
        model = hyperseg.fold(hyperseg.load(path, note=note))
        config = model.config
        size = size or config.resolution
        Resolution(*size).check(config.unit)
        spec = InputSpec(*size, mean=config.mean, std=config.std, dtype=InputType.FLOAT)
        self._inference = inference_of(Network(CheckpointSession(model), spec, size, threads=threads), fit)
        parameters, macs = _cost(None, config.to_dict(), size)
        self.facts = Facts(f"PyTorch {torch.__version__}", "float32", size, config.classes.names, parameters, macs)

    def __call__(self, frame: Frame) -> Labels:
        return self._inference.prepare(frame).labels()

    def close(self) -> None:
        del self._inference


def _cost(preset: str | None, config: object, size: Size) -> tuple[int | None, int | None]:
    """Parameters and multiply-adds of the network in a file's metadata; None without PyTorch."""
    try:
        import hyperseg

        chosen = hyperseg.Config.from_dict(dict(config)) if isinstance(config, dict) else hyperseg.preset(preset or "")
        counted = hyperseg.summary(hyperseg.create(chosen), size)
    except (ImportError, ValueError):
        return None, None
    return counted.parameters, counted.macs
