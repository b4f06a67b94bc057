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
from hyperseg_runtime.backends.protocol import BackendName, SessionOptions

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("tensorrt_gpu")]

PRESETS = ("camvid-s", "camvid-l", "cityscapes-m", "cityscapes-s", "voc-l")
TWINS = ("camvid-s-no-dpwconv", "camvid-l-no-dpwconv")
"""Networks of the same sizes with regular convolutions."""

WARM_UP, FRAMES = 50, 300


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
    device = float(np.median([session.run_timed(image).device_seconds for _ in range(50)]))
    line = {
        "preset": preset,
        "precision": "float16" if half else "float32",
        "frames_per_second": round(rate, 1),
        "device_milliseconds": round(1e3 * device, 3),
        "session": session.description,
    }
    session.close()
    print(json.dumps(line))
    assert rate > 0
