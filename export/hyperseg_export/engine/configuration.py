"""The builder's configuration: targets, profiles, limits, cache, progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT

from hyperseg_export.engine.errors import EngineError
from hyperseg_export.engine.request import BuildRequest


def configure(tensorrt: TensorRT, builder: Any, request: BuildRequest) -> Any:
    """A builder configuration for the request. Raises EngineError where TensorRT refuses something."""
    trt = tensorrt.module
    config = builder.create_builder_config()
    if config is None:
        raise EngineError(f"{tensorrt.name} made no builder configuration; see its messages (--verbose)")
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if request.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.workspace << 20)
    if request.optimization_level is not None:
        config.builder_optimization_level = request.optimization_level
    _set_targets(tensorrt, config, request)
    _set_profile(builder, config, request)
    return config


def _set_targets(tensorrt: TensorRT, config: Any, request: BuildRequest) -> None:
    if not request.compute_capabilities:
        return
    known = capabilities(tensorrt)
    if not known:
        raise EngineError(
            f"{tensorrt.name} builds for the GPU of this machine only; "
            f"leave --compute-capability out, or use --flavour {Flavour.RTX.value}"
        )
    config.num_compute_capabilities = len(request.compute_capabilities)
    for index, capability in enumerate(request.compute_capabilities):
        if capability not in known:
            raise EngineError(
                f"{tensorrt.name} does not build for compute capability {capability}; it knows {', '.join(known)}"
            )
        if not config.set_compute_capability(known[capability], index):
            raise EngineError(f"{tensorrt.name} refused compute capability {capability}; see its messages (--verbose)")


def capabilities(tensorrt: TensorRT) -> dict[str, Any]:
    """The compute capabilities that can be built for ahead of time, by the names that people use (SM86 is 8.6)."""
    members = getattr(getattr(tensorrt.module, "ComputeCapability", None), "__members__", {})
    return {f"{name[2:-1]}.{name[-1]}": value for name, value in members.items() if name.startswith("SM")}


def _set_profile(builder: Any, config: Any, request: BuildRequest) -> None:
    if not request.profile:
        return
    profile = builder.create_optimization_profile()
    for name, (least, best, most) in request.profile.items():
        try:
            profile.set_shape(name, least, best, most)
        except (RuntimeError, TypeError, ValueError) as error:
            raise EngineError(f"TensorRT refused the profile {least} to {most} of input {name}") from error
    if config.add_optimization_profile(profile) < 0:
        shapes = "; ".join(f"{name} from {shapes[0]} to {shapes[-1]}" for name, shapes in request.profile.items())
        raise EngineError(f"TensorRT refused the profile ({shapes}); choose other --min, --opt and --max")


def read_timing_cache(config: Any, path: str | None) -> Any:
    """Attaches the cache of earlier builds, or an empty one. None where none was asked for."""
    if path is None:
        return None
    content = Path(path).read_bytes() if Path(path).is_file() else b""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):
        raise EngineError(f"--timing-cache {path} was made by another TensorRT or GPU, or is damaged; remove the file")
    return cache


def write_timing_cache(config: Any, path: str | None) -> None:
    if path is None:
        return
    cache = config.get_timing_cache()
    content = None if cache is None else cache.serialize()
    if content is not None:
        draft = Path(f"{path}.part")
        draft.write_bytes(bytes(content))
        draft.replace(path)
