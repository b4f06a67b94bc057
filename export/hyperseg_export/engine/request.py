"""What the building process is told, and what it tells back: JSON, since the two share nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from hyperseg_runtime.backends.tensorrt_flavour import Flavour


@dataclass(frozen=True)
class BuildRequest:
    """One build. Paths are absolute."""

    model: str
    """The prepared ONNX file."""
    plan: str
    """Where to write the plan."""
    flavour: Flavour
    plugin_library: str | None
    compute_capabilities: tuple[str, ...] = ()
    """Empty: the GPU of this machine."""
    profile: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    """Least, best and most shape of each input with open dimensions."""
    timing_cache: str | None = None
    workspace: int | None = None
    """MiB."""
    optimization_level: int | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> BuildRequest:
        content = json.loads(text)
        content["flavour"] = Flavour(content["flavour"])
        content["compute_capabilities"] = tuple(content["compute_capabilities"])
        content["profile"] = {
            name: tuple(tuple(shape) for shape in shapes) for name, shapes in content["profile"].items()
        }
        return BuildRequest(**content)


class EventKind(str, Enum):
    """PROGRESS: `text` is the phase, `value` the share done. MESSAGE: TensorRT's own words. LAYERS: the built engine's
    layers as TensorRT prints them. UNSUPPORTED: `text` is one operator and its node. FAILURE: the build is over.
    DONE: the plan is written; `value` is its size."""

    PROGRESS = "progress"
    MESSAGE = "message"
    LAYERS = "layers"
    UNSUPPORTED = "unsupported"
    FAILURE = "failure"
    DONE = "done"


@dataclass(frozen=True)
class Event:
    """One line from the building process."""

    kind: EventKind
    text: str = ""
    value: float = 0.0

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind.value, "text": self.text, "value": self.value})

    @staticmethod
    def from_json(text: str) -> Event:
        content: dict[str, Any] = json.loads(text)
        return Event(EventKind(content["kind"]), content["text"], content["value"])
