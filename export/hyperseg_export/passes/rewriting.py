"""Rewrite rules on onnx_ir graphs, and a builder for the nodes that they insert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common
from onnxscript.rewriter import RewriteRule, RewriteRuleClassBase, RewriteRuleSet

from hyperseg_export.operators import DOMAIN, FORMER_NAMES, VERSION

Pass: TypeAlias = Callable[[ir.Model], "int | None"]
"""Edits a model in place; returns the number of rewrites, where it counts any."""

Extent: TypeAlias = "int | ir.Value"
"""A size along an axis: a number where the graph fixes it, else an int64 tensor [1]."""

END = (1 << 63) - 1
"""As the end of a slice: up to the last element."""


_Base: Any = RewriteRuleClassBase  # whose methods have other arguments in every rule


class Rule(_Base):  # type: ignore[misc]
    """A rewrite rule: `pattern` describes the nodes to find, `check` says whether these are the ones, and `rewrite`
    makes the new ones (onnxscript's RewriteRule)."""

    def __init__(self, remove_nodes: bool = True) -> None:
        super().__init__(remove_nodes=remove_nodes)
        self.name = None  # else the rewriter writes it into the metadata of every new node


def apply_rules(model: ir.Model, *rules: RewriteRule) -> int:
    """Applies each rule to the whole graph, one after the other."""
    count = sum(RewriteRuleSet([rule]).apply_to_model(model) for rule in rules)
    if any(node.domain == DOMAIN for node in model.graph):
        model.opset_imports[DOMAIN] = VERSION
    else:
        model.opset_imports.pop(DOMAIN, None)
    return count


def use_current_names(model: ir.Model) -> int:
    """Renames our operators in files of version 0.1.0 to their current names."""
    count = 0
    for node in model.graph:
        if node.domain == DOMAIN and node.op_type in FORMER_NAMES:
            node.op_type = FORMER_NAMES[node.op_type]
            count += 1
    return count


def unique_names(model: ir.Model) -> int:
    """Gives every node and value a name that no other has: the passes derive names of constants from those of nodes."""
    return int(bool(common.NameFixPass()(model).modified))


def unpack_weights(model: ir.Model) -> int:
    """Makes float32 constants of weights that a small file stores in float16 and casts when it is loaded."""
    count = 0
    for node in list(model.graph):
        stored = node.inputs[0] if node.op_type == "Cast" and not node.domain else None
        if stored is None or stored.const_value is None or stored.dtype != ir.DataType.FLOAT16:
            continue
        if integer(node, "to") != ir.DataType.FLOAT or node.outputs[0].is_graph_output():
            continue
        name = str(node.outputs[0].name)
        tensor = ir.tensor(stored.const_value.numpy().astype(np.float32), name=name)
        value = ir.Value(
            name=name, const_value=tensor, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype)
        )
        ir.convenience.replace_all_uses_with(node.outputs[0], value)
        model.graph.remove(node, safe=True)
        model.graph.register_initializer(value)
        if not stored.uses():
            del model.graph.initializers[str(stored.name)]
        count += 1
    return count


def share(model: ir.Model) -> None:
    """Shares duplicate constants and nodes, such as weight mappers that were fused with several consumers."""
    common.DeduplicateInitializersPass()(model)
    common.CommonSubexpressionEliminationPass()(model)


def producer(value: ir.Value | None) -> ir.Node:
    """The node that computes a value matched by a pattern."""
    node = None if value is None else value.producer()
    assert node is not None
    return node


def inputs(node: ir.Node, count: int) -> list[ir.Value | None]:
    """The first `count` inputs, None for omitted ones."""
    return [*node.inputs, *[None] * (count - len(node.inputs))][:count]


def integer(node: ir.Node, name: str, default: int = 0) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


def integers(node: ir.Node, name: str, default: list[int] | None = None) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else default or []


def text(node: ir.Node, name: str, default: str) -> str:
    return node.attributes[name].as_string() if name in node.attributes else default


def size(value: ir.Value | None, axis: int) -> int | None:
    """The size along an axis; None if it is not fixed."""
    found = None if value is None or value.shape is None else value.shape[axis]
    return found if isinstance(found, int) else None


def fixed_size(value: ir.Value, axis: int) -> int:
    """As `size`. Raises ValueError if it is not fixed."""
    found = size(value, axis)
    if found is None:
        raise ValueError(f"{value.name!r} has shape {value.shape}; its axis {axis} must be fixed in the graph")
    return found


class Builder:
    """Creates nodes and constants whose names begin with that of the node that they replace.

    Args:
        op: the builder that the rewriter hands to `Rule.rewrite`.
        node: the node to replace.
    """

    def __init__(self, op: Any, node: ir.Node) -> None:
        self._op = op
        self._prefix = node.name or node.op_type
        self._count = 0
        self._taken = set() if node.graph is None else set(node.graph.initializers)

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """A node of a standard operator, or with `_domain` of another."""
        return self.named(self._unique(op_type), op_type, *inputs, **attributes)

    def named(self, name: str, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """As `op`, with a name for the node."""
        value: ir.Value = getattr(self._op, op_type)(*inputs, **attributes)
        producer(value).name = name
        value.name = f"{name}_output"
        return value

    def constant(self, array: NDArray[Any], dtype: ir.DataType | None = None, name: str | None = None) -> ir.Value:
        if dtype is not None:
            array = array.astype(dtype.numpy())
        name = name or self._unique("constant")
        if name in self._taken:  # of a file that names its values as the passes do
            name = self._unique(name.rpartition("/")[2])
        self._taken.add(name)
        value: ir.Value = self._op.initializer(ir.tensor(array, name=name))
        return value

    def integers(self, *values: int) -> ir.Value:
        return self.constant(np.array(values, dtype=np.int64))

    def extent(self, value: ir.Value, axis: int) -> Extent:
        found = size(value, axis)
        return self.op("Shape", value, start=axis, end=axis + 1) if found is None else found

    def vector(self, extent: Extent) -> ir.Value:
        """The extent as an int64 tensor [1]."""
        return self.integers(extent) if isinstance(extent, int) else extent

    def product(self, *factors: Extent) -> Extent:
        fixed = 1
        result: ir.Value | None = None
        for factor in factors:
            if isinstance(factor, int):
                fixed *= factor
            else:
                result = factor if result is None else self.op("Mul", result, factor)
        if result is None:
            return fixed
        return result if fixed == 1 else self.op("Mul", result, self.integers(fixed))

    def quotient(self, extent: Extent, divisor: Extent) -> Extent:
        if isinstance(extent, int) and isinstance(divisor, int):
            return extent // divisor
        return self.op("Div", self.vector(extent), self.vector(divisor))

    def plus(self, extent: Extent, addend: int) -> Extent:
        return extent + addend if isinstance(extent, int) else self.op("Add", extent, self.integers(addend))

    def shape(self, extents: list[Extent]) -> ir.Value:
        """int64 [rank]: the shape itself, as Expand takes it."""
        if all(isinstance(extent, int) for extent in extents):
            return self.integers(*(extent for extent in extents if isinstance(extent, int)))
        return self.op("Concat", *(self.vector(extent) for extent in extents), axis=0)

    def reshape(self, value: ir.Value, *extents: Extent) -> ir.Value:
        unknown = [axis for axis, extent in enumerate(extents) if not isinstance(extent, int)]
        target = list(extents)
        if unknown:
            target[unknown[0]] = -1
        return self.op("Reshape", value, self.shape(target))

    def slice(self, value: ir.Value, axis: int, start: Extent, end: int, step: Extent = 1) -> ir.Value:
        begin, stride = self.vector(start), self.vector(step)
        return self.op("Slice", value, begin, self.integers(end), self.integers(axis), stride)

    def _unique(self, kind: str) -> str:
        self._count += 1
        name = f"{self._prefix}/{kind}_{self._count}"
        return self._unique(kind) if name in self._taken else name
