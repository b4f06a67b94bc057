"""Sessions on test doubles."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hyperseg_runtime import libraries
from hyperseg_runtime.backends.protocol import Images, Note, SessionOptions, ignore
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from hyperseg_runtime.backends.tensorrt_session import TensorRTSession
from hyperseg_runtime.graph_end import LOW_LOGITS
from hyperseg_runtime.metadata import KEY, Metadata

from .doubles.cuda import FakeCuda
from .doubles.device import Device
from .doubles.driver import FakeDriver
from .doubles.tensorrt import FakeTensorRT, make_plan
from .graphs import HEIGHT, WIDTH

VERSION = "10.16.1.11"
RTX_VERSION = "1.7.1.116"
"""Of TensorRT for RTX."""
PROFILE = {"image": [[1, 32, 64, 3], [1, HEIGHT, WIDTH, 3], [2, 96, 128, 3]]}
"""Of a plan for several sizes and batches: least, best and most shape."""

needs_operators = pytest.mark.skipif(
    libraries.find(libraries.Library.ONNXRUNTIME) is None,
    reason="libhyperseg_ort.so is not built, which the doubles compute with",
)


@dataclass
class Machine:
    """Test doubles of a GPU and TensorRT."""

    version: str = VERSION
    flavour: Flavour = Flavour.TENSORRT
    device: Device = field(default_factory=Device)
    loads_plugins: bool = True
    records_graphs: bool = True
    gpu: str = "Double"
    keeps_cache: bool = True
    note: Note = ignore
    kernels: Any = None
    """Of labels at frames' sizes (`doubles.kernels`); None: they are computed on the CPU."""

    def __post_init__(self) -> None:
        self.cuda = FakeCuda(self.device)
        self.module = FakeTensorRT(self.version, self.device, loads_plugins=self.loads_plugins)
        self.driver = FakeDriver(self.device, refuses=not self.records_graphs)

    @property
    def tensorrt(self) -> TensorRT:
        return TensorRT(self.flavour, self.module)

    def plan(
        self, model: onnx.ModelProto, profile: dict[str, Any] | None = None, user_allocation: bool = True
    ) -> bytes:
        return make_plan(self.version, model.SerializeToString(), profile, user_allocation=user_allocation)

    def open(
        self, model: onnx.ModelProto, plan: bytes, metadata: Metadata | None = None, path: Path = Path("m.engine")
    ) -> TensorRTSession:
        properties = {entry.key: entry.value for entry in model.metadata_props}
        return TensorRTSession(
            path,
            metadata or Metadata.from_json(properties[KEY]),
            plan,
            gpu=self.gpu,
            tensorrt=self.tensorrt,
            cuda=self.cuda,
            plugin_library=Path(__file__),  # any file: the double only checks that it exists
            options=SessionOptions(),
            driver=self.driver,
            cache_for=hashlib.sha256(plan).hexdigest() if self.keeps_cache else None,
            low_logits=any(output.name == LOW_LOGITS for output in model.graph.output),
            kernels=self.kernels,
            note=self.note,
        )

    def assert_all_released(self, pushed: int = 0) -> None:
        """`pushed`: contexts of others that are on the stacks of threads."""
        device = self.device
        left = device.memory, device.pinned, device.streams, device.events, device.graphs, device.leaked
        assert not any(left), left
        assert (device.retained, device.objects, device.pushed) == (0, 0, pushed)


def labels_of(model: onnx.ModelProto, images: Images) -> Any:
    """ONNX Runtime's labels."""
    options = ort.SessionOptions()
    options.register_custom_ops_library(str(libraries.require(libraries.Library.ONNXRUNTIME)))
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["labels"], {"image": images})[0]


def random_images(height: int, width: int, batch: int = 1, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (batch, height, width, 3), np.uint8)
