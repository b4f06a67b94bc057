"""Sound of the input in the output: there, aligned with the images, and never at the expense of the video."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from hyperseg_runtime.output.sinks import Result, VideoSink
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection

from .clips import frame_times
from .conftest import Finished
from .sounds import BURST, Heard, Track, frame_numbers, heard, write_sound_clip

Run = Callable[..., Finished]

SOURCES = [
    (container, codec)
    for container, codecs in {
        "mp4": "aac libmp3lame ac3 eac3 libopus vorbis flac alac pcm_s16le pcm_f32le mp2",
        "mkv": "aac libmp3lame ac3 libopus vorbis flac alac pcm_u8 mp2 tta wavpack",
        "mov": "aac alac pcm_s16le pcm_s24le pcm_mulaw libmp3lame",
        "avi": "libmp3lame ac3 pcm_s16le mp2 adpcm_ms",
        "ts": "aac libmp3lame ac3 eac3 libopus mp2",
        "webm": "libopus vorbis",
        "flv": "aac libmp3lame flac",
    }.items()
    for codec in codecs.split()
]
OUTPUTS = [".mp4", ".mov", ".mkv", ".webm"]
CUTS = {
    "whole": Selection(),
    "start": Selection(start=Fraction(1, 2)),
    "end": Selection(end=Fraction(23, 20)),
    "both": Selection(start=Fraction(3, 10), end=Fraction(3, 2), every=2),
    "first": Selection(max_frames=10),
}
SAMPLE = [
    ("mp4", "aac", ".mp4", "both"),
    ("mkv", "pcm_u8", ".mp4", "start"),
    ("mkv", "tta", ".mkv", "both"),
    ("mov", "pcm_s24le", ".mov", "first"),
    ("avi", "libmp3lame", ".webm", "end"),
    ("ts", "aac", ".mp4", "first"),
    ("ts", "ac3", ".mkv", "start"),
    ("webm", "vorbis", ".webm", "both"),
    ("flv", "aac", ".mov", "whole"),
    ("mp4", "libopus", ".mov", "start"),
    ("mp4", "libopus", ".mkv", "whole"),
    ("mp4", "aac", ".mkv", "whole"),
]
ALL = [
    (*source, output, list(CUTS)[(number + place) % len(CUTS)])
    for (number, source), (place, output) in product(enumerate(SOURCES), enumerate(OUTPUTS))
]


def carried(clip: Path | str, target: Path, selection: Selection | None = None) -> list[str]:
    """Writes the frames and the sound of a clip to `target`, as a run does; returns the notes."""
    wanted = selection or Selection()
    reader = VideoReader(str(clip), wanted)
    sink = VideoSink(target, reader, reader.sound(), wanted)
    for frame in reader.frames():
        sink.write(Result(frame, np.zeros(frame.size, np.uint8), frame.image))
    sink.close()
    reader.close()
    return list(sink.notes)


@pytest.mark.parametrize(
    ("container", "codec", "output", "cut"),
    [
        pytest.param(*case, id="-".join(case), marks=[] if case in SAMPLE else pytest.mark.exhaustive)
        for case in sorted({*ALL, *SAMPLE}, key=str)
    ],
)
def test_sound_is_there_and_aligned(tmp_path: Path, container: str, codec: str, output: str, cut: str) -> None:
    clip = write_sound_clip(tmp_path / f"clip.{container}", Track(codec))
    out, selection = tmp_path / f"out{output}", CUTS[cut]
    assert carried(clip, out, selection) == []
    before, after = heard(clip), heard(out)
    assert before is not None and after is not None
    assert before.onset is not None and after.onset is not None
    source, result = frame_numbers(clip), frame_numbers(out)
    common = sorted(source.keys() & result.keys())
    assert common == sorted(result)
    if container != "avi":  # has no presentation times: ffmpeg guesses them
        assert len(common) == _expected(source, selection)
    shown = common[len(common) // 2]
    # Containers round times to milliseconds; AVI has no times, ffmpeg counts bytes after a cut.
    tolerance = max(before.frame, after.frame) + (0.02 if container == "avi" else 0.002)
    assert after.onset - result[shown] == pytest.approx(before.onset - source[shown], abs=tolerance)
    assert selection.start or min(result.values()) == pytest.approx(min(source.values()), abs=0.001)
    shown_last = max(result.values())
    end = shown_last + selection.every / 10 if cut not in ("whole", "start") else max(shown_last + 0.1, before.end)
    assert shown_last - tolerance <= after.end <= end + tolerance


def _expected(source: dict[int, float], selection: Selection) -> int:
    """The number of frames of a cut."""
    end = selection.end if selection.end is not None else 1000
    times = [time for number, time in source.items() if number % selection.every == 0]
    inside = [time for time in times if selection.start <= round(time, 4) < end]
    return len(inside[: selection.max_frames])


def assert_complete(out: Path, count: int = 20) -> None:
    assert sorted(frame_numbers(out)) == list(range(count))


def assert_heard(out: Path, onset: float = float(BURST)) -> Heard:
    sound = heard(out)
    assert sound is not None
    assert sound.onset == pytest.approx(onset, abs=sound.frame + 0.002)
    return sound


def _with_unknown_codec(clip: Path, identifier: bytes) -> Path:
    content = clip.read_bytes()
    assert content.count(identifier) == 1
    clip.write_bytes(content.replace(identifier, b"A_" + b"Z" * (len(identifier) - 2)))
    return clip


def test_a_track_that_cannot_be_decoded(hyperseg_run: Run, tmp_path: Path) -> None:
    clip = _with_unknown_codec(write_sound_clip(tmp_path / "clip.mkv", Track("vorbis")), b"A_VORBIS")
    done = hyperseg_run(clip, "-o", "out.mp4")
    assert done.code == 0
    assert done.err.splitlines() == [
        "hyperseg-run: note: out.mp4: no sound: track 1 has a codec that FFmpeg cannot decode"
    ]
    assert len(frame_times(Path("out.mp4"))) == 20
    report = json.loads(hyperseg_run(clip, "-o", "out.mp4", "--force", "--json").out)
    assert report["runs"][0]["notes"] == ["out.mp4: no sound: track 1 has a codec that FFmpeg cannot decode"]


def test_the_first_usable_track(tmp_path: Path) -> None:
    """The first one has an unknown codec, the second one a damaged header."""
    tracks = Track("tta"), Track("alac", burst=Fraction(1)), Track("flac"), Track("aac", burst=Fraction(3, 2))
    clip = _with_unknown_codec(write_sound_clip(tmp_path / "clip.mkv", *tracks), b"A_TTA1")
    packet_samples = b"\x63\xa2\x98\x00\x00\x10\x00"  # CodecPrivate of 24 bytes: 4096, ...
    assert packet_samples in clip.read_bytes()
    clip.write_bytes(clip.read_bytes().replace(packet_samples, b"\x63\xa2\x98" + bytes(4)))
    notes = carried(clip, tmp_path / "out.mkv")
    assert len(notes) == 1
    assert "sound track 3 is used: track 1 has a codec" in notes[0]
    assert "track 2 (alac) cannot be decoded: its header is damaged, or it has no data" in notes[0]
    assert assert_heard(tmp_path / "out.mkv").codec == "flac"


@pytest.mark.parametrize(
    ("rate", "layout", "output", "rate_after", "channels"),
    [
        (192_000, "stereo", ".mp4", 48_000, 2),
        (8_000, "mono", ".webm", 8_000, 1),
        (11_025, "7.1", ".mp4", 11_025, 8),
        (44_100, "5.1(side)", ".webm", 48_000, 6),
        (48_000, "9 channels", ".mp4", 48_000, 2),
        (37_800, "3 channels", ".mp4", 44_100, 2),
    ],
)
def test_any_rate_and_layout(
    tmp_path: Path, rate: int, layout: str, output: str, rate_after: int, channels: int
) -> None:
    clip = write_sound_clip(tmp_path / "clip.mkv", Track("pcm_s16le", rate, layout))
    out = tmp_path / f"out{output}"
    assert carried(clip, out) == []
    sound = assert_heard(out)
    shown = 48_000 if output == ".webm" else rate_after  # Opus decodes to 48 kHz
    assert (sound.rate, sound.channels) == (shown, channels)
    assert_complete(out)


@pytest.mark.parametrize("codec", ["aac", "mp2"])
def test_a_rate_that_changes_in_mid_stream(tmp_path: Path, codec: str) -> None:
    first = write_sound_clip(tmp_path / "1.ts", Track(codec, 48_000, "stereo", end=Fraction(1)), count=10)
    second = Track(codec, 32_000, "mono", start=Fraction(1), burst=Fraction(3, 2))
    after = write_sound_clip(tmp_path / "2.ts", second, first=10, count=10)
    clip = tmp_path / "clip.ts"
    clip.write_bytes(first.read_bytes() + after.read_bytes())
    assert carried(clip, tmp_path / "out.mp4") == []
    source, result = frame_numbers(clip), frame_numbers(tmp_path / "out.mp4")
    assert len(result) == 20
    for burst in (BURST, Fraction(3, 2)):
        before, sound = heard(clip, burst - Fraction(1, 10)), heard(tmp_path / "out.mp4", burst - Fraction(1, 10))
        assert before is not None and sound is not None
        assert before.onset is not None and sound.onset is not None
        assert sound.onset - result[12] == pytest.approx(before.onset - source[12], abs=before.frame + 0.002)


@pytest.mark.parametrize("output", [".mp4", ".webm", ".mkv"])
@pytest.mark.parametrize(
    "track",
    [
        Track("flac", start=Fraction(1, 2)),
        Track("flac", end=Fraction(9, 10)),
        Track("flac", start=Fraction(23, 20), end=Fraction(3, 2), burst=Fraction(6, 5)),
        Track("flac", end=Fraction(5)),
    ],
    ids=["late", "short", "part", "long"],
)
def test_a_track_that_begins_late_or_ends_early(tmp_path: Path, track: Track, output: str) -> None:
    clip = write_sound_clip(tmp_path / "clip.mkv", track)
    out = tmp_path / f"out{output}"
    assert carried(clip, out) == []
    sound = assert_heard(out, float(track.burst))
    assert sound.end == pytest.approx(float(track.end), abs=sound.frame + 0.01)
    assert_complete(out)


def test_a_cut_without_sound(tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "clip.mkv", Track("eac3", end=Fraction(1)))
    for output in (".mp4", ".mkv", ".webm"):
        out = tmp_path / f"out{output}"
        assert carried(clip, out, Selection(start=Fraction(3, 2))) == []
        assert sorted(frame_numbers(out)) == list(range(15, 20))


@pytest.mark.parametrize(
    ("codec", "container", "output"),
    [
        ("eac3", "mkv", ".mp4"),
        ("aac", "mp4", ".mp4"),
        ("flac", "mkv", ".webm"),
        ("libmp3lame", "avi", ".mov"),
        *(
            pytest.param(codec, "mkv", output, marks=pytest.mark.exhaustive)
            for codec, output in product(["aac", "ac3", "vorbis", "libopus", "alac", "tta", "mp2"], OUTPUTS)
        ),
    ],
)
def test_damaged_packets(tmp_path: Path, codec: str, container: str, output: str) -> None:
    """Every third packet of the sound is overwritten with noise; the images are complete and the rest is heard."""
    clip = write_sound_clip(tmp_path / f"clip.{container}", Track(codec))
    with av.open(str(clip)) as opened:
        packets = [bytes(packet) for packet in opened.demux(audio=0) if packet.size]
    content, noise = clip.read_bytes(), random.Random(1)
    for packet in packets[5::3]:
        content = content.replace(packet, noise.randbytes(len(packet)))
    clip.write_bytes(content)
    out = tmp_path / f"out{output}"
    notes = carried(clip, out)
    assert len(notes) <= 1
    assert_complete(out)
    assert heard(out) is not None


def test_frames_that_the_decoder_holds_back(tmp_path: Path) -> None:
    """WMA's decoder gives its last frame only when asked for the rest."""
    clip = write_sound_clip(tmp_path / "clip.wmv", Track("wmav2", rate=44_100))
    with av.open(str(clip)) as container:
        stream = container.streams.audio[0]
        whole = sum(frame.samples for packet in container.demux(stream) for frame in packet.decode())
    assert carried(clip, tmp_path / "out.mkv") == []
    with av.open(str(tmp_path / "out.mkv")) as container:
        written = sum(frame.samples for frame in container.decode(audio=0))
    assert written >= whole


def test_a_cover_is_not_the_video(tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "clip.mp4", Track(), cover=True)
    with av.open(str(clip)) as container:
        assert len(container.streams.video) == 2
    assert carried(clip, tmp_path / "out.mp4") == []
    assert_complete(tmp_path / "out.mp4")
    assert_heard(tmp_path / "out.mp4")


def test_sound_far_from_its_video_is_left_out_with_a_note(tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "clip.mkv", Track("pcm_s16le"))
    with av.open(str(clip)) as container:
        track = SoundTrack(container.streams.audio, limit_bytes=10_000)
        packets = [packet for packet in container.demux() if track.takes(packet, Fraction(0)) and packet.size]
    taken = list(iter(track.take, None))
    assert sum(item.packet.size for item in taken) <= 10_000
    assert 0 < len(taken) < len(packets)
    assert track.notes == ["the sound has gaps: in the file it is too far from the video of its time"]


def test_no_sound_without_a_note_where_there_is_none(tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "clip.mp4")
    assert carried(clip, tmp_path / "out.mp4") == []
    assert heard(tmp_path / "out.mp4") is None
