"""Where ONNX Runtime placed the nodes of a session.

A node without a kernel of the wanted provider runs on the CPU, with copies before and after it, and ONNX Runtime says
so in its log only (graph_partitioner.cc: what no provider takes falls to the CPU provider). The placement is read from
one of two sources:

- `Session_GetEpGraphAssignmentInfo`, which lists the nodes of each provider, where the session was opened with
  `session.record_ep_graph_assignment_info` (onnxruntime_session_options_config_keys.h; in Python since 1.24). It is the
  placement after the basic optimisations, and costs no run.
- in older releases, the profile of one run, whose node events have the argument `provider`.

Shape arithmetic does not count: ONNX Runtime puts nodes that depend only on shapes and small constants on the CPU on
purpose, although the provider has kernels for them (GetCpuPreferredNodes in core/framework/fallback_cpu_capability.cc).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hyperseg_runtime.graph_target import name_some
from hyperseg_runtime.libraries import Library
from hyperseg_runtime.onnx_file import GraphNode
from hyperseg_runtime.output_files import reason

RECORD_KEY = "session.record_ep_graph_assignment_info"
_KERNEL = "_kernel_time"
_SHAPES = ("Shape", "Size")
_COPIES = ("MemcpyToHost", "MemcpyFromHost")
_CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class PlacedNode:
    """A node and the provider that runs it."""

    name: str
    operator: str
    provider: str


class PlacementError(Exception):
    """ONNX Runtime's record of the placement cannot be read. The message says why."""


ReadPlacement = Callable[[Any, Callable[[], object]], list[PlacedNode]]
"""Reads the placement of an InferenceSession, given a function that runs it once, which only older releases need.
Raises PlacementError."""


@contextmanager
def watched(settings: Any, session_type: Any) -> Iterator[ReadPlacement]:
    """Prepares the options of a session that is opened in this context so that its placement can be read there.

    Args:
        settings: onnxruntime.SessionOptions.
        session_type: the class onnxruntime.InferenceSession, whose methods tell what this release offers.
    """
    if hasattr(session_type, "get_provider_graph_assignment_info"):
        settings.add_session_config_entry(RECORD_KEY, "1")
        yield _listed
    elif settings.enable_profiling:  # for the caller, whom the profile tells
        yield _unknown
    else:
        with ExitStack() as stack:
            try:
                folder = tempfile.TemporaryDirectory(prefix="hyperseg-", ignore_cleanup_errors=True)
            except OSError as error:
                read: ReadPlacement = partial(_unreadable, f"there is no folder for its profile: {reason(error)}")
            else:
                read = _profile_one_run
                settings.enable_profiling = True
                settings.profile_file_prefix = str(Path(stack.enter_context(folder)) / "placement")
            yield read


def _listed(session: Any, run: Callable[[], object]) -> list[PlacedNode]:
    del run
    try:
        return recorded(session)
    except Exception as error:  # ONNX Runtime's own classes have no common base
        raise PlacementError(" ".join(str(error).split())) from error


def _unknown(session: Any, run: Callable[[], object]) -> list[PlacedNode]:
    del session, run
    return []


def _profile_one_run(session: Any, run: Callable[[], object]) -> list[PlacedNode]:
    run()
    # A file that cannot be written is no error of ONNX Runtime, which names it all the same.
    path = Path(session.end_profiling())
    try:
        placed = profiled(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise PlacementError(f"its profile {path} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise PlacementError(f"its profile {path} is incomplete; is the disk full?") from error
    if not placed:
        raise PlacementError(f"its profile {path} names no operators")
    return placed


def _unreadable(why: str, session: Any, run: Callable[[], object]) -> list[PlacedNode]:
    del session, run
    raise PlacementError(why)


def recorded(session: Any) -> list[PlacedNode]:
    """The placement of a session that was opened with RECORD_KEY."""
    return [
        PlacedNode(node.name, node.op_type, part.ep_name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def profiled(events: Iterable[Mapping[str, Any]]) -> list[PlacedNode]:
    """The placement from the events of a profile, each node once however often it ran."""
    found: dict[str, PlacedNode] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_KERNEL):
            arguments = event.get("args", {})
            node = PlacedNode(
                name.removesuffix(_KERNEL), str(arguments.get("op_name", "")), str(arguments.get("provider", ""))
            )
            found.setdefault(node.name, node)
    return list(found.values())


def shape_arithmetic(nodes: Sequence[GraphNode], image: str = "image") -> frozenset[str]:
    """The names of the nodes that compute on shapes and constants only, never on values of the image.

    nodes: of the file, in topological order. Those without a name are not among them, since ONNX Runtime lists all of
    these under the same empty one.
    """
    on_values = {image}
    found = set()
    for node in nodes:
        if node.operator in _SHAPES or on_values.isdisjoint(node.inputs):
            if node.name:
                found.add(node.name)
        else:
            on_values.update(node.outputs)
    return frozenset(found)


@dataclass(frozen=True)
class Placement:
    """The nodes of a session that compute on the image, and those of them that its provider does not run."""

    provider: str
    nodes: int
    elsewhere: tuple[PlacedNode, ...]
    own: frozenset[str]
    """The names of our operators in the graph."""

    @staticmethod
    def of(placed: Iterable[PlacedNode], graph: Sequence[GraphNode], own: frozenset[str], provider: str) -> Placement:
        ignored = shape_arithmetic(graph)
        counted = [node for node in placed if node.name not in ignored and node.operator not in _COPIES]
        return Placement(provider, len(counted), tuple(node for node in counted if node.provider == _CPU), own)

    @property
    def _share(self) -> str:
        return f"{len(self.elsewhere)} of {self.nodes} operators"

    def refusal(self, model: object) -> str | None:
        """One line where operators of ours run on the CPU: every map would be copied there and back.

        Of a file for CUDA they all have kernels, so the library lacks them.
        """
        ours = [node.operator for node in self.elsewhere if node.operator in self.own]
        if not ours:
            return None
        return (
            f"{model}: ONNX Runtime placed {self._share} on the CPU ({name_some(ours)}): "
            f"{Library.ONNXRUNTIME.value} has no CUDA kernels here; install hyperseg where nvcc is (pip install .), "
            "or use --backend onnxruntime"
        )

    def note(self, model: object) -> str | None:
        """One line where standard operators run on the CPU: slower, but it may still be the fastest here."""
        if not self.elsewhere:
            return None
        names = name_some(node.operator for node in self.elsewhere)
        return f"{model}: ONNX Runtime placed {self._share} on the CPU, not on {self.provider} ({names})"
