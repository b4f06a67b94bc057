"""Session of ONNX Runtime: on the CPU, on CUDA, or with OpenVINO's execution provider."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from hyperseg_runtime import machine
from hyperseg_runtime.backends.device_labels import on_the_cpu
from hyperseg_runtime.backends.frame_labels import check_placements, labels_on_host
from hyperseg_runtime.backends.onnxruntime_labels import BoundLabels, RefusedError
from hyperseg_runtime.backends.onnxruntime_model import one_line
from hyperseg_runtime.backends.protocol import (
    BackendName,
    BatchRange,
    Images,
    Note,
    Outputs,
    SessionOptions,
    TimedOutputs,
    batch_range,
    check_images,
    ignore,
    refuse_to_pickle,
)
from hyperseg_runtime.errors import HyperSegError, ModelError
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.upsampling import LowLogits, Placement

if TYPE_CHECKING:
    import onnxruntime

    from hyperseg_runtime.preprocess import Labels

DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
OUTPUTS = ("labels", "logits")
"""Of a file. A session may have the low-resolution logits besides."""


class OnnxRuntimeSession:
    """A session of ONNX Runtime. `run` may be called from several threads at once."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        metadata: Metadata,
        name: BackendName,
        options: SessionOptions,
        low_logits: str | None = None,
        bound: BoundLabels | None = None,
        note: Note = ignore,
    ) -> None:
        """low_logits: the output with the logits at the network's own output size; None: it has none.

        bound: computes labels of frames on the GPU; None: the CPU does. note: receives a sentence where it cannot.
        """
        self._session: onnxruntime.InferenceSession | None = session
        self._metadata = metadata
        self._name = name
        self._options = options
        names = [node.name for node in session.get_outputs()]
        self._outputs = tuple(name for name in names if name in OUTPUTS)
        self._low_logits = low_logits
        self._bound = bound
        self._note = note
        self._batch_range = batch_range(metadata.input, session.get_inputs()[0].shape[0])
        self._closing = threading.Lock()

    def __reduce__(self) -> NoReturn:
        raise refuse_to_pickle(self)

    @property
    def backend(self) -> BackendName:
        return self._name

    @property
    def metadata(self) -> Metadata:
        return self._metadata

    @property
    def description(self) -> str:
        package = next((package for package in DISTRIBUTIONS if machine.version(package)), "onnxruntime")
        place = {BackendName.ONNXRUNTIME_CUDA: f"CUDA device {self._options.device}"}.get(
            self._name, f"CPU, {machine.threads_text(self._options.threads or machine.inference_threads())}"
        )
        plugin = " with OpenVINO" if self._name is BackendName.ONNXRUNTIME_OPENVINO else ""
        return f"{package} {machine.version(package)}{plugin} ({place})"

    @property
    def batch_range(self) -> BatchRange:
        return self._batch_range

    @property
    def gives_low_logits(self) -> bool:
        return self._low_logits is not None

    def run(self, images: Images) -> Outputs:
        return self._named(self._run(self._outputs, images))

    def run_low(self, images: Images) -> LowLogits:
        if self._low_logits is None:
            raise ModelError("the model's graph has no logits before its end; export it with hyperseg-export")
        logits: LowLogits = self._run((self._low_logits,), images)[0]
        return logits

    def run_labels(self, images: Images, placements: Sequence[Placement]) -> list[Labels]:
        check_placements(images, placements)
        bound = self._bound
        if bound is not None and self._low_logits is not None:
            session = self._opened()
            check_images(self._metadata.input, images, self._batch_range)
            try:
                return bound.compute(session, self._low_logits, images, placements)
            except HyperSegError:
                raise
            except RefusedError as error:
                if self._bound is not None:  # else another thread has said it
                    self._bound = None
                    self._note(on_the_cpu("this model", str(error)))
            except Exception as error:  # ONNX Runtime's own classes have no common base
                raise _failure(error) from error
        return labels_on_host(self.run_low(images), placements, self._options.threads)

    def _run(self, names: tuple[str, ...], images: Images) -> list[Any]:
        session = self._opened()
        check_images(self._metadata.input, images, self._batch_range)
        try:
            values = session.run(list(names), {"image": images})
        except Exception as error:  # ONNX Runtime's own classes have no common base
            raise _failure(error) from error
        return [np.asarray(value) for value in values]

    def run_timed(self, images: Images) -> TimedOutputs:
        if self._name is BackendName.ONNXRUNTIME_CUDA:
            return self._run_timed_on_gpu(images)
        start = time.perf_counter()
        outputs = self.run(images)
        return TimedOutputs(outputs, time.perf_counter() - start)

    def _run_timed_on_gpu(self, images: Images) -> TimedOutputs:
        import onnxruntime

        session = self._opened()
        check_images(self._metadata.input, images, self._batch_range)
        binding = session.io_binding()
        device = self._options.device
        binding.bind_ortvalue_input("image", onnxruntime.OrtValue.ortvalue_from_numpy(images, "cuda", device))
        for name in self._outputs:
            binding.bind_output(name, "cuda", device)
        binding.synchronize_inputs()
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        seconds = time.perf_counter() - start
        return TimedOutputs(self._named(binding.copy_outputs_to_cpu()), seconds)

    def _named(self, values: list[Any]) -> Outputs:
        by_name = dict(zip(self._outputs, values, strict=True))
        return Outputs(labels=by_name.get("labels"), logits=by_name.get("logits"))

    def end_profile(self) -> Path:
        """Ends profiling (SessionOptions.profile) and returns the file that ONNX Runtime wrote."""
        return Path(self._opened().end_profiling())

    def close(self) -> None:
        with self._closing:
            self._session = self._bound = None

    def _opened(self) -> onnxruntime.InferenceSession:
        session = self._session
        if session is None:
            raise ModelError("this session is closed; open the model again")
        return session


def _failure(error: Exception) -> ModelError:
    return ModelError(f"ONNX Runtime failed while it ran the model: {one_line(error)}")
