"""Image files of every format and state: read, or refused with one line of ours, and none stops the others."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hyperseg_runtime import image_files
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.image_files import read_image

from .clips import images
from .conftest import Finished

Run = Callable[..., Finished]


def png(width: int, height: int) -> bytes:
    """A PNG file whose header says this size; its chunks are complete, its pixels need not be."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(99)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def encoded(path: Path, codec: str, pixel_format: str, form: str) -> bytes:
    """An image written by FFmpeg."""
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec)
        stream.height, stream.width, stream.pix_fmt = 40, 60, pixel_format
        frame = av.VideoFrame.from_ndarray(images(1, (40, 60))[0], format="bgr24").reformat(format=pixel_format)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((60_000, 60_000), "larger than OpenCV reads"),
        ((1_048_576, 2), "1048576x2 pixels"),
        ((2**31 - 1, 1), "2147483647x1 pixels"),
        ((0, 5), "0x5 pixels"),
    ],
)
def test_impossible_sizes_are_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], size: tuple[int, int], says: str
) -> None:
    (tmp_path / "a.png").write_bytes(png(*size))
    with pytest.raises(InputError, match=says):
        read_image(tmp_path / "a.png")
    assert capfd.readouterr().err == ""  # libpng would print lines of its own


def test_a_file_that_is_too_large_is_not_loaded(hyperseg_run: Run, tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(1 << 40)  # takes no space
    hyperseg_run("a.jpg").failed_with("a.jpg has 1024.0 GiB")


def test_too_little_memory_is_one_line(hyperseg_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    cv2.imwrite(str(tmp_path / "a.png"), images(1, (40, 60))[0])
    with monkeypatch.context() as patched:
        patched.setattr(image_files.cv2, "imdecode", exhausted)
        hyperseg_run("a.png").failed_with("not enough memory to read a.png")
    monkeypatch.setattr("hyperseg_runtime.output.sinks.ImageSink.write", exhausted)
    hyperseg_run("a.png").failed_with("not enough memory", "--resolution")


def test_a_gif_is_whole_or_refused(tmp_path: Path) -> None:
    whole = encoded(tmp_path / "a.gif", "gif", "rgb8", "gif")
    for length in (8, 12, 500, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.gif").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.gif is truncated or damaged"):
            read_image(tmp_path / "a.gif")
    (tmp_path / "a.gif").write_bytes(whole + b"after the end")
    assert read_image(tmp_path / "a.gif").shape == (40, 60, 3)


def test_formats_that_only_ffmpeg_reads_are_images(hyperseg_run: Run, tmp_path: Path) -> None:
    """Not videos of one frame."""
    (tmp_path / "in").mkdir()
    written = {"a.tga": ("targa", "bgr24"), "b.pcx": ("pcx", "rgb24"), "c.qoi": ("qoi", "rgb24")}
    written = {name: about for name, about in written.items() if about[0] in av.codecs_available}
    for name, about in written.items():
        encoded(tmp_path / "in" / name, *about, "image2pipe")
    assert hyperseg_run("in", "--alpha", "0").code == 0
    for name in written:
        result = cv2.imread(str((tmp_path / "in.segmented" / name).with_suffix(".png")))
        assert np.abs(result.astype(int) - images(1, (40, 60))[0]).max() == 0
        (tmp_path / name).write_bytes((tmp_path / "in" / name).read_bytes()[:10])
        hyperseg_run(name).failed_with(f"{name} is damaged", "convert it")


def test_a_tiff_of_floats_is_not_only_called_damaged(hyperseg_run: Run, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tif"), np.ones((8, 8), np.float32))
    done = hyperseg_run("a.tif")
    if done.code:  # some versions of OpenCV read it
        done.failed_with("a kind of TIFF that is not read here", "8 bits")


@pytest.mark.parametrize("name", ["a.pdf", "a.svg", "a.EPS"])
def test_documents_are_no_videos(hyperseg_run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"%PDF-1.4 \xff\xd8\xff")
    hyperseg_run(name).failed_with(f"{name} is a document or a drawing", "PNG")


def test_an_image_that_cannot_be_written_does_not_stop_the_others(hyperseg_run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.webp"), np.zeros((4, 10_000, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "in" / "b.png"), images(1, (40, 60))[0])
    for options in ((), ("--force",)):
        done = hyperseg_run("in", "--style", "side-by-side", "--labels", "labels", *options)
        done.failed_with("in.segmented/a.webp", "20000x4 pixels", ".png")
    assert {path.name for path in Path("in.segmented").iterdir()} == {"b.png", ".hyperseg-run.jsonl"}
    assert '"a.webp"' not in Path("in.segmented/.hyperseg-run.jsonl").read_text()
    assert hyperseg_run("in/a.webp", "--style", "side-by-side", "-o", "a.png").code == 0
