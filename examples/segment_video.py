"""Segment a video in a custom loop, and print the share of each class in every frame.

python examples/segment_video.py VIDEO [MODEL]

Without MODEL: the single model of the working folder, else the one that ships with the package.
"""

from __future__ import annotations

import sys
import time

import cv2
import numpy as np
from hyperseg_runtime import Segmenter


def main(video: str, model: str | None = None) -> None:
    capture = cv2.VideoCapture(video)
    with Segmenter(model) as segment:
        print(segment.description)
        names = segment.metadata.class_names
        while True:
            found, frame = capture.read()  # uint8 [h, w, 3], BGR
            if not found:
                break
            started = time.perf_counter()
            labels = segment(frame)  # uint8 [h, w]
            milliseconds = 1000 * (time.perf_counter() - started)

            shares = np.bincount(labels.ravel(), minlength=len(names)) / labels.size
            largest = np.argsort(shares)[::-1][:3]
            text = ", ".join(f"{names[i]} {shares[i]:.0%}" for i in largest)
            print(f"{milliseconds:6.1f} ms  {text}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
