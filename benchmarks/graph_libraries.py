"""The MBConv pass and its inverse in two graph libraries: onnx_ir with RewriteRule, which the exporter uses, and
onnx-graphsurgeon.

    python benchmarks/graph_libraries.py [PRESET ...] [--repeats 5]

Both fuse the same blocks of the same file; the table shows their number and medians in milliseconds.
docs/graph-passes.md discusses the result.
"""

from __future__ import annotations

import argparse
import inspect
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
from hyperseg_export import ExportOptions, Target, export_onnx
from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES
from hyperseg_export.passes import mbconv
from hyperseg_export.passes.onnxruntime_forms import join_means
from hyperseg_export.samples import random_network

WINDOW = ("kernel_shape", "strides", "pads")


EMPTY = gs.Variable.empty()


def reader(tensor: gs.Tensor, op: str) -> gs.Node | None:
    """The single consumer of this type."""
    found = [node for node in tensor.outputs if node.op == op]
    return found[0] if len(found) == 1 else None


def silu_of(tensor: gs.Tensor) -> gs.Tensor | None:
    """tensor * sigmoid(tensor), if the tensor has no other consumers."""
    sigmoid, multiply = reader(tensor, "Sigmoid"), reader(tensor, "Mul")
    if sigmoid is None or multiply is None or len(tensor.outputs) != 2 or len(sigmoid.outputs[0].outputs) != 1:
        return None
    return multiply.outputs[0] if any(each is sigmoid.outputs[0] for each in multiply.inputs) else None


def follow(tensor: gs.Tensor | None, *operators: str) -> gs.Node | None:
    """The last of a chain of consumers; "SiLU" denotes its two nodes."""
    node = None
    for op in operators:
        if tensor is None:
            return None
        if op == "SiLU":
            tensor = silu_of(tensor)
            continue
        node = reader(tensor, op)
        tensor = None if node is None else node.outputs[0]
    return node


def fuse(graph: gs.Graph) -> int:
    """Replaces blocks by MBConv, in place; returns their number."""
    count = 0
    for depthwise in [node for node in graph.nodes if node.op == "Conv" and is_depthwise(node)]:
        d = silu_of(depthwise.outputs[0])
        mean, scaled = follow(d, "ReduceMean"), follow(d, "Mul")
        if d is None or mean is None or scaled is None or len(d.outputs) != 2 or not averages_pixels(mean):
            continue
        reduce = follow(mean.outputs[0], "Conv")
        gate = follow(mean.outputs[0], "Conv", "SiLU", "Conv")
        scale, project = follow(mean.outputs[0], "Conv", "SiLU", "Conv", "Sigmoid"), follow(scaled.outputs[0], "Conv")
        if reduce is None or gate is None or scale is None or project is None:
            continue
        if not any(each is scale.outputs[0] for each in scaled.inputs):
            continue
        if not all(is_pointwise(conv) for conv in (reduce, gate, project)):
            continue
        if any(tensor in graph.outputs for node in (mean, scaled, reduce, gate, scale) for tensor in node.outputs):
            continue
        expand = expansion(depthwise)
        x = (depthwise if expand is None else expand).inputs[0]
        add = reader(project.outputs[0], "Add") if len(project.outputs[0].outputs) == 1 else None
        residual = add is not None and any(each is x for each in add.inputs)
        last = add if residual and add is not None else project
        parameters = [EMPTY, EMPTY] if expand is None else expand.inputs[1:]
        parameters = [
            *parameters,
            *(tensor for conv in (depthwise, reduce, gate, project) for tensor in conv.inputs[1:]),
        ]
        attributes = {
            **{name: depthwise.attrs[name] for name in WINDOW},
            "residual": int(residual),
            **PLUGIN_ATTRIBUTES,
        }
        y, name = last.outputs[0], f"{depthwise.name.split('.depthwise')[0]}/MBConv"
        last.outputs = []
        block = gs.Node("MBConv", name, attributes, [x, *parameters], [y], domain=DOMAIN)
        graph.nodes.insert(graph.nodes.index(last), block)
        count += 1
    graph.cleanup()
    return count


def expansion(depthwise: gs.Node) -> gs.Node | None:
    """The block's expanding convolution; a block may begin with the depth-wise one."""
    h = depthwise.inputs[0]
    makers = [
        node for multiply in h.inputs for tensor in multiply.inputs for node in tensor.inputs if node.op == "Conv"
    ]
    if len(h.outputs) != 1 or len(makers) != 1 or silu_of(makers[0].outputs[0]) is not h:
        return None
    return makers[0] if is_pointwise(makers[0]) else None


def unfuse(graph: gs.Graph) -> int:
    """Replaces MBConv by the block's convolutions, in place; returns their number."""
    blocks = [node for node in graph.nodes if node.op == "MBConv"]
    for block in blocks:
        nodes: list[gs.Node] = []

        def add(op: str, *inputs: gs.Tensor, block: gs.Node = block, nodes: list[gs.Node] = nodes, **attrs: Any) -> Any:
            name = f"{block.name}/{op}_{len(nodes)}"
            nodes.append(gs.Node(op, name, attrs, list(inputs), [gs.Variable(f"{name}_output", np.float32)]))
            return nodes[-1].outputs[0]

        x, *parameters = block.inputs
        expand, depthwise, reduce, gate, project = (parameters[i : i + 2] for i in range(0, 10, 2))

        def silu(value: gs.Tensor, add: Callable[..., Any] = add) -> Any:
            return add("Mul", value, add("Sigmoid", value))

        h = x if expand[0].is_empty() else silu(add("Conv", x, *expand, kernel_shape=[1, 1]))
        window = {name: block.attrs[name] for name in WINDOW}
        d = silu(add("Conv", h, *depthwise, group=depthwise[1].shape[0], **window))
        axes = gs.Constant(f"{block.name}/axes", np.array([2, 3]))
        squeezed = silu(add("Conv", add("ReduceMean", d, axes, keepdims=1), *reduce, kernel_shape=[1, 1]))
        scale = add("Sigmoid", add("Conv", squeezed, *gate, kernel_shape=[1, 1]))
        y = add("Conv", add("Mul", d, scale), *project, kernel_shape=[1, 1])
        if block.attrs["residual"]:
            add("Add", y, x)
        index, outputs = graph.nodes.index(block), list(block.outputs)
        graph.nodes[index : index + 1] = nodes
        block.outputs = []
        nodes[-1].outputs = outputs
    return len(blocks)


def is_convolution(node: gs.Node) -> bool:
    weight = node.inputs[1]
    plain = set(node.attrs.get("dilations", [1])) == {1} and node.attrs.get("auto_pad", "NOTSET") == "NOTSET"
    return isinstance(weight, gs.Constant) and weight.dtype == np.float32 and plain


def is_pointwise(node: gs.Node) -> bool:
    plain = set(node.attrs.get("strides", [1])) == {1} and not any(node.attrs.get("pads", [0]))
    return is_convolution(node) and list(node.inputs[1].shape[2:]) == [1, 1] and plain and node.attrs["group"] == 1


def is_depthwise(node: gs.Node) -> bool:
    channels, per_group, *kernel = node.inputs[1].shape
    fits = list(kernel) in ([3, 3], [5, 5]) and node.attrs["strides"] in ([1, 1], [2, 2])
    return is_convolution(node) and fits and per_group == 1 and node.attrs["group"] == channels


def averages_pixels(node: gs.Node) -> bool:
    return sorted(axis % 4 for axis in node.inputs[1].values.tolist()) == [2, 3]


def measure(name: str, model: onnx.ModelProto, repeats: int) -> list[str]:
    """Measures one row of the table."""
    times: dict[str, list[float]] = {}
    counts = set()

    def timed(step: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = call()
        times.setdefault(step, []).append(1e3 * (time.perf_counter() - began))
        return result

    for _ in range(repeats):
        graph = timed("ir in", lambda: ir.from_proto(model))
        counts.add(timed("ir fuse", lambda graph=graph: mbconv.fuse_mbconv(graph)))
        counts.add(timed("ir unfuse", lambda graph=graph: mbconv.unfuse_mbconv(graph)))
        timed("ir out", lambda graph=graph: ir.to_proto(graph))
        surgeon = timed("gs in", lambda: gs.import_onnx(model))
        counts.add(timed("gs fuse", lambda surgeon=surgeon: fuse(surgeon)))
        counts.add(timed("gs unfuse", lambda surgeon=surgeon: unfuse(surgeon)))
        timed("gs out", lambda surgeon=surgeon: gs.export_onnx(surgeon))
    blocks = "/".join(map(str, sorted(counts)))
    return [name, blocks, *(f"{statistics.median(times[step]):.1f}" for step in STEPS)]


STEPS = tuple(f"{library} {step}" for library in ("ir", "gs") for step in ("in", "fuse", "unfuse", "out"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["camvid-s", "voc-l"])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    rows = [["preset", "blocks", *STEPS]]
    with tempfile.TemporaryDirectory() as folder:
        for preset in arguments.presets:
            path = Path(folder) / "m.onnx"
            export_onnx(random_network(preset), path, ExportOptions(target=Target.CUDA, verify=False, force=True))
            graph = ir.from_proto(onnx.load(path))
            join_means(graph)
            rows.append(measure(preset, ir.to_proto(graph), arguments.repeats))
    for row in rows:
        print(" | ".join(row))
    own = sum(len(inspect.getsource(each).splitlines()) for each in (reader, silu_of, follow, fuse, expansion, unfuse))
    theirs = sum(len(inspect.getsource(each).splitlines()) for each in (mbconv._Fuse, mbconv._Unfuse))
    print(f"lines of pattern, fusion and inverse: onnx_ir {theirs}, onnx-graphsurgeon {own}")


if __name__ == "__main__":
    sys.exit(main())
