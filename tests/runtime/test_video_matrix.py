"""hyperseg-run on every container and codec: the right images with the right numbers at the right times, with sound.

The images carry their numbers, and `--alpha 0` leaves them as they are. Eight kinds by default; all of them, damaged
files too, with --exhaustive.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest

from .conftest import Finished
from .numbered import BURST, CLIPS, RATE, Clip, loud_from, numbers_and_times, write_numbered

Run = Callable[..., Finished]
COUNT = 40
SAMPLE = 8
KINDS = [
    pytest.param(clip, id=str(clip), marks=[pytest.mark.exhaustive] * (n >= SAMPLE)) for n, clip in enumerate(CLIPS)
]


@dataclass(frozen=True)
class Cut:
    """Options of a cut, and the frames that it selects when the first one is at `offset` seconds."""

    options: tuple[str, ...] = ()
    start: Fraction = Fraction(0)
    end: Fraction = Fraction(1000)
    every: int = 1
    most: int = COUNT

    def numbers(self, offset: Fraction) -> list[int]:
        chosen = [n for n in range(0, COUNT, self.every) if self.start <= round(n / RATE + offset, 2) < self.end]
        return chosen[: self.most]


CUTS = {
    "whole": Cut(),
    "from": Cut(("--start", "1.24"), start=Fraction("1.24")),
    "part": Cut(("--start", "1", "--end", "2"), start=Fraction(1), end=Fraction(2)),
    "thinned": Cut(("--start", "0.5", "--every", "3"), start=Fraction("0.5"), every=3),
    "few": Cut(("--max-frames", "7"), most=7),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Clip], Path]:
    folder = tmp_path_factory.mktemp("clips")

    def written(clip: Clip) -> Path:
        path = folder / f"{clip}{clip.suffix}"
        return path if path.exists() else write_numbered(path, clip, count=COUNT)

    return written


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("clip", KINDS)
def test_images_numbers_times_and_sound(
    hyperseg_run: Run, tmp_path: Path, clips: Callable[[Clip], Path], clip: Clip, cut: str
) -> None:
    wanted = CUTS[cut]
    source, result, stats = clips(clip), tmp_path / "out.mp4", tmp_path / "stats.csv"
    done = hyperseg_run(source, "-o", result, "--alpha", "0", "--stats", stats, *wanted.options)
    assert done.code == 0, done
    got = numbers_and_times(result)
    offset = _offset(source)
    numbers = wanted.numbers(offset)
    assert [number for number, _ in got] == numbers
    rows = list(csv.DictReader(stats.open()))
    assert [int(row["frame"]) for row in rows] == numbers
    slack = float(clip.precision + Fraction(1, 1000))  # MP4 states in milliseconds when its first frame is shown
    begins = offset - wanted.start
    assert [float(time) for _, time in got] == pytest.approx([float(begins + n / RATE) for n in numbers], abs=slack)
    with av.open(str(result)) as container:
        assert bool(container.streams.audio) == bool(clip.sound)
        stream = container.streams.video[0]
        ends = float((stream.start_time + stream.duration) * stream.time_base)
    shown_until = min(numbers[-1] + wanted.every, COUNT) / RATE
    assert ends == pytest.approx(float(min(shown_until + offset, wanted.end) - wanted.start), abs=0.01)
    if clip.sound and wanted.start < BURST < shown_until:
        assert float(loud_from(result)) == pytest.approx(float(begins + BURST), abs=0.07)


def _offset(source: Path) -> Fraction:
    """By how much sound begins before the first image: encoders' first packets may."""
    with av.open(str(source)) as container:
        times = [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.pts is not None]
        if not times or container.start_time is None or container.format.name == "avi":
            return Fraction(0)
        return max(Fraction(0), min(times) - Fraction(container.start_time, 1_000_000))
