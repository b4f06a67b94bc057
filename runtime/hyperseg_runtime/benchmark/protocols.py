"""The protocols of a measurement. Each times one image, batch 1."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.preprocess import labels_of
from hyperseg_runtime.segmenter import Segmenter


class Protocol(Enum):
    """What lies between the two looks at the clock. `value` is the letter on the command line."""

    UPLOAD_TO_DOWNLOAD = "A"
    DEVICE_ONLY = "B"
    VIDEO = "C"

    @property
    def title(self) -> str:
        return {
            Protocol.UPLOAD_TO_DOWNLOAD: "upload to download (SwiftNet protocol)",
            Protocol.DEVICE_ONLY: "device only",
            Protocol.VIDEO: "video end to end",
        }[self]

    @property
    def explanation(self) -> str:
        return {
            Protocol.UPLOAD_TO_DOWNLOAD: (
                "After warm-up, for each image: upload the uint8 image, network, argmax, labels as bytes back on the "
                "host, synchronise. Resizing is not included. The headline."
            ),
            Protocol.DEVICE_ONLY: "The network alone, its input and output lying on the device.",
            Protocol.VIDEO: (
                "hyperseg-run's whole pipeline: decode, resize, network, overlay, H.264 encode, overlapped; "
                "wall time over frames."
            ),
        }[self]


@dataclass(frozen=True)
class Entry:
    """A model under measurement, with the images that it is given in turn."""

    name: str
    segmenter: Segmenter
    images: Sequence[Images]

    def seconds(self, protocol: Protocol, repetition: int) -> float:
        """One timed repetition of protocol A or B."""
        images = self.images[repetition % len(self.images)]
        if protocol is Protocol.DEVICE_ONLY:
            return self.segmenter.session.run_timed(images).device_seconds
        start = time.perf_counter()
        labels_of(self.segmenter.session.run(images))  # `run` returns when the results are on the host
        return time.perf_counter() - start


def natural_images(segmenter: Segmenter, count: int = 8, seed: int = 0) -> list[Images]:
    """Images with large shapes and some noise, so that no processor gets constant data."""
    rng = np.random.default_rng(seed)
    height, width = segmenter.size
    made = []
    for _ in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        for _ in range(24):
            top, left = int(rng.integers(height)), int(rng.integers(width))
            down, right = top + int(rng.integers(1, height)), left + int(rng.integers(1, width))
            frame[top:down, left:right] = rng.integers(0, 256, 3)
        noise = rng.integers(0, 16, frame.shape, dtype=np.uint8)
        made.append(segmenter.prepare(np.where(frame > 239, frame, frame + noise).astype(np.uint8)))
    return made
