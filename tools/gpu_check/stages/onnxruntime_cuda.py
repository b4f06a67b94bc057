"""Exported files in ONNX Runtime's CUDA provider, our operators from libhyperseg_ort.so, against its CPU provider."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
from hyperseg_runtime.graph_target import CUDA_OPERATORS

from gpu_check.processes import run_limited
from gpu_check.stage import ROOT, Context, Reporter, SkipStageError
from gpu_check.torch_device import PRESETS, network

_TABLE = "labels against the CPU provider's"
_SECONDS_EACH = 12.0


def run(context: Context, reporter: Reporter) -> None:
    try:
        import onnxruntime
    except ImportError:
        raise SkipStageError("onnxruntime is not installed; onnxruntime-gpu is needed") from None
    providers = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in providers and not context.host:
        raise SkipStageError(f"onnxruntime {onnxruntime.__version__} has no CUDA provider; onnxruntime-gpu is needed")
    provider = "CPUExecutionProvider" if context.host else "CUDAExecutionProvider"
    library = _library(context)
    for preset in PRESETS[:1] if context.host else PRESETS:
        if context.seconds_left < _SECONDS_EACH:
            reporter.row(_TABLE, preset=preset, provider="no time was left")
            continue
        _one_preset(preset, provider, library, context, reporter)


def _library(context: Context) -> Path:
    """The existing library, or one that CMake builds now for this machine's GPU."""
    from hyperseg_runtime import libraries

    found = libraries.find(libraries.Library.ONNXRUNTIME)
    if found is not None:
        return found
    if context.host:
        raise SkipStageError("libhyperseg_ort.so is not built; scripts/setup.sh builds it")
    if shutil.which("cmake") is None:
        raise SkipStageError("libhyperseg_ort.so is not built, and cmake was not found; pip install . builds it too")
    build = Path(context.work) / "native"
    configure = [
        "cmake", "-S", str(ROOT), "-B", str(build), "-DCMAKE_CUDA_ARCHITECTURES=native", "-DHYPERSEG_DOWNLOAD=OFF",
    ]  # fmt: skip
    _, said = run_limited(configure, context.seconds_left)
    for part in ("Highway", "ONNX Runtime headers"):
        if f"yes {part}" not in said:
            raise SkipStageError(
                f"libhyperseg_ort.so is not built, and {part} was not found: run scripts/fetch_headers.sh where there "
                "is a network, and carry build/headers along"
            )
    command = ["cmake", "--build", str(build), "--target", "hyperseg_ort", "-j", str(os.cpu_count())]
    code, said = run_limited(command, context.seconds_left)
    if code != 0:
        errors = [line.strip() for line in said.splitlines() if "rror" in line] or ["the time was over"]
        raise SkipStageError(f"libhyperseg_ort.so could not be built: {errors[0][:200]}")
    return next(build.rglob("libhyperseg_ort.so"))


def _one_preset(preset: str, provider: str, library: Path, context: Context, reporter: Reporter) -> None:
    import onnx
    import onnxruntime
    from hyperseg_export import ExportOptions, export_onnx
    from hyperseg_export.options import Resolution
    from hyperseg_export.reference import LabelCheck
    from hyperseg_export.samples import sample_images
    from hyperseg_runtime.metadata import Precision, Target

    model = network(preset, context)
    height, width = (2 * model.config.unit, 2 * model.config.unit) if context.host else model.config.resolution
    path = Path(context.work) / f"{preset}.onnx"
    resolution = Resolution(height, width)
    export_onnx(model, path, ExportOptions(verify=False, target=Target.CUDA, resolution=resolution))
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(library))
    options.log_severity_level = 3
    options.enable_profiling = True
    options.profile_file_prefix = str(Path(context.work) / "profile")
    session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    if provider not in session.get_providers():
        raise SkipStageError(f"{provider} does not start: see gpu-check.log, and ONNX Runtime's table of CUDA versions")
    images = np.ascontiguousarray(sample_images(height, width, seed=3)[0][None])
    (labels,) = session.run(None, {"image": images})
    elsewhere = nodes_elsewhere(Path(session.end_profiling()).read_text(), provider)
    # TF32 is the CUDA provider's default, whose factors have float16's 11 bits.
    precision = Precision.FLOAT32 if context.host else Precision.FLOAT16
    comparison = LabelCheck(onnx.load(str(path)), precision).compare(images, labels)
    reporter.row(
        _TABLE,
        preset=preset,
        provider=provider,
        result=str(comparison),
        **{"our nodes elsewhere": ", ".join(elsewhere)},
        ok=comparison.explained and not elsewhere,
    )


def nodes_elsewhere(profile: str, provider: str) -> list[str]:
    """Our operators that ONNX Runtime ran on another provider, by its profile: it places a node without a CUDA kernel
    on the CPU, and says so in its log only."""
    nodes = [event["args"] for event in json.loads(profile) if event.get("cat") == "Node"]
    ran = {(node.get("op_name", ""), node.get("provider", "")) for node in nodes}
    ours = {(operator, where) for operator, where in ran if operator in CUDA_OPERATORS}
    if not ours:
        return ["none of ours ran"]
    return sorted(f"{operator} on {where or 'an unnamed provider'}" for operator, where in ours if where != provider)
