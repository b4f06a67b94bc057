"""Test doubles of builder, network, parser and configuration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import onnx

_UNSUPPORTED = ("Unique", "Det")


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
            self._module.__version__, network.model, dict(config.profiles), user_allocation=user_allocation
        )


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.model = b""
        self.outputs: list[Any] = []

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
        kinds = {1: self._module.float32, 2: self._module.uint8, 6: self._module.int32}
        for value in onnx.load_model_from_string(content).graph.output:
            shape = tuple(dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim)
            kind = kinds[value.type.tensor_type.elem_type]
            if "type" in self._module.failures:
                kind = self._module.int32
            self._network.outputs.append(SimpleNamespace(name=value.name, dtype=kind, shape=shape))
        return True

    def get_error(self, index: int) -> Any:
        assert index < self.num_errors
        return SimpleNamespace(desc=lambda: "Assertion failed:\n broken node", node_name=lambda: "level0_node")


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
