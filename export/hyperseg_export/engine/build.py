"""Builds an engine and its sidecar from an ONNX file of hyperseg-export."""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import onnx
import onnx_ir as ir
from hyperseg_runtime import host_code, libraries, sidecar, signing
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.metadata import KEY, InputSpec, Metadata, Precision
from hyperseg_runtime.model_kinds import is_engine
from hyperseg_runtime.output_files import reason, replacing
from hyperseg_runtime.planned_outputs import PlannedOutputs
from hyperseg_runtime.sealed_library import SealedLibrary, seal
from hyperseg_runtime.sidecar import EngineFacts, Sidecar

from hyperseg_export.engine.graph_tensors import inputs
from hyperseg_export.engine.model_file import ModelFile, read_model
from hyperseg_export.engine.options import TURING, BuildTarget, EngineOptions, choose_target
from hyperseg_export.engine.process import BuildListener, BuildRequest, NullListener, run_build
from hyperseg_export.engine.report import Audit, EngineReport, audit, layers_from_builder, layers_from_inspector
from hyperseg_export.engine.verify_engine import EngineVerification, verify_engine
from hyperseg_export.errors import EngineError
from hyperseg_export.operators import DOMAIN
from hyperseg_export.passes.float16 import Conversion, to_float16
from hyperseg_export.passes.low_logits import give_low_logits
from hyperseg_export.passes.surgery import to_graphsurgeon, to_onnx
from hyperseg_export.passes.targets import PassProgress, engine_target, run_passes
from hyperseg_export.progress import Stages


def default_output(model: Path, half: bool) -> Path:
    """The default engine file of `m.onnx`: `m.fp16.engine` or `m.engine` in the same folder."""
    return model.with_name(f"{model.stem}{'.fp16' if half else ''}.engine")


def plan_outputs(model: Path, engine: Path, options: EngineOptions) -> PlannedOutputs:
    """The files of a build of `engine` from `model`. Raises OutputError where one cannot be written."""
    outputs = PlannedOutputs(options.force)
    outputs.keep(model, "the model itself")
    outputs.add(engine, "the engine")
    outputs.add(sidecar.path_of(engine), "the engine's description")
    return outputs


def build_engine(
    model: str | Path,
    output: str | Path | None = None,
    options: EngineOptions | None = None,
    listener: BuildListener | None = None,
) -> EngineReport:
    """Builds `output` and its sidecar `output`.json, signed with this machine's key, from an ONNX file that
    hyperseg-export wrote. The first build makes the key (`signing`).

    Args:
        model: the ONNX file.
        output: the engine; None: next to the model, see `default_output`.
        options: see EngineOptions.
        listener: receives progress and TensorRT's messages.

    Raises:
        HyperSegError: of one line with its remedy; no engine was written then.
    """
    options, listener = options or EngineOptions(), listener or NullListener()
    stages = Stages(3 if options.verify else 2, listener.step)
    stages.begin(f"preparing {Path(model).name}")
    source = read_model(Path(model))
    target = Path(output) if output is not None else default_output(source.path, options.half)
    outputs = plan_outputs(source.path, target, options)
    if not is_engine(target):
        raise OutputError(
            f"{target} is no name of an engine, so no command would open it; name it {target.name}.engine"
        )
    if options.timing_cache is not None:
        outputs.add(options.timing_cache, "the timing cache", lambda _: True)
    started = time.monotonic()
    chosen = choose_target(options)
    turing = TURING in chosen.compute_capabilities
    prepared = prepare(source, options, chosen.tensorrt.flavour, turing, partial(stages.part, "pass"))
    key = _key(listener)
    with (
        # Renamed in reverse: a plan whose sidecar is missing or of another plan is refused, never run.
        replacing(sidecar.path_of(target), options.force) as description,
        replacing(target, options.force) as draft,
    ):
        stages.begin(f"building with {chosen.tensorrt.flavour.label}")
        built = build_plan(prepared.proto, source.metadata.input, options, chosen, listener)
        if options.verify:
            stages.begin("comparing with ONNX Runtime")
        library = None if built.plugins is None else built.plugins.path
        verified = verify_engine(
            source.proto,
            source.metadata,
            target,
            built.plan,
            library,
            chosen,
            options,
            prepared.low_logits,
            stages.images,
        )
        counted, auditor = _audit(built.layers, verified, options)
        facts = _facts(source, prepared, built, chosen, counted, verified.execution is not None)
        text = Sidecar(_described(source.metadata, options), facts).to_signed_json()
        draft.write_bytes(built.plan)
        description.write_text(text, encoding="utf-8")
    return EngineReport(
        engine=target,
        sidecar=sidecar.path_of(target),
        facts=facts,
        audit=counted,
        audited_by=auditor,
        seconds=time.monotonic() - started,
        bytes=facts.plan_bytes,
        conversion=prepared.conversion,
        execution=verified.execution,
        not_executed=verified.not_executed,
        key=key,
    )


def _key(listener: BuildListener) -> signing.MachineKey:
    """This machine's key: before TensorRT begins, which may take long, but not for a model that cannot be built."""
    key = signing.machine_key()
    if key.created:
        listener.note(f"made this machine's key {key.path}, which signs its engines ({key.public.fingerprint})")
    return key


@dataclass(frozen=True)
class PreparedModel:
    """The graph that TensorRT parses; the file's own graph is not changed."""

    proto: onnx.ModelProto
    conversion: Conversion | None
    """The outcome of --fp16; None without it."""
    low_logits: bool
    """Whether LOW_LOGITS is among its outputs."""


def prepare(
    source: ModelFile,
    options: EngineOptions,
    flavour: Flavour = Flavour.TENSORRT,
    turing: bool = False,
    progress: PassProgress | None = None,
) -> PreparedModel:
    """Runs the passes and the surgery of the target (`passes.targets`) on the file's graph. Raises EngineError.

    Args:
        source: not changed.
        options: of these `half` and `keep_float32` say how the graph is edited.
        flavour: the TensorRT that parses the graph.
        turing: whether the engine is for GPUs of the Turing generation too.
        progress: receives each pass.
    """
    target = engine_target(flavour, options.precision(source.metadata) is Precision.FLOAT16, turing)
    if options.has_profile and not (source.metadata.input.dynamic_batch or source.metadata.input.dynamic_size):
        raise EngineError(
            f"{source.path} is fixed to {source.metadata.input.height}x{source.metadata.input.width}, so it has no "
            "profile; leave --min, --opt, --max and --batch out, or export it with --dynamic"
        )
    if options.half and source.metadata.precision is Precision.FLOAT16:
        raise EngineError(f"{source.path} computes in float16 already; build it without --fp16")
    copied = onnx.ModelProto()
    copied.CopyFrom(source.proto)
    model = ir.from_proto(copied)
    try:
        run_passes(model, target.passes, progress)
    except ValueError as error:
        raise EngineError(f"{error}; update hyperseg, or export the model again") from error
    graph = to_graphsurgeon(model)
    for edit in target.surgery:
        edit(graph)
    conversion = to_float16(graph, options.keep_float32) if options.half else None
    for edit in target.layout:
        edit(graph)
    low_logits = options.low_logits and give_low_logits(graph)
    properties = {entry.key: entry.value for entry in source.proto.metadata_props}
    if options.half:
        metadata: Metadata = replace(source.metadata, precision=Precision.FLOAT16)
        properties[KEY] = metadata.to_json()
    return PreparedModel(to_onnx(graph, source.proto.ir_version, properties), conversion, low_logits)


@dataclass(frozen=True)
class BuiltPlan:
    """What TensorRT built, in memory: what is signed is what was built, whoever can write to the engine's folder."""

    plan: bytes
    layers: str
    """The builder's list of layers."""
    plugins: SealedLibrary | None
    """The plugin library that it was built with; None for a graph without our operators."""


def build_plan(
    model: onnx.ModelProto, spec: InputSpec, options: EngineOptions, target: BuildTarget, listener: BuildListener
) -> BuiltPlan:
    """Builds a plan from a prepared graph, in a process of its own. Raises HyperSegError."""
    ours = any(node.domain == DOMAIN for node in model.graph.node)
    plugins = seal(libraries.require(libraries.Library.TENSORRT)) if ours else None
    try:
        with tempfile.TemporaryDirectory(prefix="hyperseg-model-") as folder:
            prepared, plan = Path(folder) / "model.onnx", Path(folder) / "model.plan"
            prepared.write_bytes(model.SerializeToString())
            request = BuildRequest(
                model=str(prepared),
                plan=str(plan),
                flavour=target.tensorrt.flavour,
                plugin_library=None if plugins is None else str(plugins.source),
                plugin_sha256=None if plugins is None else plugins.sha256,
                compute_capabilities=target.compute_capabilities if target.ahead_of_time else (),
                profile=_profile(model, spec, options),
                timing_cache=None if options.timing_cache is None else str(options.timing_cache.absolute()),
                workspace=options.workspace,
                optimization_level=options.optimization_level,
                tf32=options.tf32,
            )
            layers = run_build(request, listener)
            built = BuiltPlan(plan.read_bytes(), layers, plugins)
    except OSError as error:
        raise OutputError(f"the model could not be passed to TensorRT: {reason(error)}") from error
    _refuse_host_code(built.plan, options, target)
    return built


def _profile(model: onnx.ModelProto, spec: InputSpec, options: EngineOptions) -> dict[str, tuple[tuple[int, ...], ...]]:
    dynamic = [tensor for tensor in inputs(model) if None in tensor.shape]
    return {tensor.name: options.profile(spec).shapes(tensor.shape, spec) for tensor in dynamic}


def _audit(layers: str, verified: EngineVerification, options: EngineOptions) -> tuple[Audit, str]:
    if verified.layers is not None:
        counted, auditor = audit(layers_from_inspector(verified.layers)), "the engine inspector"
    else:
        counted, auditor = audit(layers_from_builder(layers)), "the builder's own list of layers"
    if options.half and counted.half_layers == 0:
        raise EngineError(
            f"none of the engine's {counted.layers} layers computes in half precision although --fp16 asked for it; "
            "the engine was not kept. Please report this with the output of --verbose"
        )
    return counted, auditor


def _refuse_host_code(plan: bytes, options: EngineOptions, target: BuildTarget) -> None:
    """Raises EngineError for a plan that could not be loaded afterwards, since nothing here asks for code in it."""
    found = None if options.allow_host_code else host_code.find(plan)
    if found is not None:
        raise EngineError(
            f"{target.tensorrt.name} put code for the host into the engine ({found}), which nothing asked for, so it "
            "was not kept. Please report this; --allow-host-code keeps it, and is then needed to run it"
        )


def _described(metadata: Metadata, options: EngineOptions) -> Metadata:
    """The engine's. A dynamic one is run at the size that it was optimised for, where no other is asked for: the
    model's own may be outside its profile."""
    spec = metadata.input
    if spec.dynamic_size:
        best = options.profile(spec).best
        spec = replace(spec, height=best.height, width=best.width)
    return replace(metadata, precision=options.precision(metadata), input=spec)


def _facts(
    source: ModelFile,
    prepared: PreparedModel,
    built: BuiltPlan,
    target: BuildTarget,
    counted: Audit,
    executed: bool,
) -> EngineFacts:
    return EngineFacts(
        flavour=target.tensorrt.flavour,
        version=target.tensorrt.version,
        compute_capabilities=target.compute_capabilities,
        gpu=None if target.ahead_of_time or target.gpu is None else target.gpu.name,
        layers=counted.layers,
        half_layers=counted.half_layers,
        plugin_layers=counted.plugin_layers,
        plan_sha256=hashlib.sha256(built.plan).hexdigest(),
        plan_bytes=len(built.plan),
        onnx_sha256=source.sha256,
        executed=executed,
        plugin_sha256=None if built.plugins is None else built.plugins.sha256,
        onnx_name=source.path.name,
        low_logits=prepared.low_logits,
    )
