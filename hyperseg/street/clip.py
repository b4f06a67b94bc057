"""Writing a drive: as a clip, as labels beside it, and as a data set in CamVid's 480x360 layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hyperseg.data.sample import Pixels
from hyperseg.street.street import Frame, Street

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Drive:
    """Some seconds of a street at a frame rate."""

    street: Street
    frames: int
    rate: float

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.frames):
            yield self.street.frame(index / self.rate)


def write_clip(drive: Drive, clip: Path, labels: Path | None, progress: Progress) -> None:
    """Write an MP4, and each frame's labels as `NNNNNN.png` of class indices into the folder `labels`.

    Raises:
        OSError: the clip cannot be written.
    """
    clip.parent.mkdir(parents=True, exist_ok=True)
    if labels is not None:
        labels.mkdir(parents=True, exist_ok=True)
    beside = clip.with_name(f"{clip.stem}.part{clip.suffix}")
    size = (drive.street.width, drive.street.height)
    writer = cv2.VideoWriter(str(beside), cv2.VideoWriter.fourcc(*"mp4v"), drive.rate, size)
    if not writer.isOpened():
        raise OSError(
            f"{clip} cannot be written as a video; end its name in .mp4 and check that its folder is writable"
        )
    try:
        for index, frame in enumerate(drive):
            writer.write(frame.image[..., ::-1].copy())
            if labels is not None:
                write_picture(labels / f"{index:06d}.png", frame.label)
            progress(index + 1)
        writer.release()
        beside.replace(clip)
    finally:
        writer.release()
        beside.unlink(missing_ok=True)


def write_dataset(folder: Path, counts: dict[str, int], size: tuple[int, int], seed: int, progress: Progress) -> None:
    """Write `SPLIT/` and `SPLITannot/` for every split, each picture of its own street; `size` is (height, width)."""
    done = 0
    for number, (split, count) in enumerate(counts.items()):
        images, labels = folder / split, folder / f"{split}annot"
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            street_seed = seed + number * 100_000 + index
            frame = Street(street_seed, *size).frame(1.0)
            write_picture(images / f"{street_seed:06d}.png", frame.image[..., ::-1].copy())
            write_picture(labels / f"{street_seed:06d}.png", frame.label)
            done += 1
            progress(done)


def write_picture(path: Path, pixels: Pixels) -> None:
    """Write a PNG, or raise an OSError that names it."""
    encoded, data = cv2.imencode(".png", pixels)
    if not encoded:
        raise OSError(f"{path} could not be encoded as PNG")
    path.write_bytes(np.asarray(data, np.uint8).tobytes())
