"""Puts nodes in the place of others."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir


def replace_nodes(
    graph: ir.Graph,
    place: ir.Node,
    old_nodes: Sequence[ir.Node],
    nodes: Sequence[ir.Node],
    old: ir.Value,
    new: ir.Value,
) -> None:
    """Inserts `nodes` at `place` and removes `old_nodes`; `new` gets the name, shape, type and readers of `old`,
    and its place among the graph's outputs."""
    new.name, new.shape, new.type = old.name, old.shape, old.type
    for index, output in enumerate(graph.outputs):
        if output is old:
            graph.outputs[index] = new
    ir.convenience.replace_nodes_and_values(graph, place, list(old_nodes), list(nodes), [old], [new])
