"""Pack the parity cases of the published code into fixtures small enough to commit.

    python tests/hyperseg/parity/make_fixtures.py FOLDER        # with camvid_s/, cityscapes_s/, voc_l/ inside

A fixture holds the case (arch, seed, input, entries), BatchNorm tensors in 22 bits (which changes no logit by more than
4e-5) and the published logits of every eleventh pixel. All other weights are drawn from the seed.
"""

import io
import json
import lzma
import sys
from pathlib import Path

import numpy as np

BITS = 22
STEP = 11


def pack(folder: Path, output: Path) -> None:
    """Write the fixture of one case."""
    batchnorm = np.load(folder / "batchnorm.npz")
    lows, steps, codes = [], [], []
    for key in batchnorm.files:
        values = batchnorm[key].astype(np.float64)
        low, high = values.min(), values.max()
        step = (high - low) / (2**BITS - 1) or 1.0
        lows.append(low)
        steps.append(step)
        codes.append(np.round((values - low) / step).astype(np.uint32))
    planes = np.concatenate(codes).view(np.uint8).reshape(-1, 4).T[:3].copy()
    arrays = {
        "case": np.array((folder / "case.json").read_text()),
        "keys": np.array(batchnorm.files),
        "lows": np.array(lows),
        "steps": np.array(steps),
        "planes": planes,
        "logits": np.load(folder / "logits.npz")["logits"][:, :, ::STEP, ::STEP],
    }
    json.loads(str(arrays["case"]))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    output.write_bytes(lzma.compress(buffer.getvalue(), preset=9))


if __name__ == "__main__":
    for name in ("camvid_s", "cityscapes_s", "voc_l"):
        pack(Path(sys.argv[1]) / name, Path(__file__).parent / f"{name}.npz.xz")
