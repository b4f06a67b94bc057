"""Times labels at a frame's size: UpsampleArgmax with a target, from logits of the presets' sizes."""

from __future__ import annotations

from typing import Any

import torch

from gpu_check.ceilings import Ceilings, graph_microseconds
from gpu_check.stage import Reporter
from gpu_check.torch_device import PRECISIONS, TorchDevice
from hyperseg.cuda_library import Attributes, DataType, LabelType, Operator, Request, Target, TensorArgument
from hyperseg.operators import cuda as cuda_operators

_LOGITS = {"camvid-s": (12, 288, 384), "cityscapes-m": (19, 128, 256), "voc-l": (21, 512, 512)}
_FRAMES = {"720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840), "a quarter": (144, 192)}
_TYPES = {"float32": DataType.FLOAT32, "float16": DataType.FLOAT16}


def report_label_times(ceilings: Ceilings, device: TorchDevice, reporter: Reporter) -> None:
    """A row for every preset, type and frame; on the CPU, one of a few pixels."""
    logits = {"few pixels": (3, 6, 8)} if device.host else _LOGITS
    frames = {"few labels": (9, 17)} if device.host else _FRAMES
    for preset, shape in logits.items():
        for precision in PRECISIONS:
            for frame, size in frames.items():
                found = _row(shape, precision, size, ceilings, device)
                reporter.row("labels at a frame's size", logits=f"{preset} {precision}", frame=frame, **found)


def _row(
    shape: tuple[int, int, int], precision: str, size: tuple[int, int], ceilings: Ceilings, device: TorchDevice
) -> dict[str, Any]:
    library = cuda_operators.library()
    assert library is not None
    x = torch.randn((1, *shape), device=device.device).to(PRECISIONS[precision])
    labels = torch.empty(size, dtype=torch.uint8, device=device.device)
    attributes = Attributes(target=Target(*size, 0.0, 0.0, shape[1], shape[2]), label_type=LabelType.UINT8)
    request = Request.of(
        Operator.UPSAMPLE_ARGMAX,
        _TYPES[precision],
        [TensorArgument(x.data_ptr(), tuple(x.shape))],
        labels.data_ptr(),
        attributes,
    )

    def run() -> None:
        library.launch(request, 0 if device.host else torch.cuda.current_stream().cuda_stream)

    measured = graph_microseconds([run], device)
    floor = 1e6 * max((x.nbytes + labels.nbytes) / ceilings.bytes_per_second, ceilings.launch)
    return {"in L2, us": measured, "floor, us": floor, "us / floor": measured / floor}
