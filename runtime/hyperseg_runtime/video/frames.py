"""What flows through a run: frames with their place in the source, and the labels that the network gave them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from hyperseg_runtime.preprocess import Frame, Labels, Size


@dataclass(frozen=True)
class SourceFrame:
    """A decoded frame, upright, BGR."""

    image: Frame
    index: int
    """Number in the source, from 0, counting the frames that --every leaves out."""
    time: Fraction
    """Seconds since the source's (or the cut's) beginning; 0 for a picture."""
    name: str
    """File-name stem for what is written about this frame."""
    path: Path | None = None
    """The picture's file; None for frames of videos."""

    @property
    def size(self) -> Size:
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True)
class SegmentedFrame:
    """A frame and the network's labels at the network's resolution."""

    source: SourceFrame
    network_labels: Labels


class FrameSource(Protocol):
    """Something that frames come from: a video, a stream, a camera, a row of pictures."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def expected_frames(self) -> int | None:
        """How many frames will come, where that is known (for the progress bar only)."""

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace, and are lost when nobody takes them."""

    @property
    def problems(self) -> list[str]:
        """What went wrong on the way without stopping it, one line each; complete after the last frame."""

    def frames(self) -> Iterator[SourceFrame]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Selection:
    """Which frames of a video are wanted."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    every: int = 1
    max_frames: int | None = None

    @property
    def whole(self) -> bool:
        return self == Selection()
