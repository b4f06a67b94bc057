"""Reader of an ONNX file's metadata_props and nodes, without loading its weights or the onnx package.

An ONNX file is one protocol-buffers message. Its fields are walked by their lengths, so that a model of hundreds of
megabytes answers in a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as field_of
from pathlib import Path
from typing import BinaryIO, TypeVar

from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.model_kinds import remedy
from hyperseg_runtime.regular_files import open_regular

Content = TypeVar("Content")

# Field numbers of onnx.proto
_MODEL_GRAPH, _MODEL_METADATA_PROPS = 7, 14
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT = 1, 5, 12
_VALUE_NAME = 1
_TENSOR_EXTERNAL_DATA = 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 3, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TEXT = 1, 3, 4
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
# Wire types
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_TEXT = 1 << 24
# Of TensorProto, and its data types that hold no weights: int32, int64, string, bool
_TENSOR_DIMS, _TENSOR_DATA_TYPE = 1, 2
_NO_WEIGHTS = (6, 7, 8, 9)


@dataclass(frozen=True)
class GraphNode:
    """A node of the main graph. The domain of standard operators is empty."""

    name: str
    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, int | str] = field_of(default_factory=dict, compare=False)
    """Those that are one integer or one text."""


def read_properties(path: Path) -> dict[str, str]:
    """The file's metadata_props. Raises ModelError if the file cannot be read or is not an ONNX file."""
    return _read(path, lambda file, size: dict(_properties(file, size)))


def read_node_names(path: Path) -> dict[str, str]:
    """Maps each output of the graph's nodes to the node's name. Raises ModelError as read_properties."""
    return {output: node.name for node in read_nodes(path) for output in node.outputs}


def read_nodes(path: Path) -> list[GraphNode]:
    """The nodes of the graph, in the file's order, which is topological. Raises ModelError as read_properties."""
    return _read(path, lambda file, size: list(_nodes(file, size)))


def read_outputs(path: Path) -> set[str]:
    """The names of the graph's outputs. Raises ModelError as read_properties."""
    return _read(path, lambda file, size: set(_outputs(file, size)))


def read_external_files(path: Path) -> set[str]:
    """The files that the graph's initialisers are stored in, relative to the model's folder; empty if in the model
    itself. Raises ModelError as read_properties."""
    return _read(path, lambda file, size: set(_locations(file, size)))


def read_parameters(path: Path) -> int:
    """The number of weights: elements of the graph's initialisers, without integers that are shapes and indices.

    Raises ModelError as read_properties.
    """
    return _read(path, lambda file, size: sum(_weights(file, size)))


def _read(path: Path, read: Callable[[BinaryIO, int], Content]) -> Content:
    try:
        with open_regular(path) as file:
            size = path.stat().st_size
            if size == 0:
                raise ModelError(f"{path} is empty; export the model again")
            return read(file, size)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        text = remedy(path) or f"{path} is not an ONNX file, or it is damaged; export the model again"
        raise ModelError(text) from error


def _properties(file: BinaryIO, size: int) -> Iterator[tuple[str, str]]:
    has_graph = False
    for number, end in _messages(file, size):
        has_graph = has_graph or number == _MODEL_GRAPH
        if number == _MODEL_METADATA_PROPS:
            texts = {field: _text(file, stop) for field, stop in _messages(file, end)}
            yield texts.get(_ENTRY_KEY, ""), texts.get(_ENTRY_VALUE, "")
    if not has_graph:  # a short text may happen to be a message
        raise ValueError("no graph")


def _outputs(file: BinaryIO, size: int) -> Iterator[str]:
    for number, graph_end in _messages(file, size):
        if number != _MODEL_GRAPH:
            continue
        for field, value_end in _messages(file, graph_end):
            if field == _GRAPH_OUTPUT:
                yield from (_text(file, end) for part, end in _messages(file, value_end) if part == _VALUE_NAME)


def _locations(file: BinaryIO, size: int) -> Iterator[str]:
    for number, graph_end in _messages(file, size):
        if number != _MODEL_GRAPH:
            continue
        for field, tensor_end in _messages(file, graph_end):
            if field != _GRAPH_INITIALIZER:
                continue
            for part, end in _messages(file, tensor_end):
                if part == _TENSOR_EXTERNAL_DATA:
                    entry = {inner: _text(file, stop) for inner, stop in _messages(file, end)}
                    if entry.get(_ENTRY_KEY) == "location":
                        yield entry.get(_ENTRY_VALUE, "")


def _weights(file: BinaryIO, size: int) -> Iterator[int]:
    for number, graph_end in _messages(file, size):
        if number != _MODEL_GRAPH:
            continue
        for field, tensor_end in _messages(file, graph_end):
            if field == _GRAPH_INITIALIZER:
                yield _elements(file, tensor_end)


def _elements(file: BinaryIO, end: int) -> int:
    """Of a tensor of weights; 0 for other tensors. Its dimensions may be packed into one field, or not."""
    count = 1
    for number, kind, value in _fields(file, end):
        if number == _TENSOR_DATA_TYPE and value in _NO_WEIGHTS:
            return 0
        if number != _TENSOR_DIMS:
            continue
        if kind == _VARINT:
            count *= value
        while kind == _BYTES and file.tell() < value:
            count *= _varint(file)
    return count


def _nodes(file: BinaryIO, size: int) -> Iterator[GraphNode]:
    for number, graph_end in _messages(file, size):
        if number != _MODEL_GRAPH:
            continue
        for field, node_end in _messages(file, graph_end):
            if field == _GRAPH_NODE:
                yield _node(file, node_end)


def _node(file: BinaryIO, node_end: int) -> GraphNode:
    names = {_NODE_NAME: "", _NODE_OP_TYPE: "", _NODE_DOMAIN: ""}
    values: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: []}
    attributes: dict[str, int | str] = {}
    for part, end in _messages(file, node_end):
        if part in names:
            names[part] = _text(file, end)
        elif part in values:
            values[part].append(_text(file, end))
        elif part == _NODE_ATTRIBUTE:
            attributes.update(_attribute(file, end))
    domain = "" if names[_NODE_DOMAIN] == "ai.onnx" else names[_NODE_DOMAIN]
    return GraphNode(
        names[_NODE_NAME],
        names[_NODE_OP_TYPE],
        domain,
        tuple(values[_NODE_INPUT]),
        tuple(values[_NODE_OUTPUT]),
        attributes,
    )


def _attribute(file: BinaryIO, attribute_end: int) -> Iterator[tuple[str, int | str]]:
    name = ""
    value: int | str | None = None
    for number, kind, content in _fields(file, attribute_end):
        if number == _ATTRIBUTE_NAME and kind == _BYTES:
            name = _text(file, content)
        elif number == _ATTRIBUTE_TEXT and kind == _BYTES:
            value = file.read(content - file.tell()).decode("utf-8", "replace")  # any bytes, by its definition
        elif number == _ATTRIBUTE_INT and kind == _VARINT:
            value = content - (content >> 63 << 64)  # two's complement
    if value is not None:
        yield name, value


def _messages(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Number and end of every length-delimited field up to `end`; what the caller does not read is skipped."""
    return ((number, value) for number, kind, value in _fields(file, end) if kind == _BYTES)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, wire type, and value (of a length-delimited field: its end) of every field up to `end`."""
    while file.tell() < end:
        number, kind = divmod(_varint(file), 8)
        if number == 0:
            raise ValueError("field number 0")
        if kind == _BYTES:
            length = _varint(file)
            stop = file.tell() + length
            if stop > end:
                raise EOFError
            yield number, kind, stop
            file.seek(stop)
        elif kind == _VARINT:
            yield number, kind, _varint(file)
        elif kind in (_FIXED64, _FIXED32):
            file.seek(8 if kind == _FIXED64 else 4, 1)
        else:
            raise ValueError(f"wire type {kind}")


def _text(file: BinaryIO, end: int) -> str:
    length = end - file.tell()
    if length > _MAX_TEXT:
        raise ValueError(f"a text of {length} bytes")
    return file.read(length).decode("utf-8")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number longer than 64 bits")
