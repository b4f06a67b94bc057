"""Decoding, inference and what follows, overlapped: each in its own thread, at most two frames waiting between them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from enum import Enum

from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.prefetch import run_ahead
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.timing import Stage, StageClock
from hyperseg_runtime.video.frames import FrameSource, SegmentedFrame, SourceFrame

_DEPTH = 2


class LivePolicy(str, Enum):
    """What to do when a live source is faster than the network."""

    LATEST = "latest"
    ALL = "all"


def segmented(
    source: FrameSource, segmenter: Segmenter, clock: StageClock, policy: LivePolicy = LivePolicy.LATEST
) -> Generator[SegmentedFrame, None, None]:
    """The source's frames with their labels. The caller's own work on each overlaps with the next frames' stages.

    With a live source and LATEST, frames that nobody is ready for are dropped; otherwise every frame comes.
    Errors of the source or the model are raised after the frames before them. Closing the generator stops the threads.
    """
    latest = source.live and policy is LivePolicy.LATEST
    prepared = run_ahead(_prepared(source, segmenter, clock), _DEPTH, latest)
    inferred = run_ahead(_inferred(prepared, segmenter, clock), _DEPTH)
    with contextlib.closing(inferred):
        yield from inferred


def _prepared(source: FrameSource, segmenter: Segmenter, clock: StageClock) -> Iterator[tuple[SourceFrame, Images]]:
    for frame in clock.timed(Stage.DECODE, source.frames()):
        with clock.measure(Stage.PREPROCESS):
            images = segmenter.prepare(frame.image)
        yield frame, images


def _inferred(
    prepared: Generator[tuple[SourceFrame, Images], None, None], segmenter: Segmenter, clock: StageClock
) -> Iterator[SegmentedFrame]:
    with contextlib.closing(prepared):
        for frame, images in prepared:
            with clock.measure(Stage.INFERENCE):
                labels = segmenter.infer(images)
            yield SegmentedFrame(frame, labels)
