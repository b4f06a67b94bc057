"""Test double of the module tensorrt in several releases: real names and enum values, None and -1 on failure.

A plan of the double is the ONNX file with a header; its engine computes it with ONNX Runtime.
"""

from __future__ import annotations

import hashlib
import json
from enum import Enum, IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .device import Device
from .engine import Engine
from .rtx import Strategy, lives_in_context

MAGIC = b"DOUBLE01"


class DataType(Enum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    INT64 = 8


class TensorIOMode(Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorFormat(IntEnum):
    """Of NvInferRuntimeBase.h 10.14.1, the first ones."""

    LINEAR = 0
    CHW2 = 1
    HWC8 = 2


class Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def __init__(self) -> None:
        pass

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def __init__(self) -> None:
        pass


class Flags10(IntEnum):
    """NetworkDefinitionCreationFlag of TensorRT 10."""

    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1
    PREFER_AOT_PYTHON_PLUGINS = 2
    PREFER_JIT_PYTHON_PLUGINS = 3


class Flags11(IntEnum):
    """Of TensorRT 11, without weak typing."""

    STRONGLY_TYPED = 0
    PREFER_AOT_PYTHON_PLUGINS = 1
    PREFER_JIT_PYTHON_PLUGINS = 2


class FlagsRtx(IntEnum):
    """Of TensorRT for RTX 1.7."""

    STRONGLY_TYPED = 0


class BuilderFlag10(IntEnum):
    """Of TensorRT 10 (NvInfer.h 10.14.1); TF32 is set by default in every release."""

    FP16 = 0
    INT8 = 1
    DEBUG = 2
    GPU_FALLBACK = 3
    REFIT = 4
    TF32 = 6


class BuilderFlag11(IntEnum):
    """Of TensorRT 11, without the flags of weak typing."""

    DEBUG = 2
    GPU_FALLBACK = 3
    REFIT = 4
    TF32 = 6


class BuilderFlagRtx(IntEnum):
    """Of TensorRT for RTX 1.7."""

    DEBUG = 2
    GPU_FALLBACK = 3
    REFIT = 4
    TF32 = 6
    REQUIRE_USER_ALLOCATION = 28


class ComputeCapability(IntEnum):
    """Of TensorRT for RTX 1.7."""

    NONE = 0
    CURRENT = 1
    SM75 = 75
    SM80 = 80
    SM86 = 86
    SM89 = 89
    SM120 = 120
    SM121 = 121


_PLUGINS = {
    "DPWConv": ("kernel_shape", "group", "activation", "offset", "coordinates"),
    "DPWInvertedResidual": ("kernel_shape", "offset", "coordinates"),
    "UpsampleArgmax": ("scale",),
}


class Registry:
    """IPluginRegistry."""

    def __init__(self, loads: bool) -> None:
        self._loads = loads
        self.all_creators: list[Any] = []

    def load_library(self, path: str) -> object | None:
        if not self._loads or not Path(path).is_file():
            return None
        self.all_creators += [
            SimpleNamespace(
                name=name, plugin_namespace="hyperseg", field_names=[SimpleNamespace(name=field) for field in fields]
            )
            for name, fields in _PLUGINS.items()
        ]
        return object()


class Runtime:
    """IRuntime. `deserialized` of the module keeps every plan that was given to it."""

    def __init__(self, module: FakeTensorRT, logger: ILogger) -> None:
        module.device.require_context()
        # NvInferRuntime.h 11.1, IRuntime::setEngineHostCodeAllowed: "The default value is false".
        self.engine_host_code_allowed = False
        self._module = module
        self._logger = logger
        self._registry = Registry(module.loads_plugins)
        lives_in_context(self, module.device)

    def get_plugin_registry(self) -> Registry:
        return self._registry

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        self._module.deserialized.append((plan, self.engine_host_code_allowed))
        header, problem = read_plan(plan)
        if problem is None and header["version"] != self._module.__version__:
            problem = f"The engine plan file is not compatible with this version of TensorRT, got {header['version']}"
        if problem is None and not self._registry.all_creators:
            problem = "IPluginRegistry::getCreator: Error Code 4: API Usage Error (Cannot find plugin: DPWConv)"
        if problem is not None:
            self._logger.log(Severity.ERROR, problem)
            return None
        return Engine(self._module, self, header, plan[-header["size"] :], self._logger)


def make_plan(
    version: str,
    model: bytes,
    profile: dict[str, Any] | None = None,
    *,
    user_allocation: bool = False,
    formats: dict[str, int] | None = None,
) -> bytes:
    """user_allocation: built with BuilderFlag.REQUIRE_USER_ALLOCATION. formats: of inputs and outputs that are not
    linear."""
    header = {
        "version": version,
        "size": len(model),
        "sha256": hashlib.sha256(model).hexdigest(),
        "profile": profile,
        "user_allocation": user_allocation,
        "formats": formats or {},
    }
    text = json.dumps(header).encode()
    return MAGIC + len(text).to_bytes(4, "little") + text + model


def read_plan(plan: bytes) -> tuple[dict[str, Any], str | None]:
    """The header, or a description of the error."""
    if plan[: len(MAGIC)] != MAGIC:
        return {}, "Serialization assertion magicTagRead == kMAGIC_TAG failed. Magic tag does not match"
    size = int.from_bytes(plan[8:12], "little")
    header: dict[str, Any] = json.loads(plan[12 : 12 + size])
    if hashlib.sha256(plan[-header["size"] :]).hexdigest() != header["sha256"]:
        return header, "Serialization assertion in deserialize failed: corrupted plan"
    return header, None


class FakeTensorRT:
    """A module object; `device` is where its engines run."""

    ILogger = ILogger
    IProgressMonitor = IProgressMonitor
    TensorIOMode = TensorIOMode
    TensorFormat = TensorFormat
    DataType = DataType
    LayerInformationFormat = SimpleNamespace(ONELINE=0, JSON=1)
    ProfilingVerbosity = SimpleNamespace(LAYER_NAMES_ONLY=0, NONE=1, DETAILED=2)
    MemoryPoolType = SimpleNamespace(WORKSPACE=0)
    ExecutionContextAllocationStrategy = Strategy
    float32, float16, uint8, int32, int64 = (
        DataType.FLOAT, DataType.HALF, DataType.UINT8, DataType.INT32, DataType.INT64,
    )  # fmt: skip

    def __init__(self, version: str, device: Device, *, loads_plugins: bool = True) -> None:
        from .builder import Builder, OnnxParser

        self.__version__ = version
        self.device = device
        self.loads_plugins = loads_plugins
        self.failures: set[str] = set()
        self.deserialized: list[tuple[bytes, bool]] = []
        self.compiled: list[str] = []
        """Kernels that TensorRT for RTX compiled at run time."""
        self.loaded_caches: list[bytes] = []
        """What was given to IRuntimeCache.deserialize."""
        major = int(version.split(".", maxsplit=1)[0])
        self.NetworkDefinitionCreationFlag: Any = FlagsRtx if major < 10 else Flags10 if major < 11 else Flags11
        self.BuilderFlag: Any = BuilderFlagRtx if major < 10 else BuilderFlag10 if major < 11 else BuilderFlag11
        if major < 10:  # TensorRT for RTX
            self.ComputeCapability = ComputeCapability
        self.Runtime = lambda logger: Runtime(self, logger)
        self.Builder = lambda logger: Builder(self, logger)
        self.OnnxParser = lambda network, logger: OnnxParser(self, network, logger)


KINDS = {
    "tensor(uint8)": (DataType.UINT8, np.uint8),
    "tensor(float)": (DataType.FLOAT, np.float32),
    "tensor(float16)": (DataType.HALF, np.float16),
    "tensor(int32)": (DataType.INT32, np.int32),
}
