"""Whole networks in PyTorch on our kernels: logits against those of the CPU, eager and from a CUDA graph."""

from __future__ import annotations

from typing import Any

import torch
from hyperseg_export.rounding import FACTOR, Bound, disturbed
from hyperseg_export.samples import sample_images
from hyperseg_runtime.metadata import Precision

from gpu_check.stage import Context, Reporter
from gpu_check.torch_device import PRESETS, TorchDevice, counted_launches, network

_TABLE = "logits against the CPU's float32"
_SECONDS_EACH = 6.0


def run(context: Context, reporter: Reporter) -> None:
    device = TorchDevice(context)
    reporter.note(
        f"PyTorch {torch.__version__}. The bound of an error is {FACTOR:g} times what rounding to the precision does "
        "to the network's logits on the CPU (docs/numerics.md); with TF32 factors have as many bits as float16's."
    )
    for preset in PRESETS[::4] if context.host else PRESETS:
        if context.seconds_left < _SECONDS_EACH:
            reporter.row(_TABLE, preset=preset, precision="no time was left")
            continue
        _one_preset(preset, device, context, reporter)


def _one_preset(preset: str, device: TorchDevice, context: Context, reporter: Reporter) -> None:
    model = network(preset, context)
    height, width = device.size(model.config)
    image = torch.from_numpy(sample_images(height, width, seed=3)[0][None].copy())
    images = (image.permute(0, 3, 1, 2).float() / 255.0 - 0.45) / 0.225
    with torch.inference_mode():
        # By PyTorch's functions on the CPU, in a rehearsal too: our kernels come only after it.
        expected = model.forward_low(images)
        bounds = {
            precision: Bound.of(disturbed(model, precision).forward_low(images) - expected, expected, precision)
            for precision in (Precision.FLOAT32, Precision.FLOAT16)
        }
    model = model.to(device.device)
    moved = images.to(device.device)
    with device.our_kernels(context), torch.inference_mode():
        for tf32 in (False,) if device.host else (False, True):
            _set_tf32(tf32)
            name = "float32, TF32 convolutions" if tf32 else "float32"
            bound = bounds[Precision.FLOAT16 if tf32 else Precision.FLOAT32]
            _compare(preset, name, model, moved, expected, bound, device, reporter)
        _set_tf32(False)
        half = model.half()
        _compare(preset, "float16", half, moved.half(), expected, bounds[Precision.FLOAT16], device, reporter)


def _set_tf32(allowed: bool) -> None:
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


def _compare(
    preset: str,
    precision: str,
    model: Any,
    images: torch.Tensor,
    expected: torch.Tensor,
    bound: Bound,
    device: TorchDevice,
    reporter: Reporter,
) -> None:
    with counted_launches() as kernels:
        logits = model.forward_low(images)
        device.synchronize()
    error = (logits.float().cpu() - expected).abs()
    again = device.captured(lambda: model.forward_low(images))
    replayed = again().float().cpu()
    labels = float((logits.argmax(1).cpu() == expected.argmax(1)).float().mean())
    right = float(error.max()) <= bound.largest and float(error.mean()) <= bound.mean
    graph_error = (replayed - expected).abs()
    reporter.row(
        _TABLE,
        preset=preset,
        precision=precision,
        **{
            "largest error": float(error.max()),
            "its bound": bound.largest,
            "mean error": float(error.mean()),
            "mean's bound": bound.mean,
            "same labels, %": 100.0 * labels,
            "launches of ours": kernels.launches,
            "graph": "equal"
            if bool((replayed == logits.float().cpu()).all())
            else f"off by {float(graph_error.max()):.2g}",
        },
        ok=right and kernels.launches > 0 and float(graph_error.max()) <= bound.largest,
    )
