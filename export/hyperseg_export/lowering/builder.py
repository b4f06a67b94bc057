"""Writes nodes in the place of another: constants, extents known at export or only at run time, and named nodes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Extent: TypeAlias = "int | ir.Value"
"""A size along an axis: a number where the graph fixes it, else an int64 tensor [1]."""

END = (1 << 63) - 1
"""As the end of a slice: up to the last element."""


class Builder:
    """Collects the nodes and constants that stand in for `node`; they carry its name as a prefix."""

    def __init__(self, node: ir.Node) -> None:
        self._tape = ir.tape.Tape()
        self._prefix = node.name or node.op_type
        self._count = 0

    @property
    def nodes(self) -> list[ir.Node]:
        return list(self._tape.nodes)

    @property
    def initializers(self) -> list[ir.Value]:
        return list(self._tape.initializers)

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        name = self._unique(op_type)
        value = self._tape.op(op_type, list(inputs), attributes, name=name)
        value.name = f"{name}_output"
        return value

    def constant(self, array: NDArray[Any], dtype: ir.DataType | None = None) -> ir.Value:
        if dtype is not None:
            array = array.astype(dtype.numpy())
        return self._tape.initializer(ir.tensor(array, name=self._unique("constant")))

    def integers(self, *values: int) -> ir.Value:
        return self.constant(np.array(values, dtype=np.int64))

    def extent(self, value: ir.Value, axis: int) -> Extent:
        size = None if value.shape is None else value.shape[axis]
        if isinstance(size, int):
            return size
        return self.op("Shape", value, start=axis, end=axis + 1)

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
        return f"{self._prefix}/{kind}_{self._count}"
