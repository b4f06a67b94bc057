"""A model repository of NVIDIA's Triton Inference Server.

    REPOSITORY/NAME/config.pbtxt, labels.txt, 1/model.plan

The layout and the fields are those of Triton's documentation (server/docs/user_guide/model_repository.md and
model_configuration.md, release 2.73): text format of inference.ModelConfig, dimensions without the batch where
`max_batch_size` is over 0, and all of them where it is 0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hyperseg_runtime import libraries, sidecar
from hyperseg_runtime.libraries import HostLibrary
from hyperseg_runtime.metadata import KEY
from hyperseg_runtime.sidecar import Sidecar

from hyperseg_export.engine.graph_tensors import GraphShape, GraphTensor, inputs, outputs
from hyperseg_export.engine.model_file import ModelFile
from hyperseg_export.engine.options import BuildTarget, EngineOptions
from hyperseg_export.engine.report import EngineReport
from hyperseg_export.errors import EngineError
from hyperseg_export.hosts.folder import LABELS, Files, labels_text, model_name, refuse_rtx

_TYPES = {"UINT8": "TYPE_UINT8", "FLOAT": "TYPE_FP32"}


@dataclass(frozen=True)
class TritonModel:
    """A model of a repository.

    Attributes:
        repository: the folder that `tritonserver --model-repository` takes.
        name: the model's.
        inputs, outputs: the engine's.
        max_batch: the largest batch that the server may form; 0 where the engine's batch is fixed.
        warm_up: shape of the first input, for the requests that the server sends itself when it loads the model.
        force: whether existing files are replaced.
    """

    repository: Path
    name: str
    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    max_batch: int
    warm_up: GraphShape
    force: bool

    @property
    def files(self) -> Files:
        folder = self.repository / self.name
        return Files("Triton", folder, folder / "config.pbtxt", folder / LABELS, folder / "1" / "model.plan")

    def write(self, report: EngineReport) -> Files:
        """Writes the model with a copy of the built engine. Raises OutputError, or ModelError if the engine changed."""
        described, plan = sidecar.read_plan(report.engine)
        with self.files.drafts(self.force) as files:
            files.config.write_text(config_text(self, described), encoding="utf-8")
            files.labels.write_text(labels_text(described.metadata.class_names), encoding="utf-8")
            files.plan.write_bytes(plan)
        return self.files


def plan_model(
    repository: Path, engine: Path, source: ModelFile, target: BuildTarget, options: EngineOptions
) -> TritonModel:
    """The model that a build of `engine` from `source` will write. Creates nothing.

    Raises:
        EngineError: the engine is for TensorRT for RTX, which Triton does not have, or its profile is invalid.
        OutputError: the model's name is not valid.
    """
    refuse_rtx("Triton", target)
    found = inputs(source.proto)
    spec = source.metadata.input
    shape = found[0].shape
    return TritonModel(
        repository=repository,
        name=model_name(engine),
        inputs=found,
        outputs=outputs(source.proto),
        max_batch=options.profile(spec).batch if shape[0] is None else 0,
        warm_up=options.profile(spec).shapes(shape, spec)[1] if None in shape else shape,
        force=options.force,
    )


def config_text(model: TritonModel, described: Sidecar) -> str:
    """The text of config.pbtxt."""
    facts = described.engine
    library, registration = libraries.find(HostLibrary.REGISTRATION), HostLibrary.REGISTRATION.value
    batching = "dynamic_batching { }\n" if model.max_batch > 1 else ""
    return f"""\
# {facts.plan_sha256}: SHA-256 of 1/model.plan. Load plans only that you built: a plan runs code.
# Built by {facts.flavour.label} {facts.version} for compute capability {", ".join(facts.compute_capabilities)}: the
# server must have this TensorRT and this GPU. Its release notes name its TensorRT.
#
# The plugins of libhyperseg_trt.so are registered by {registration}, which is beside it
# ({library.parent if library else "not built here"}):
#
#   tritonserver --model-repository=REPOSITORY --backend-config=tensorrt,plugins=FOLDER/{registration}
name: "{model.name}"
backend: "tensorrt"
platform: "tensorrt_plan"
max_batch_size: {model.max_batch}
{_declared("input", model.inputs, model.max_batch)}{_declared("output", model.outputs, model.max_batch)}\
{batching}\
instance_group [ {{ count: 1 kind: KIND_GPU }} ]
version_policy {{ specific {{ versions: [ 1 ] }} }}
{_warm_up(model)}\
# Classes and palette, as in the ONNX file and in the engine's sidecar.
parameters {{ key: "{KEY}" value {{ string_value: {_quoted(described.metadata.to_json())} }} }}
"""


def _declared(kind: str, tensors: tuple[GraphTensor, ...], max_batch: int) -> str:
    entries = (
        f'{kind} {{ name: "{tensor.name}" data_type: {_type(tensor)} dims: {_dims(tensor.shape, max_batch)} }}\n'
        for tensor in tensors
    )
    return "".join(entries)


def _warm_up(model: TritonModel) -> str:
    first = model.inputs[0]
    return f"""\
model_warmup {{
  name: "zeros"
  batch_size: 1
  inputs {{
    key: "{first.name}"
    value {{ data_type: {_type(first)} dims: {_dims(model.warm_up, model.max_batch)} zero_data: true }}
  }}
}}
"""


def _type(tensor: GraphTensor) -> str:
    name = _TYPES.get(tensor.element)
    if name is None:
        raise EngineError(f"--triton: {tensor.name} has elements of type {tensor.element}; export the model again")
    return name


def _dims(shape: GraphShape, max_batch: int) -> str:
    """Triton's -1 is a dynamic extent."""
    extents = (-1 if extent is None else extent for extent in (shape[1:] if max_batch else shape))
    return f"[ {', '.join(map(str, extents))} ]"


def _quoted(text: str) -> str:
    """A string of protobuf's text format: the escapes of JSON's strings are among its own."""
    return json.dumps(text, ensure_ascii=False)
