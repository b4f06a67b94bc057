"""Export one checkpoint in several variants and compare their labels on the same image.

python examples/export_variants.py CHECKPOINT

Writes the files into a temporary folder. Needs the extra `export`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from hyperseg_export import ExportOptions, Target, export_onnx
from hyperseg_runtime import Segmenter
from hyperseg_runtime.metadata import Precision

VARIANTS = {
    "float32": ExportOptions(),
    "float16": ExportOptions(precision=Precision.FLOAT16),
    "cuda": ExportOptions(target=Target.CUDA),
    "tensorrt": ExportOptions(target=Target.TENSORRT),
    "portable": ExportOptions(target=Target.PORTABLE),
}


def main(checkpoint: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (360, 480, 3), np.uint8)
    reference = None
    with tempfile.TemporaryDirectory() as folder:
        for name, options in VARIANTS.items():
            file = Path(folder, f"{name}.onnx")
            export_onnx(checkpoint, file, options)
            with Segmenter(file) as segment:
                labels = segment(image)
            if reference is None:
                reference = labels
            agreement = np.mean(labels == reference)
            print(f"{name:9} {file.stat().st_size / 1e6:6.1f} MB  {agreement:.4%} of the labels equal float32's")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
