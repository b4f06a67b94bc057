"""hyperseg-run against PyTorch: the same labels for the same decoded frames of a driving video."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.onnx_file import read_properties
from hyperseg_runtime.preprocess import prepare

from .conftest import Finished
from .png import read_indices

PARITY = Path(__file__).parents[3] / "shared" / "parity"
FRAMES = 3


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A published-format checkpoint and its ONNX file."""
    pytest.importorskip("torch")
    export = pytest.importorskip("hyperseg_export")
    if not PARITY.is_dir():
        pytest.skip(f"the parity cases {PARITY} are not on this machine")
    folder = tmp_path_factory.mktemp("exported")
    checkpoint = folder / "camvid-s.pth"
    maker = [sys.executable, str(PARITY / "make_checkpoint.py"), str(PARITY / "camvid_s"), str(checkpoint)]
    subprocess.run(maker, check=True, capture_output=True)
    report = export.export_onnx(checkpoint, folder / "camvid-s.onnx", export.ExportOptions())
    return checkpoint, report.path


@pytest.mark.slow
def test_labels_of_a_video(
    exported: tuple[Path, Path], drive: Path, hyperseg_run: Callable[..., Finished], tmp_path: Path
) -> None:
    import torch
    from hyperseg_export.rounding import Bound, disturbed
    from torch.nn import functional

    import hyperseg

    checkpoint, model = exported
    done = hyperseg_run(drive, "-o", "out.mp4", "--labels", "labels", "--max-frames", FRAMES, "--model", model)
    assert done.code == 0, done
    spec = Metadata.from_properties(read_properties(model)).input
    network = hyperseg.load(checkpoint)
    twin = disturbed(network)
    capture = cv2.VideoCapture(str(drive))
    for number in range(FRAMES):
        frame = np.asarray(capture.read()[1])
        rgb = prepare(frame, spec, (spec.height, spec.width))[0]
        normal = (rgb / 255.0 - np.array(spec.mean)) / np.array(spec.std)
        image = torch.from_numpy(normal.transpose(2, 0, 1)[None].astype(np.float32))
        with torch.inference_mode():
            low = network.forward_low(image)
            bound = Bound.of(twin.forward_low(image) - low, low).largest
        logits = functional.interpolate(low, frame.shape[:2], mode="bilinear", align_corners=False)
        allowed = (logits >= logits.max(dim=1, keepdim=True).values - 2 * bound)[0].permute(1, 2, 0).numpy()
        labels, _ = read_indices(Path(f"labels/drive_{number:06d}.png"))
        assert len(np.unique(labels)) > 1
        assert allowed.sum(axis=-1).mean() < 1.01, "rounding would excuse nearly everything"
        assert np.take_along_axis(allowed, labels[..., None].astype(np.int64), axis=-1).all()
