"""A model for NVIDIA's DeepStream: a plan and the configuration of the element Gst-nvinfer.

    FOLDER/NAME/config_infer.txt, labels.txt, model.plan

The keys are those of the documentation of Gst-nvinfer (DeepStream 9.2, "Gst-nvinfer File Configuration
Specifications"). The plan is built for nvinfer, see `nvinfer_graph`. It has no sidecar: our runtime does not load it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hyperseg_runtime import libraries
from hyperseg_runtime.libraries import HostLibrary
from hyperseg_runtime.metadata import Precision

from hyperseg_export.engine.build import build_plan, prepare
from hyperseg_export.engine.graph_tensors import inputs
from hyperseg_export.engine.model_file import ModelFile
from hyperseg_export.engine.options import BuildTarget, EngineOptions
from hyperseg_export.engine.process import BuildListener
from hyperseg_export.hosts.folder import LABELS, Files, labels_text, model_name, refuse_rtx
from hyperseg_export.hosts.nvinfer_graph import for_nvinfer, preprocessing
from hyperseg_export.options import Resolution
from hyperseg_export.progress import Stages

PARSER = "NvDsInferParseHyperSeg"
"""Of libhyperseg_nvinfer.so (trt_plugins/hosts): copies the labels into nvinfer's map of classes."""


@dataclass(frozen=True)
class DeepStreamModel:
    """A model for nvinfer.

    Attributes:
        folder: gets a folder with the model's name.
        name: the model's.
        source: the ONNX file with nvinfer's input and output.
        batch: frames at once, at most.
        library: libhyperseg_nvinfer.so.
    """

    folder: Path
    name: str
    source: ModelFile
    batch: int
    library: Path
    target: BuildTarget
    options: EngineOptions

    @property
    def files(self) -> Files:
        folder = self.folder / self.name
        return Files("DeepStream", folder, folder / "config_infer.txt", folder / LABELS, folder / "model.plan")

    def write(self, listener: BuildListener) -> Files:
        """Builds the plan and writes the model. Raises HyperSegError of one line."""
        stages = Stages(1, listener.step)
        stages.begin(f"building with {self.target.tensorrt.flavour.label}, for DeepStream")
        prepared = prepare(self.source, self.options, self.target.tensorrt.flavour)
        with self.files.drafts(self.options.force) as files:
            files.config.write_text(config_text(self), encoding="utf-8")
            files.labels.write_text(labels_text(self.source.metadata.class_names), encoding="utf-8")
            built = build_plan(prepared.proto, self.source.metadata.input, self.options, self.target, listener)
            files.plan.write_bytes(built.plan)
        return self.files


def plan_model(
    folder: Path, engine: Path, source: ModelFile, target: BuildTarget, options: EngineOptions
) -> DeepStreamModel:
    """The model that `write` will build. Creates nothing.

    Raises:
        EngineError: TensorRT for RTX, which DeepStream does not have; a model that nvinfer cannot run.
        LibraryMissingError: libhyperseg_nvinfer.so was not built.
        OutputError: the model's name is not valid.
    """
    refuse_rtx("DeepStream", target)
    spec = source.metadata.input
    size = options.profile(spec).best if spec.dynamic_size else Resolution(spec.height, spec.width)
    edited = for_nvinfer(source, size)
    preprocessing(edited.metadata.input, str(source.path))
    batch = inputs(edited.proto)[0].shape[0]
    return DeepStreamModel(
        folder=folder,
        name=model_name(engine),
        source=edited,
        batch=options.profile(edited.metadata.input).batch if batch is None else batch,
        library=libraries.require(HostLibrary.NVINFER),
        target=target,
        options=replace(options, low_logits=False),
    )


def config_text(model: DeepStreamModel) -> str:
    """The text of config_infer.txt. Paths of the other files are relative to it."""
    metadata = model.source.metadata
    spec = metadata.input
    computed = preprocessing(spec)
    half = model.options.precision(metadata) is Precision.FLOAT16
    return f"""\
# Gst-nvinfer's configuration. The plan was built by {model.target.tensorrt.name} for compute capability
# {", ".join(model.target.compute_capabilities)}: DeepStream must have this TensorRT, and run on this GPU.
[property]
gpu-id=0
gie-unique-id=1
# 1: whole frames
process-mode=1
# 2: semantic segmentation
network-type=2
num-detected-classes={metadata.num_classes}
labelfile-path={LABELS}
model-engine-file=model.plan
batch-size={model.batch}
# 0: float32, 2: float16; of the plan, which nvinfer does not build itself
network-mode={2 if half else 0}
infer-dims=3;{spec.height};{spec.width}
# 0: NCHW
network-input-order=0
# 0: RGB
model-color-format=0
# The graph normalises: nvinfer computes net-scale-factor * (x - offset), with one scale for all channels.
net-scale-factor={computed.scale!r}
offsets={";".join(map(repr, computed.offsets))}
# The whole frame is resized to the input, as by hyperseg-run; 1: bilinear
maintain-aspect-ratio=0
scaling-filter=1
output-blob-names=labels
# 1: NHWC, of the labels
segmentation-output-order=1
# Opening the library registers our plugins; the parser copies the labels.
custom-lib-path={model.library}
parse-segmentation-func-name={PARSER}
segmentation-threshold=0.0
"""
