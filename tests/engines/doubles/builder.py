"""Test doubles of builder, network, parser and configuration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import onnx
from hyperseg_export.operators.schemas import register
from onnx import TensorProto

_UNSUPPORTED = ("Unique", "Det")
# TensorRT 10.0 to 11.1, include/NvInferRuntimeBase.h, DataType::kUINT8: "kUINT8 conversions are only supported for
# {kFLOAT, kHALF}" and "not supported for {kINT8, kINT32, kBOOL}". The library need not notice: TensorRT for RTX 1.7
# built INT32 to UINT8.
_TO_UINT8 = (TensorProto.FLOAT, TensorProto.FLOAT16)
# include/NvInfer.h 10.14.1, ITensor::setAllowedFormats: "By default all formats are allowed". The mask is the one that
# TensorRT for RTX 1.7 gives for inputs and outputs.
_ALL_FORMATS = (1 << 13) - 1
# include/NvInferRuntime.h, IPluginV3OneBuild::getOutputDataTypes: "DataType:kBOOL and DataType::kUINT8 are not
# supported".
_PLUGINS = ("DPWConv", "DPWInvertedResidual", "UpsampleArgmax")


class Builder:
    def __init__(self, module: Any, logger: Any) -> None:
        from .tensorrt import Registry

        self._module = module
        self._logger = logger
        self._registry = Registry(module.loads_plugins)

    def get_plugin_registry(self) -> Any:
        return self._registry

    def create_network(self, flags: int = 0) -> Any:
        if "network" in self._module.failures:
            return None
        return Network(flags)

    def create_builder_config(self) -> Any:
        return None if "config" in self._module.failures else Config(self._module)

    def create_optimization_profile(self) -> Any:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        from .tensorrt import make_plan

        if "build" in self._module.failures:
            self._logger.log(self._module.ILogger.ERROR, "Could not find any implementation for node level1.")
            return None
        if network.flags != 1 << int(self._module.NetworkDefinitionCreationFlag.STRONGLY_TYPED):
            raise AssertionError("the network is not strongly typed")
        monitor = config.progress_monitor
        monitor.phase_start("Building Engine", None, 2)
        for step in range(2):
            if not monitor.step_complete("Building Engine", step):
                return None
        monitor.phase_finish("Building Engine")
        user_allocation = "REQUIRE_USER_ALLOCATION" in {flag.name for flag in config.flags}
        return make_plan(
            self._module.__version__,
            network.model,
            dict(config.profiles),
            user_allocation=user_allocation,
            formats=network.formats(self._module.TensorFormat),
        )


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.model = b""
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def formats(self, formats: Any) -> dict[str, int]:
        """What the builder chose for inputs and outputs: anything that their masks allow."""
        tensors = (*self.inputs, *self.outputs)
        return {tensor.name: formats.HWC8 for tensor in tensors if tensor.allowed_formats >> formats.HWC8 & 1}

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> Any:
        return self.inputs[index]

    @property
    def num_outputs(self) -> int:
        return len(self.outputs)

    def get_output(self, index: int) -> Any:
        return self.outputs[index]


class OnnxParser:
    def __init__(self, module: Any, network: Network, _logger: Any) -> None:
        self._module = module
        self._network = network
        self.num_errors = 0

    def supports_operator(self, name: str) -> bool:
        return name not in _UNSUPPORTED

    def parse(self, content: bytes) -> bool:
        if "parse" in self._module.failures:
            self.num_errors = 1
            return False
        self._network.model = bytes(content)
        assert_uint8_at_the_edges(onnx.load_model_from_string(content))
        kinds = {
            1: self._module.float32,
            2: self._module.uint8,
            6: self._module.int32,
            10: self._module.float16,
        }
        graph = onnx.load_model_from_string(content).graph
        self._network.inputs += [
            SimpleNamespace(name=value.name, allowed_formats=_ALL_FORMATS) for value in graph.input
        ]
        for value in graph.output:
            shape = tuple(dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim)
            kind = kinds[value.type.tensor_type.elem_type]
            if "type" in self._module.failures:
                kind = self._module.int32
            self._network.outputs.append(
                SimpleNamespace(name=value.name, dtype=kind, shape=shape, allowed_formats=_ALL_FORMATS)
            )
        return True

    def get_error(self, index: int) -> Any:
        assert index < self.num_errors
        return SimpleNamespace(desc=lambda: "Assertion failed:\n broken node", node_name=lambda: "level0_node")


def assert_uint8_at_the_edges(model: onnx.ModelProto) -> None:
    """No node but a Cast reads or makes uint8, which it converts from or to a float type (`_TO_UINT8`).

    uint8 tensors are inputs and outputs of the network (onnx-tensorrt 10.1, ModelImporter.cpp: "TensorRT does not
    support UINT8 types for intermediate tensors!").
    """
    register()
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    edges = {value.name for value in (*graph.input, *graph.output)}
    for node in graph.node:
        uint8 = {name for name in (*node.input, *node.output) if types.get(name) == TensorProto.UINT8}
        if not uint8:
            continue
        assert node.op_type not in _PLUGINS, f"plugin {node.name} has uint8 tensors"
        assert node.op_type == "Cast", f"{node.op_type} {node.name} computes in uint8"
        assert uint8 <= edges, f"Cast {node.name} makes uint8 inside the network"
        others = {types.get(name) for name in (*node.input, *node.output)} - {TensorProto.UINT8}
        assert others <= set(_TO_UINT8), f"Cast {node.name} converts uint8 from or to {others}"


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, name: str, least: tuple[int, ...], best: tuple[int, ...], most: tuple[int, ...]) -> None:
        if any(not a <= b <= c for a, b, c in zip(least, best, most, strict=True)):
            raise ValueError("shapes do not satisfy min <= opt <= max")
        self.shapes[name] = (least, best, most)


class Config:
    def __init__(self, module: Any) -> None:
        self._module = module
        self.profiles: dict[str, Any] = {}
        self.limits: dict[int, int] = {}
        self.builder_optimization_level = 3
        self.profiling_verbosity = 0
        self.progress_monitor: Any = None
        self.flags = {module.BuilderFlag.TF32}  # "Enabled by default" (NvInfer.h, BuilderFlag::kTF32)
        self.capabilities: list[Any] = []
        self._cache: Any = None
        module.config = self

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag)

    @property
    def num_compute_capabilities(self) -> int:
        return len(self.capabilities)

    @num_compute_capabilities.setter
    def num_compute_capabilities(self, number: int) -> None:
        self.capabilities = [None] * number

    def set_compute_capability(self, capability: Any, index: int) -> bool:
        self.capabilities[index] = capability
        return True

    def set_memory_pool_limit(self, pool: int, size: int) -> None:
        self.limits[pool] = size

    def add_optimization_profile(self, profile: Profile) -> int:
        if "profile" in self._module.failures:
            return -1
        self.profiles.update(profile.shapes)
        return 0

    def create_timing_cache(self, content: bytes) -> Any:
        return None if content == b"damaged" else SimpleNamespace(serialize=lambda: b"timings")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self._cache = cache
        return not ignore_mismatch

    def get_timing_cache(self) -> Any:
        return self._cache
