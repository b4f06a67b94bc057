"""Frames per second from upload to download, batch 1: the protocol that the paper cites (SwiftNet).

Warm-up, then for each frame: upload, network, arg max, download of the labels, synchronisation. The comparison with
the same network of regular convolutions shows the cost of dynamic convolution. Run with -s to see the table.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hyperseg_export.engine import EngineOptions, build_engine
from hyperseg_runtime.backends import tensorrt
from hyperseg_runtime.backends.protocol import BackendName, Images, Session, SessionOptions
from hyperseg_runtime.upsampling import Placement

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("tensorrt_gpu")]

PRESETS = ("camvid-s", "camvid-l", "cityscapes-m", "cityscapes-s", "voc-l")
TWINS = ("camvid-s-no-dpwconv", "camvid-l-no-dpwconv")
"""Networks of the same sizes with regular convolutions."""

WARM_UP, FRAMES = 50, 300
SIZES = {"720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}
"""Of frames whose labels are computed on the device, from upload of the network's input to download of the labels."""


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("preset", PRESETS + TWINS)
def test_frame_rate(preset: str, half: bool, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from hyperseg_export import ExportOptions, Target, export_onnx

    import hyperseg

    export_onnx(hyperseg.create(preset), tmp_path / "m.onnx", ExportOptions(verify=False, target=Target.CUDA))
    report = build_engine(tmp_path / "m.onnx", options=EngineOptions(half=half))
    session = tensorrt.open_session(report.engine, BackendName.TENSORRT, SessionOptions())
    spec = session.metadata.input
    image = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)
    for _ in range(WARM_UP):
        session.run(image)
    started = time.perf_counter()
    for _ in range(FRAMES):
        session.run(image)
    rate = FRAMES / (time.perf_counter() - started)
    frames = {name: _frame_milliseconds(session, image, size) for name, size in SIZES.items()}
    device = float(np.median([session.run_timed(image).device_seconds for _ in range(50)]))
    line = {
        "preset": preset,
        "precision": "float16" if half else "float32",
        "frames_per_second": round(rate, 1),
        "device_milliseconds": round(1e3 * device, 3),
        "milliseconds_with_labels_at_a_frames_size": frames,
        "session": session.description,
    }
    session.close()
    print(json.dumps(line))
    assert rate > 0


def _frame_milliseconds(session: Session, image: Images, size: tuple[int, int]) -> float:
    times = []
    for _ in range(60):
        started = time.perf_counter()
        session.run_labels(image, [Placement(size)])
        times.append(time.perf_counter() - started)
    return round(1e3 * float(np.median(times[10:])), 3)
