"""The frames of a video with their labels, for programs: `Segmenter.video`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

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
    return Camera(source, selection) if isinstance(source, int) else VideoReader(str(source), selection)
