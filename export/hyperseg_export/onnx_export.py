"""`export_onnx`: exports a network or checkpoint to a verified ONNX file with metadata."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata as distributions
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from hyperseg_runtime.metadata import KEY, MAX_CLASSES, InputSpec, Metadata
from hyperseg_runtime.output_files import check_target, replacing

import hyperseg
from hyperseg.presets import preset, presets
from hyperseg_export.device_verification import verify_on_device
from hyperseg_export.errors import ExportError
from hyperseg_export.operators import DOMAIN
from hyperseg_export.operators.schemas import register
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_export.passes.surgery import to_graphsurgeon, to_onnx
from hyperseg_export.passes.targets import file_passes, file_surgery, run_passes
from hyperseg_export.progress import Progress, Stages
from hyperseg_export.quantisation import calibration_images, quantise
from hyperseg_export.report import ExportReport
from hyperseg_export.tracing import trace
from hyperseg_export.verification import verify

_TOOLS = ("hyperseg", "torch", "onnx", "onnxscript")


def export_onnx(
    network: Any,
    output: Path | str,
    options: ExportOptions | None = None,
    progress: Progress | None = None,
    *,
    state: str | None = None,
    note: Callable[[str], None] | None = None,
) -> ExportReport:
    """Writes a network as ONNX and, by default, verifies the file against it.

    Args:
        network: a module of `hyperseg`, or the path of a checkpoint.
        output: the file to write; it is there in the end, whole, or not at all.
        options: see ExportOptions.
        progress: called with each step.
        state: of a checkpoint with several state dicts, the one to export; see `hyperseg.load`.
        note: receives a sentence where the checkpoint left a choice, or the comparison is not the usual one; by default
            the former is a warning.

    Raises:
        OptionError: a value that this network does not take, e.g. a resolution.
        ExportError: an unreadable checkpoint, a network that cannot be exported, or no images to calibrate on.
        DisagreementError: the file does not compute what the network computes.
        OutputError: `output` cannot be written.
    """
    started = time.perf_counter()
    options, target = options or ExportOptions(), Path(output)
    check_target(target, options.force, [Path(network)] if isinstance(network, (str, Path)) else [])
    images = [] if options.calibration is None else calibration_images(options.calibration)
    digest = None
    from_file = isinstance(network, (str, Path))
    stages = Stages(3 + from_file + bool(images) + options.verify, progress)
    if from_file:
        stages.begin(f"reading {Path(network).name}")
        network, digest = _load(Path(network), state, note)
    network = network.eval()
    if network.config.num_classes > MAX_CLASSES:
        raise ExportError(
            f"the network has {network.config.num_classes} classes; a label is one byte, so an exported network has at "
            f"most {MAX_CLASSES}: train one with fewer"
        )
    resolution = options.resolution or Resolution(*network.config.resolution)
    resolution.check(network.config.unit)
    stages.begin(f"tracing the network at {resolution}")
    graph = trace(hyperseg.fold(copy.deepcopy(network)), options, resolution)
    stages.begin("rewriting the graph")
    run_passes(graph, file_passes(options.target, options.precision), partial(stages.part, "pass"))
    described = describe(network.config, options, resolution, digest)
    model = _finished(graph, options, described)
    _check(model)
    if images:
        stages.begin(f"calibrating on {len(images)} images")
        model = quantise(model, network.config, options, resolution, images, stages.images)
    verification, not_run = None, None
    stages.begin(f"writing {target.name}")
    with replacing(target, options.force) as draft:
        onnx.save_model(model, draft)
        if options.verify:
            stages.begin("comparing with PyTorch")
            verification = verify(draft, network, options, resolution, note, stages.images)
            not_run = verify_on_device(draft, model, network.config, options, resolution, note)
            _write_property(model, described.verified(verification).to_json())
            onnx.save_model(model, draft)
        file_bytes = draft.stat().st_size
    return ExportReport(
        path=target,
        file_bytes=file_bytes,
        weight_bytes=sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer),
        nodes=len(model.graph.node),
        own_nodes=sum(node.domain == DOMAIN for node in model.graph.node),
        precision=options.precision,
        target=options.target,
        seconds=time.perf_counter() - started,
        verification=verification,
        not_run=not_run,
    )


def network_name(config: Any) -> str | None:
    """The name of the preset with this configuration, if any."""
    return next((name for name in presets() if preset(name) == config), None)


def describe(config: Any, options: ExportOptions, resolution: Resolution, digest: str | None) -> Metadata:
    """The metadata of the exported file."""
    classes = config.classes
    return Metadata(
        class_names=classes.names,
        palette=classes.palette,
        input=InputSpec(
            height=resolution.height,
            width=resolution.width,
            mean=tuple(config.mean),
            std=tuple(config.std),
            dtype=options.input_type,
            dynamic_batch=options.dynamic,
            dynamic_size=options.dynamic,
            multiple=config.unit,
        ),
        output=options.output,
        precision=options.precision,
        target=options.target,
        preset=network_name(config),
        config=config.to_dict(),
        checkpoint_sha256=digest,
        versions=_versions(),
    )


def _load(path: Path, state: str | None, note: Callable[[str], None] | None) -> tuple[Any, str]:
    try:
        network = hyperseg.load(path, state=state, note=note)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except hyperseg.CheckpointError as error:
        raise ExportError(str(error)) from error
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}") from error
    return network, digest


def _versions() -> dict[str, str]:
    versions = {}
    for tool in _TOOLS:
        try:
            versions[tool] = distributions.version(tool)
        except distributions.PackageNotFoundError:
            versions[tool] = "source"
    return versions


def _finished(graph: ir.Model, options: ExportOptions, described: Metadata) -> onnx.ModelProto:
    """The file's content: the graph after the target's surgery, with its metadata."""
    edits = file_surgery(options.target)
    if edits:
        edited = to_graphsurgeon(graph)
        for edit in edits:
            edit(edited)
        # Surgery drops the types of tensors, which readers of the file expect and the comparison needs.
        model = onnx.shape_inference.infer_shapes(to_onnx(edited, graph.ir_version, {}))
    else:
        model = ir.to_proto(graph)
    model.producer_name = "hyperseg-export"
    model.producer_version = described.versions["hyperseg"]
    onnx.helper.set_model_props(model, {KEY: described.to_json()})
    return model


def _write_property(model: onnx.ModelProto, text: str) -> None:
    for entry in model.metadata_props:
        if entry.key == KEY:
            entry.value = text


def _check(model: onnx.ModelProto) -> None:
    register()
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the graph does not pass onnx.checker: {str(error).splitlines()[0]}") from error
