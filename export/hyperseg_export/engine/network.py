"""From an ONNX file to a strongly typed network, with every return checked: TensorRT seldom raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperseg_runtime.backends.tensorrt_flavour import TensorRT

from hyperseg_export.engine.errors import EngineError, UnsupportedOperatorError
from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES

_STANDARD_DOMAINS = ("", "ai.onnx")


def creation_flags(trt: Any) -> int:
    """Flags of `create_network` that ask for strong typing. By name: the values moved between TensorRT 10 and 11."""
    flag = trt.NetworkDefinitionCreationFlag.__members__.get("STRONGLY_TYPED")
    if flag is None:
        raise EngineError(f"TensorRT {trt.__version__} has no strongly typed networks; install TensorRT 10 or newer")
    return 1 << int(flag)


def load_plugins(builder: Any, library: str | None) -> Any:
    """Loads our plugin library into the builder's registry. The handle must live as long as the builder."""
    if library is None:
        return None
    handle = builder.get_plugin_registry().load_library(library)
    if not plugin_fields(builder):
        raise EngineError(f"TensorRT did not take the plugin library {library}; build it again (pip install .)")
    return handle


def plugin_fields(builder: Any) -> dict[str, set[str]]:
    """The operators that the registry has plugins for, in our namespace, and the attributes that each of them knows."""
    creators = builder.get_plugin_registry().all_creators
    ours = [creator for creator in creators if creator.plugin_namespace == DOMAIN]
    return {creator.name: {field.name for field in creator.field_names} for creator in ours}


def unsupported_nodes(model: Any, parser: Any, plugins: Mapping[str, set[str]], name: str) -> Iterator[str]:
    """One line for every node that cannot be taken, with the remedy."""
    known: dict[str, bool] = {}
    for node in model.graph.node:
        where = f"{node.op_type} (node {node.name or node.output[0]})"
        if node.domain == DOMAIN:
            if node.op_type not in plugins:
                remedy = "build libhyperseg_trt.so (pip install . where nvcc and TensorRT's headers are)"
                yield f"{where}: no plugin; {remedy}, or export with --portable"
                continue
            # The parser would drop them without a word.
            unknown = {attribute.name for attribute in node.attribute} - plugins[node.op_type] - set(PLUGIN_ATTRIBUTES)
            if unknown:
                yield f"{where}: libhyperseg_trt.so does not know {', '.join(sorted(unknown))}; build it anew"
        elif node.domain not in _STANDARD_DOMAINS:
            yield f"{where}: {name} does not know the domain {node.domain}; export the checkpoint with hyperseg-export"
        else:
            if node.op_type not in known:
                known[node.op_type] = bool(parser.supports_operator(node.op_type))
            if not known[node.op_type]:
                yield f"{where}: {name} does not support it; export again with another --opset, or update TensorRT"


def parse(tensorrt: TensorRT, builder: Any, logger: Any, model: Path, report_unsupported: Callable[[str], None]) -> Any:
    """The network of an ONNX file. Raises UnsupportedOperatorError before, EngineError during parsing."""
    import onnx

    trt = tensorrt.module
    network = builder.create_network(creation_flags(trt))
    if network is None:
        raise EngineError(f"{tensorrt.name} made no network; see its messages (--verbose)")
    parser = trt.OnnxParser(network, logger)
    content = model.read_bytes()
    nodes = onnx.load_model_from_string(content)
    problems = list(unsupported_nodes(nodes, parser, plugin_fields(builder), tensorrt.name))
    for problem in problems:
        report_unsupported(problem)
    if problems:
        raise UnsupportedOperatorError(f"{len(problems)} nodes cannot be taken")
    if not parser.parse(content):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise EngineError("; ".join(_describe(error) for error in errors) or "the parser gave no reason")
    check_outputs(network, nodes, trt)
    return network


def check_outputs(network: Any, model: Any, trt: Any) -> None:
    """Asserts that outputs have the names, ranks, sizes and types of the ONNX file: the builder would not notice."""
    expected = {value.name: value.type.tensor_type for value in model.graph.output}
    if network.num_outputs != len(expected):
        raise EngineError(f"the network has {network.num_outputs} outputs, the model {len(expected)}")
    kinds = {1: trt.float32, 2: trt.uint8, 6: trt.int32, 7: trt.int64, 10: trt.float16}
    for index in range(network.num_outputs):
        tensor = network.get_output(index)
        declared = expected.get(tensor.name)
        if declared is None:
            raise EngineError(f"the network puts out {tensor.name}, which the model does not")
        if tensor.dtype != kinds.get(declared.elem_type):
            raise EngineError(f"output {tensor.name} has type {tensor.dtype} in the network, not that of the model")
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in declared.shape.dim)
        found = tuple(tensor.shape)
        if len(shape) != len(found) or any(a != b for a, b in zip(shape, found, strict=True) if a > 0 and b > 0):
            raise EngineError(f"output {tensor.name} has shape {found} in the network and {shape} in the model")


def _describe(error: Any) -> str:
    """A parser error as one line."""
    text = " ".join(str(error.desc()).split()).split(" [checkMacros")[0]  # what follows says that there is no GPU
    node = getattr(error, "node_name", None)
    where = f"node {node()}: " if callable(node) and node() else ""
    return f"{where}{text}"
