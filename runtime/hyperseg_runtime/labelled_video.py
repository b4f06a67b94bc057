"""The frames of a video with their labels, for programs: `Segmenter.video`."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Generator
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.pipeline import LogitFilter, segmented
from hyperseg_runtime.preprocess import Frame, Labels
from hyperseg_runtime.timing import StageClock
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import Camera, FrameSource, Selection

if TYPE_CHECKING:
    from hyperseg_runtime.segmenter import Segmenter


def labelled_frames(
    source: str | Path | int, segmenter: Segmenter, selection: Selection | None, logit_filter: LogitFilter | None
) -> Generator[tuple[Frame, Labels], None, None]:
    """See `Segmenter.video`. Closing the generator stops its threads and the source."""
    chosen = selection or Selection()
    with contextlib.closing(_opened(source, chosen)) as opened:
        frames = segmented(opened, segmenter, StageClock(), logit_filter=logit_filter)
        with contextlib.closing(frames):
            for frame in frames:
                yield frame.source.image, frame.labels()
        for problem in opened.problems:
            warnings.warn(problem, stacklevel=2)


def _opened(source: str | Path | int, selection: Selection) -> FrameSource:
    if isinstance(source, Integral) and not isinstance(source, bool):  # NumPy's integers too
        return Camera(int(source), selection)
    if isinstance(source, (str, os.PathLike)):
        return VideoReader(os.fspath(source), selection)
    raise InputError(f"a video is a path, a URL, or the index of a camera, not {type(source).__name__}")
