"""The strongly typed network that TensorRT parses from an ONNX file, and the builder configuration.

TensorRT rarely raises, so every return value is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from hyperseg_runtime.output_files import write_bytes
from hyperseg_runtime.sealed_library import SealedLibrary

from hyperseg_export.engine.options import capabilities, unknown_capability
from hyperseg_export.engine.process import BuildRequest
from hyperseg_export.errors import EngineError, UnsupportedOperatorError
from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES
from hyperseg_export.passes.surgery import to_graphsurgeon
from hyperseg_export.passes.uint8_edges import unsupported_conversions

_STANDARD_DOMAINS = ("", "ai.onnx")


def creation_flags(trt: Any) -> int:
    """Flags of `create_network` that ask for strong typing. By name: the values moved between TensorRT 10 and 11."""
    flag = trt.NetworkDefinitionCreationFlag.__members__.get("STRONGLY_TYPED")
    if flag is None:
        raise EngineError(f"TensorRT {trt.__version__} has no strongly typed networks; install TensorRT 10 or newer")
    return 1 << int(flag)


def load_plugins(builder: Any, library: SealedLibrary | None) -> Any:
    """Loads our plugin library into the builder's registry. The handle must live as long as the builder."""
    if library is None:
        return None
    handle = builder.get_plugin_registry().load_library(str(library.path))
    if not plugin_fields(builder):
        raise EngineError(f"TensorRT did not load the plugin library {library.source}; build it again (pip install .)")
    return handle


def plugin_fields(builder: Any) -> dict[str, set[str]]:
    """The operators with plugins in our namespace of the registry, and the attributes of each plugin."""
    creators = builder.get_plugin_registry().all_creators
    ours = [creator for creator in creators if creator.plugin_namespace == DOMAIN]
    return {creator.name: {field.name for field in creator.field_names} for creator in ours}


def unsupported_nodes(graph: gs.Graph, parser: Any, plugins: Mapping[str, set[str]], name: str) -> Iterator[str]:
    """One line for every unsupported node, with the remedy. `graph` has types (`surgery.to_graphsurgeon`)."""
    known: dict[str, bool] = {}
    for node in graph.nodes:
        where = _where(node)
        if node.domain == DOMAIN:
            if node.op not in plugins:
                remedy = "build libhyperseg_trt.so (pip install . where nvcc and TensorRT's headers are)"
                yield f"{where}: no plugin; {remedy}, or export with --portable"
                continue
            # The parser would drop them without a word.
            unknown = set(node.attrs) - plugins[node.op] - set(PLUGIN_ATTRIBUTES)
            if unknown:
                yield f"{where}: libhyperseg_trt.so does not support {', '.join(sorted(unknown))}; rebuild it"
        elif (node.domain or "") not in _STANDARD_DOMAINS:
            yield f"{where}: {name} does not support domain {node.domain}; export the checkpoint with hyperseg-export"
        else:
            if node.op not in known:
                known[node.op] = bool(parser.supports_operator(node.op))
            if not known[node.op]:
                yield f"{where}: {name} does not support it; export again with another --opset, or update TensorRT"
    for node, reason in unsupported_conversions(graph):
        yield (
            f"{_where(node)}: {reason}; TensorRT has uint8 at inputs and outputs only, converted to or from float32 or "
            "float16: export the checkpoint with hyperseg-export, without --int8"
        )


def _where(node: gs.Node) -> str:
    return f"{node.op} (node {node.name or node.outputs[0].name})"


def parse(tensorrt: TensorRT, builder: Any, logger: Any, model: Path, report_unsupported: Callable[[str], None]) -> Any:
    """The network of an ONNX file. Raises UnsupportedOperatorError before, and EngineError during parsing."""
    trt = tensorrt.module
    network = builder.create_network(creation_flags(trt))
    if network is None:
        raise EngineError(f"{tensorrt.name} created no network; see its messages (--verbose)")
    parser = trt.OnnxParser(network, logger)
    content = model.read_bytes()
    graph = to_graphsurgeon(ir.from_proto(onnx.load_model_from_string(content)))
    problems = list(unsupported_nodes(graph, parser, plugin_fields(builder), tensorrt.name))
    for problem in problems:
        report_unsupported(problem)
    if problems:
        raise UnsupportedOperatorError(f"{len(problems)} nodes are not supported")
    if not parser.parse(content):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise EngineError("; ".join(_describe(error) for error in errors) or "the parser gave no reason")
    check_outputs(network, graph, trt)
    require_linear(network, trt)
    return network


def check_outputs(network: Any, graph: gs.Graph, trt: Any) -> None:
    """Asserts that outputs have the names, ranks, sizes and types of the ONNX file: the builder would not notice."""
    expected = {tensor.name: tensor for tensor in graph.outputs}
    if network.num_outputs != len(expected):
        raise EngineError(f"the network has {network.num_outputs} outputs, the model {len(expected)}")
    for index in range(network.num_outputs):
        tensor = network.get_output(index)
        declared = expected.get(tensor.name)
        if declared is None:
            raise EngineError(f"the network has an output {tensor.name}, the model does not")
        if tensor.dtype != getattr(trt, np.dtype(declared.dtype).name, None):
            raise EngineError(f"output {tensor.name} has type {tensor.dtype} in the network, not that of the model")
        shape = tuple(extent if isinstance(extent, int) else -1 for extent in declared.shape)
        found = tuple(tensor.shape)
        if len(shape) != len(found) or any(a != b for a, b in zip(shape, found, strict=True) if a > 0 and b > 0):
            raise EngineError(f"output {tensor.name} has shape {found} in the network and {shape} in the model")


def require_linear(network: Any, trt: Any) -> None:
    """Has the engine's inputs and outputs contiguous, as sessions and other hosts read them. The builder may otherwise
    choose padded or channels-last ones: "By default all formats are allowed" (NvInfer.h, ITensor::setAllowedFormats).
    """
    linear = 1 << int(trt.TensorFormat.LINEAR)
    for count, tensor in ((network.num_inputs, network.get_input), (network.num_outputs, network.get_output)):
        for index in range(count):
            tensor(index).allowed_formats = linear


def _describe(error: Any) -> str:
    """A parser error as one line."""
    text = " ".join(str(error.desc()).split()).split(" [checkMacros")[0]  # what follows says that there is no GPU
    node = getattr(error, "node_name", None)
    where = f"node {node()}: " if callable(node) and node() else ""
    return f"{where}{text}"


def configure(tensorrt: TensorRT, builder: Any, request: BuildRequest) -> Any:
    """A builder configuration for the request. Raises EngineError if TensorRT refuses a setting."""
    trt = tensorrt.module
    config = builder.create_builder_config()
    if config is None:
        raise EngineError(f"{tensorrt.name} created no builder configuration; see its messages (--verbose)")
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
            raise EngineError(unknown_capability(tensorrt, capability))
        if not config.set_compute_capability(known[capability], index):
            raise EngineError(f"{tensorrt.name} refused compute capability {capability}; see its messages (--verbose)")


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
    """Attaches the cache of earlier builds, or an empty one. None without --timing-cache."""
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
        write_bytes(Path(path), bytes(content))
