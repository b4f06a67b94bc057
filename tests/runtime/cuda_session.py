"""A double of ONNX Runtime's CUDA provider: it computes on the CPU, and places nodes as the vendor's rules say.

1. A node without a kernel of the provider goes to the CPU provider, with a line in the log only: GraphPartitioner in
   onnxruntime/core/framework/graph_partitioner.cc, release 1.23 (also 1.17).
2. A node that reads only results of Shape nodes and small initialisers goes to the CPU too, although CUDA has a kernel:
   GetCpuPreferredNodes in onnxruntime/core/framework/fallback_cpu_capability.cc, the same releases. Shape itself has a
   CUDA kernel whose output lies in host memory.
3. `get_providers` names CUDA even where it runs no node: it lists what is registered, not what is used.
4. `get_provider_graph_assignment_info` lists nodes as of the original graph after the basic optimisations, and fails
   unless the session was opened with "session.record_ep_graph_assignment_info": "1" (onnxruntime_c_api.h,
   Session_GetEpGraphAssignmentInfo). Releases before 1.24 lack it.
5. The profile has the provider of each node event in args.provider (SessionState's and SequentialExecutor's
   "_kernel_time" events, onnxruntime/core/framework/sequential_executor.cc).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest
from hyperseg_runtime.backends import cuda, device_labels

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_RECORD = "session.record_ep_graph_assignment_info"
_Session = onnxruntime.InferenceSession


def install(
    monkeypatch: pytest.MonkeyPatch,
    *,
    without_kernel: Collection[str] = (),
    shape_nodes: Collection[str] = (),
    lists_placement: bool = True,
) -> None:
    """Replaces onnxruntime.InferenceSession.

    without_kernel: operators that the provider cannot run. shape_nodes: names of nodes that rule 2 is about.
    lists_placement: whether the release has rule 4's method.
    """

    def provider(name: str, operator: str) -> str:
        return CPU if operator in without_kernel or name in shape_nodes else CUDA

    class Session:
        def __new__(cls, path: Any, settings: Any, providers: Sequence[Any], **named: Any) -> Any:
            if list(providers) == [CPU]:
                return _Session(path, settings, providers=[CPU])
            assert [entry[0] if isinstance(entry, tuple) else entry for entry in providers] == [CUDA, CPU]
            assert named == {"enable_fallback": False}
            session = super().__new__(cls)
            session._session = _Session(path, settings, providers=[CPU])
            return session

        def get_providers(self) -> list[str]:
            return [CUDA, CPU]

        def end_profiling(self) -> str:
            path = Path(self._session.end_profiling())
            events = json.loads(path.read_text())
            for event in events:
                if "provider" in event.get("args", {}):
                    name = event["name"].removesuffix("_kernel_time")
                    event["args"]["provider"] = provider(name, event["args"]["op_name"])
            path.write_text(json.dumps(events))
            return str(path)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

    def listed(session: Session) -> list[Any]:
        if session._session.get_session_options().get_session_config_entry(_RECORD) != "1":
            raise RuntimeError(f"Session configuration entry '{_RECORD}' must be set to \"1\"")
        return [
            SimpleNamespace(ep_name=provider(node.name, node.op_type), get_nodes=_constant([node]))
            for part in session._session.get_provider_graph_assignment_info()
            for node in part.get_nodes()
        ]

    if lists_placement:
        if not hasattr(_Session, "get_provider_graph_assignment_info"):
            pytest.skip(f"onnxruntime {onnxruntime.__version__} does not list the placement")
        monkeypatch.setattr(Session, "get_provider_graph_assignment_info", listed, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(cuda, "load_driver", object)  # the driver and kernels of frames' labels, which nothing asks for
    monkeypatch.setattr(device_labels, "find_kernels", object)


def _constant(value: list[Any]) -> Callable[[], list[Any]]:
    return lambda: value
