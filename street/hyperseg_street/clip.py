"""Writers of a drive: a video clip with its labels, and a dataset in CamVid's 480x360 layout."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hyperseg_street.canvas import Pixels
from hyperseg_street.street import Frame, Street

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Drive:
    """A drive along a street: `frames` frames at `rate` per second."""

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
    size = (drive.street.width, drive.street.height)
    with _atomic_output(clip) as draft:
        writer = cv2.VideoWriter(str(draft), cv2.VideoWriter.fourcc(*"mp4v"), drive.rate, size)
        if not writer.isOpened():
            raise OSError(
                f"{clip} cannot be written as a video; end its name in .mp4 and check that its folder is writable"
            )
        try:
            for index, frame in enumerate(drive):
                writer.write(frame.image[..., ::-1].copy())
                if labels is not None:
                    write_image(labels / label_name(index), frame.label)
                progress(index + 1)
        finally:
            writer.release()


def label_name(index: int) -> str:
    """The name of the file with the labels of a frame."""
    return f"{index:06d}.png"


@contextmanager
def _atomic_output(target: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a draft in the target's folder; flush and rename it on success, remove it on failure.

    sync: False skips the flush, for files that are written many times a second.
    """
    target = Path(os.path.realpath(target))  # a link stays, and leads to the new file
    suffix = target.suffix if len(target.suffix) < 8 else ""
    draft = target.with_name(f".hyperseg-{os.getpid()}-{secrets.token_hex(4)}.part{suffix}")
    try:
        yield draft
        if sync:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def write_dataset(folder: Path, counts: dict[str, int], size: tuple[int, int], seed: int, progress: Progress) -> None:
    """Write `SPLIT/` and `SPLITannot/` for every split, with one street per image; `size` is (height, width)."""
    done = 0
    for number, (split, count) in enumerate(counts.items()):
        images, labels = folder / split, folder / f"{split}annot"
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            street_seed = seed + number * 100_000 + index
            frame = Street(street_seed, *size).frame(1.0)
            write_image(images / f"{street_seed:06d}.png", frame.image[..., ::-1].copy())
            write_image(labels / f"{street_seed:06d}.png", frame.label)
            done += 1
            progress(done)


def write_image(path: Path, pixels: Pixels) -> None:
    """Write a PNG, or raise an OSError that names it."""
    encoded, data = cv2.imencode(".png", pixels)
    if not encoded:
        raise OSError(f"{path} could not be encoded as PNG")
    with _atomic_output(path, sync=False) as draft:
        draft.write_bytes(np.asarray(data, np.uint8).tobytes())
