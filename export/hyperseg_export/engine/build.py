"""From an ONNX file of ours to an engine and its sidecar, or to nothing at all."""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from hyperseg_runtime import libraries, sidecar
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.metadata import KEY, Metadata, Precision
from hyperseg_runtime.output_files import check_target, reason, replacing
from hyperseg_runtime.sidecar import EngineFacts, Sidecar

from hyperseg_export.engine import model_file, targets
from hyperseg_export.engine.audit import Audit, audit, layers_from_builder, layers_from_inspector
from hyperseg_export.engine.errors import EngineError
from hyperseg_export.engine.float16 import Conversion, to_float16
from hyperseg_export.engine.listener import BuildListener, NullListener
from hyperseg_export.engine.lowering import lower
from hyperseg_export.engine.model_file import ModelFile
from hyperseg_export.engine.options import EngineOptions
from hyperseg_export.engine.placement import place_inputs
from hyperseg_export.engine.process import BuildOutcome, run_build
from hyperseg_export.engine.report import EngineReport
from hyperseg_export.engine.request import BuildRequest
from hyperseg_export.engine.targets import Target
from hyperseg_export.engine.trial import Trial, try_engine
from hyperseg_export.engine.turing import TURING, avoid_products
from hyperseg_export.operators import DOMAIN


def default_output(model: Path, half: bool) -> Path:
    """`m.onnx` becomes `m.fp16.engine` or `m.engine`, beside it."""
    return model.with_name(f"{model.stem}{'.fp16' if half else ''}.engine")


def build_engine(
    model: str | Path,
    output: str | Path | None = None,
    options: EngineOptions | None = None,
    listener: BuildListener | None = None,
) -> EngineReport:
    """Builds `output` and its sidecar `output`.json from an ONNX file that hyperseg-export wrote.

    Args:
        model: the ONNX file.
        output: the engine; None puts it beside the model, see `default_output`.
        options: see EngineOptions.
        listener: hears of progress and of TensorRT's messages.

    Raises:
        HyperSegError: of one line with its remedy; nothing was written then.
    """
    options = options or EngineOptions()
    source = model_file.read(Path(model))
    target = Path(output) if output is not None else default_output(source.path, options.half)
    for path in (target, sidecar.path_of(target)):
        check_target(path, options.force)
    if options.timing_cache is not None:
        check_target(options.timing_cache, force=True)
    started = time.monotonic()
    chosen = targets.choose(options)
    conversion = prepare(source, options)
    if chosen.tensorrt.flavour is Flavour.RTX:
        for_turing = TURING in chosen.compute_capabilities
        place_inputs(source.proto, columns=8 if options.half and for_turing else 2)
        if not options.half and for_turing:
            avoid_products(source.proto)
    with (
        replacing(target, options.force) as plan,
        replacing(sidecar.path_of(target), options.force) as description,
    ):
        outcome = _build(source, plan, options, chosen, listener or NullListener())
        trial = try_engine(source, plan, chosen, options)
        counted, auditor = _audit(outcome, trial, options)
        facts = _facts(source, plan, chosen, counted, trial.execution is not None)
        precision = Precision.FLOAT16 if options.half else source.metadata.precision
        text = Sidecar(replace(source.metadata, precision=precision), facts).to_json()
        description.write_text(text, encoding="utf-8")
        size = plan.stat().st_size
    return EngineReport(
        engine=target,
        sidecar=sidecar.path_of(target),
        facts=facts,
        audit=counted,
        audited_by=auditor,
        seconds=time.monotonic() - started,
        bytes=size,
        conversion=conversion,
        execution=trial.execution,
        not_executed=trial.not_executed,
    )


def prepare(source: ModelFile, options: EngineOptions) -> Conversion | None:
    """Turns the graph into what TensorRT is to build."""
    if options.has_profile and not (source.metadata.input.dynamic_batch or source.metadata.input.dynamic_size):
        raise EngineError(
            f"{source.path} is fixed to {source.metadata.input.height}x{source.metadata.input.width}, so it has no "
            "profile; leave --min, --opt, --max and --batch out, or export it with --dynamic"
        )
    if options.half and source.metadata.precision is Precision.FLOAT16:
        raise EngineError(f"{source.path} computes in float16 already; build it without --fp16")
    lower(source.proto)
    if not options.half:
        return None
    conversion = to_float16(source.proto, options.keep_float32)
    metadata: Metadata = replace(source.metadata, precision=Precision.FLOAT16)
    for entry in source.proto.metadata_props:
        if entry.key == KEY:
            entry.value = metadata.to_json()
    return conversion


def _build(
    source: ModelFile,
    plan: Path,
    options: EngineOptions,
    target: Target,
    listener: BuildListener,
) -> BuildOutcome:
    ours = any(node.domain == DOMAIN for node in source.proto.graph.node)
    library = str(libraries.require(libraries.Library.TENSORRT)) if ours else None
    try:
        with tempfile.TemporaryDirectory(prefix="hyperseg-model-") as folder:
            prepared = Path(folder) / "model.onnx"
            prepared.write_bytes(source.proto.SerializeToString())
            request = BuildRequest(
                model=str(prepared),
                plan=str(plan.absolute()),
                flavour=target.tensorrt.flavour,
                plugin_library=library,
                compute_capabilities=target.compute_capabilities if target.ahead_of_time else (),
                profile=_profile(source, options),
                timing_cache=None if options.timing_cache is None else str(options.timing_cache.absolute()),
                workspace=options.workspace,
                optimization_level=options.optimization_level,
            )
            return run_build(request, listener)
    except OSError as error:
        raise OutputError(f"the model could not be handed to TensorRT: {reason(error)}") from error


def _profile(source: ModelFile, options: EngineOptions) -> dict[str, tuple[tuple[int, ...], ...]]:
    constants = {tensor.name for tensor in source.proto.graph.initializer}
    result = {}
    for value in source.proto.graph.input:
        dimensions = tuple(dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim)
        if value.name not in constants and -1 in dimensions:
            spec = source.metadata.input
            result[value.name] = options.profile(spec).shapes(dimensions, spec)
    return result


def _audit(outcome: BuildOutcome, trial: Trial, options: EngineOptions) -> tuple[Audit, str]:
    if trial.layers is not None:
        counted, auditor = audit(layers_from_inspector(trial.layers)), "the engine inspector"
    else:
        counted, auditor = audit(layers_from_builder(outcome.layers)), "the builder's own list of layers"
    if options.half and counted.half_layers == 0:
        raise EngineError(
            f"none of the engine's {counted.layers} layers computes in half precision although --fp16 asked for it; "
            "the engine was not kept. Please report this with the output of --verbose"
        )
    return counted, auditor


def _facts(source: ModelFile, plan: Path, target: Target, counted: Audit, executed: bool) -> EngineFacts:
    return EngineFacts(
        flavour=target.tensorrt.flavour,
        version=target.tensorrt.version,
        compute_capabilities=target.compute_capabilities,
        gpu=None if target.ahead_of_time or target.gpu is None else target.gpu.name,
        layers=counted.layers,
        half_layers=counted.half_layers,
        plugin_layers=counted.plugin_layers,
        plan_sha256=hashlib.sha256(plan.read_bytes()).hexdigest(),
        onnx_sha256=source.sha256,
        executed=executed,
    )
