"""The target that an ONNX file fits, by the operators of its graph.

Files of earlier versions do not name their target, and a file may come from anywhere: where metadata and graph
contradict each other, the graph is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hyperseg_runtime.errors import HyperSegError
from hyperseg_runtime.metadata import Metadata, Target
from hyperseg_runtime.onnx_file import GraphNode, read_nodes, read_properties

DOMAIN = "hyperseg"

CUDA_OPERATORS = frozenset({"DPWConv", "DPWInvertedResidual", "UpsampleArgmax"})
"""Our operators with a kernel for ONNX Runtime's CUDA provider (trt_plugins/onnxruntime/register.cpp)."""

_QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear"})
_NAMED = 3


@dataclass(frozen=True)
class GraphTarget:
    """What a file says that it was made for, and what its operators allow."""

    model: Path
    declared: Target | None
    nodes: tuple[GraphNode, ...]

    @cached_property
    def cpu_only(self) -> tuple[str, ...]:
        """Our operators that only the CPU has, one for each node, by name."""
        ours = (node.operator for node in self.nodes if node.domain == DOMAIN)
        return tuple(sorted(one for one in ours if one not in CUDA_OPERATORS))

    @cached_property
    def own(self) -> frozenset[str]:
        """The names of our operators in the graph."""
        return frozenset(node.operator for node in self.nodes if node.domain == DOMAIN)

    @cached_property
    def quantised(self) -> bool:
        return any(node.operator in _QUANTISED for node in self.nodes)

    @property
    def target(self) -> Target:
        """The declared target, or the one that the operators suggest where none is declared or it cannot be true."""
        if self.declared is not None and self.contradiction is None:
            return self.declared
        if self.cpu_only or self.quantised:
            return Target.CPU
        return Target.CUDA if self.own else Target.PORTABLE

    @property
    def contradiction(self) -> str | None:
        """One line where the operators cannot be those of the declared target."""
        if self.declared in (Target.CUDA, Target.TENSORRT) and self.cpu_only:
            found = f"has operators that only the CPU has ({name_some(self.cpu_only)})"
        elif self.declared is Target.PORTABLE and self.own:
            found = "has operators of hyperseg's own"
        else:
            return None
        return f"{self.model} says that it was exported for {self.declared.value}, but {found}; {_again(self.declared)}"

    @property
    def cuda_refusal(self) -> str | None:
        """Why ONNX Runtime's CUDA provider should not be asked to run the file: one line with the remedy."""
        if not self.cpu_only:
            return None
        remedy = _again(Target.CUDA) if self._twin is None else f"use --model {self._twin}"
        share = f"{len(self.cpu_only)} of its {len(self.nodes)} operators"
        return self.contradiction or (
            f"{self.model} was exported for the CPU: {share} run only there "
            f"({name_some(self.cpu_only)}), with copies from the GPU and back; {remedy}, or use --backend onnxruntime"
        )

    @property
    def cuda_misfit(self) -> str | None:
        """Why `auto` runs the file on the CPU although there is CUDA: one line with the remedy; None if it does not."""
        if self.target is not Target.CPU or not (self.cpu_only or self.quantised):
            return None  # a float16 file for the CPU has only operators that CUDA has too
        remedy = "hyperseg-export --target cuda" if self._twin is None else f"--model {self._twin}"
        return self.contradiction or f"{self.model} was exported for the CPU and runs there; for the GPU: {remedy}"

    @property
    def _twin(self) -> Path | None:
        """The same network in standard operators beside it, as of the shipped model."""
        twin = self.model.with_suffix(".portable.onnx")
        return twin if twin.is_file() else None


def read_target(model: Path) -> GraphTarget:
    """Reads an ONNX file's graph and metadata. Raises ModelError for what is no ONNX file."""
    nodes = read_nodes(model)
    try:
        declared = Metadata.from_properties(read_properties(model), str(model)).target
    except HyperSegError:
        declared = None  # said when it is opened
    return GraphTarget(model, declared, tuple(nodes))


def _again(target: Target) -> str:
    return f"export it again (hyperseg-export --ckpt FILE --target {target.value})"


def name_some(operators: Iterable[str]) -> str:
    """The first few distinct names: "MBConv, DPWMetaBlock, ..."."""
    names = list(dict.fromkeys(operators))
    return ", ".join(names[:_NAMED] + ["..."] * (len(names) > _NAMED))
