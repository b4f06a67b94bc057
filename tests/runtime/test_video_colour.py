"""Colour and shape: what is red stays red, what is round stays round, whatever the source's tags."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hyperseg_runtime.video.colour import BgrConverter, Orientation, converts_hdr, letterboxed, pixel_aspect
from hyperseg_runtime.video.reader import VideoReader

from .conftest import Finished
from .numbered import numbered_image

Run = Callable[..., Finished]
Rgb = tuple[int, int, int]
LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""From AVCOL_SPC_* to the weights of red and blue in luma."""
UNTAGGED, LIMITED, FULL = 2, 1, 2
RED, GREEN, BLUE, SKIN, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 130, 90), (255,) * 3, (0,) * 3
COLOURS: tuple[Rgb, ...] = (RED, GREEN, BLUE, SKIN, WHITE, BLACK)


def to_yuv(rgb: Rgb, matrix: int, colour_range: int) -> np.ndarray:
    """Y, Cb, Cr of 8 bits (ITU-R BT.601, 709 and 2020)."""
    kr, kb = LUMA[matrix]
    red, green, blue = (value / 255 for value in rgb)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = np.array([(blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)])
    if colour_range == FULL:
        return np.array([luma * 255, *(chroma * 255 + 128)])
    return np.array([16 + 219 * luma, *(128 + 224 * chroma)])


def to_rgb(yuv: np.ndarray, matrix: int) -> np.ndarray:
    """The inverse of `to_yuv`, from limited range."""
    kr, kb = LUMA[matrix]
    luma, blue, red = (yuv[0] - 16) / 219, (yuv[1] - 128) / 224, (yuv[2] - 128) / 224
    rb = luma + (2 - 2 * kr) * red, luma + (2 - 2 * kb) * blue
    return np.clip(np.array([rb[0], (luma - kr * rb[0] - kb * rb[1]) / (1 - kr - kb), rb[1]]) * 255, 0, 255)


def write_colours(
    path: Path,
    colours: tuple[Rgb, ...],
    *,
    size: tuple[int, int] = (64, 96),
    pixel_format: str = "yuv420p",
    matrix: int = 5,
    tag: int = UNTAGGED,
    colour_range: int = LIMITED,
    range_tag: int = 0,
    aspect: str = "1",
    rotation: int = 0,
    flip: bool = False,
    codec: str = "libx264",
    transfer: int = 2,
) -> Path:
    """A lossless clip with one image per colour, converted here and not by FFmpeg."""
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "qp": "0", "aspect": aspect} if codec == "libx264" else {"aspect": aspect}
        stream = container.add_stream(codec, rate=5, options=options)
        stream.height, stream.width, stream.pix_fmt = *size, pixel_format
        stream.codec_context.colorspace, stream.codec_context.color_range = tag, range_tag
        stream.codec_context.color_trc = transfer
        if rotation or flip:
            stream.set_display_rotation(rotation, hflip=flip)
        for number, rgb in enumerate(colours):
            frame = av.VideoFrame(size[1], size[0], pixel_format)
            bits = 10 if "10" in pixel_format else 8
            for plane, value in zip(frame.planes, to_yuv(rgb, matrix, colour_range), strict=False):
                level = min(round(value * 2 ** (bits - 8)), 2**bits - 1)
                dtype = np.uint16 if bits > 8 else np.uint8
                plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, level, dtype).tobytes())
            frame.colorspace, frame.color_range = tag, range_tag
            frame.pts, frame.time_base = number, Fraction(1, 5)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def skip_unless_rotating(rotation: int) -> None:
    if rotation and not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write rotation; reading it is tested with a newer one")


def assert_read(path: Path, colours: tuple[Rgb, ...], bound: int = 4) -> None:
    """bound: two roundings to 8 bits, each times up to 2.1, the largest coefficient."""
    images = [frame.image for frame in VideoReader(str(path)).frames()]
    assert len(images) == len(colours)
    for image, rgb in zip(images, colours, strict=True):
        error = np.abs(image.astype(int) - rgb[::-1])
        assert error.max() <= bound, (rgb, image.reshape(-1, 3)[error.max(axis=-1).argmax()][::-1])


def assert_written(path: Path, colours: tuple[Rgb, ...], bound: int = 8) -> None:
    """Converts the file's planes here, by its own tags. bound: the encoder is lossy."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        frames = list(container.decode(video=0))
        assert (int(context.color_range), context.pix_fmt) == (LIMITED, "yuv420p")
        assert int(context.color_primaries) == int(context.color_trc) == int(context.colorspace)
    assert len(frames) == len(colours)
    for frame, rgb in zip(frames, colours, strict=True):
        planes = [
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
            for plane in frame.planes
        ]
        middle = np.array([np.median(plane) for plane in planes])
        assert to_rgb(middle, int(context.colorspace)) == pytest.approx(np.array(rgb), abs=bound)
        assert planes[0].std() < 3


TABLE = [
    pytest.param(
        *row, id="-".join(map(str, row)).replace(", ", "x"), marks=[] if number % 23 == 0 else [pytest.mark.exhaustive]
    )
    for number, row in enumerate(
        itertools.product(
            ("tagged", "untagged"),
            (5, 1, 9),
            (LIMITED, FULL),
            ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le"),
            ((64, 96), (720, 64), (66, 1280)),
            (0, 90, 270),
        )
    )
    if not (row[0] == "untagged" and (row[1] != (5 if row[4] == (64, 96) else 1) or row[2] == FULL))
]


@pytest.mark.parametrize(("tagging", "matrix", "colour_range", "pixel_format", "size", "rotation"), TABLE)
def test_colours_are_read(
    tmp_path: Path,
    tagging: str,
    matrix: int,
    colour_range: int,
    pixel_format: str,
    size: tuple[int, int],
    rotation: int,
) -> None:
    skip_unless_rotating(rotation)
    tag, range_tag = (matrix, colour_range) if tagging == "tagged" else (UNTAGGED, 0)
    path = write_colours(
        tmp_path / "v.mp4",
        COLOURS,
        size=size,
        pixel_format=pixel_format,
        matrix=matrix,
        tag=tag,
        colour_range=colour_range,
        range_tag=range_tag,
        rotation=rotation,
    )
    assert_read(path, COLOURS)


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (33, 47), (719, 65), (1, 1)], ids=str)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p"])
def test_odd_and_tiny_sizes(hyperseg_run: Run, tmp_path: Path, size: tuple[int, int], pixel_format: str) -> None:
    codec = "rawvideo" if pixel_format == "yuv420p" else "ffv1"  # each takes the smallest sizes in this format
    path = write_colours(tmp_path / "v.mkv", COLOURS, size=size, pixel_format=pixel_format, codec=codec)
    assert_read(path, COLOURS)
    assert hyperseg_run(path, "-o", "out.mp4", "--alpha", "0").code == 0
    assert_written(Path("out.mp4"), COLOURS)


@pytest.mark.parametrize("size", [(96, 128), (720, 64)], ids=str)
@pytest.mark.parametrize(("matrix", "colour_range"), [(1, LIMITED), (5, FULL)])
def test_colours_in_the_output(
    hyperseg_run: Run, tmp_path: Path, size: tuple[int, int], matrix: int, colour_range: int
) -> None:
    path = write_colours(
        tmp_path / "v.mp4",
        COLOURS,
        size=size,
        matrix=matrix,
        tag=matrix,
        colour_range=colour_range,
        range_tag=colour_range,
    )
    assert hyperseg_run(path, "-o", "out.mp4", "--alpha", "0").code == 0
    assert_written(Path("out.mp4"), COLOURS)


@pytest.mark.parametrize("pixel_format", ["gray", "rgb24", "bgr0", "bgra", "pal8", "yuva444p", "rgb48be"])
def test_other_pixel_formats(tmp_path: Path, pixel_format: str) -> None:
    colours = ((200, 200, 200), BLACK, WHITE) if pixel_format == "gray" else COLOURS
    codec = {"rgb24": "libx264rgb", "rgb48be": "png", "pal8": "png"}.get(pixel_format, "ffv1")
    with av.open(str(tmp_path / "v.mov"), "w", format="mov" if codec == "png" else "matroska") as container:
        stream = container.add_stream(codec, rate=5)
        stream.height, stream.width, stream.pix_fmt = 64, 96, pixel_format
        for number, rgb in enumerate(colours):
            if pixel_format == "pal8":
                palette = np.zeros((256, 4), np.uint8)
                palette[7] = [255, *rgb]
                image = np.full((64, 96), 7, np.uint8), palette
                frame = av.VideoFrame.from_ndarray(image, format="pal8")
            else:
                full = np.full((64, 96, 3), rgb, np.uint8)
                frame = av.VideoFrame.from_ndarray(full, format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, 5)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert_read(tmp_path / "v.mov", colours)


@pytest.mark.parametrize("style", ["overlay", "side-by-side"])
@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixel_aspect(hyperseg_run: Run, tmp_path: Path, suffix: str, rotation: int, style: str) -> None:
    skip_unless_rotating(rotation)
    path = write_colours(tmp_path / "v.mp4", (RED,), size=(64, 48), aspect="2", rotation=rotation)
    assert hyperseg_run(path, "-o", f"out{suffix}", "--style", style).code == 0
    with av.open(f"out{suffix}") as container:
        stream = container.streams.video[0]
        shape = (48, 64) if rotation else (64, 48)
        assert (stream.height, stream.width) == (shape[0], shape[1] * (2 if style == "side-by-side" else 1))
        assert stream.sample_aspect_ratio == (Fraction(1, 2) if rotation else 2)


def test_the_pixel_aspect_of_gif_is_applied_to_the_pixels(hyperseg_run: Run, tmp_path: Path) -> None:
    path = write_colours(tmp_path / "v.mp4", (RED,), size=(64, 48), aspect="2")
    assert hyperseg_run(path, "-o", "out.gif").code == 0
    with av.open("out.gif") as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width, stream.sample_aspect_ratio or 1) == (64, 96, 1)


def test_incredible_pixel_aspects() -> None:
    assert pixel_aspect(None, False) == pixel_aspect(Fraction(0), False) == pixel_aspect(Fraction(1000), False) == 1
    assert pixel_aspect(Fraction(16, 11), True) == Fraction(11, 16)


def test_mirrored_videos(tmp_path: Path) -> None:
    skip_unless_rotating(180)
    image = numbered_image(0b10110001)
    for rotation, flip, expected in (
        (0, True, image[:, ::-1]),
        (90, False, np.rot90(image)),
        (180, True, image[::-1]),
    ):
        with av.open(str(tmp_path / "v.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.height, stream.width, stream.bit_rate = *image.shape[:2], 2_000_000
            stream.set_display_rotation(rotation, hflip=flip)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            container.mux(stream.encode(None))
        (frame,) = VideoReader(str(tmp_path / "v.mp4")).frames()
        assert frame.image.shape == expected.shape
        assert np.abs(frame.image.astype(int) - expected).mean() < 5


@pytest.mark.parametrize(
    "transfer", [pytest.param(16, id="PQ"), pytest.param(18, id="HLG", marks=pytest.mark.exhaustive)]
)
def test_hdr(tmp_path: Path, transfer: int) -> None:
    signal = {16: 148, 18: 191}[transfer]  # diffuse white of 203 cd/m2 in 8 bits (ITU-R BT.2408, table 1)
    path = write_colours(
        tmp_path / "v.mp4",
        ((signal,) * 3,) * 2,
        pixel_format="yuv420p10le",
        matrix=9,
        tag=9,
        range_tag=LIMITED,
        transfer=transfer,
    )
    reader = VideoReader(str(path))
    frames = list(reader.frames())
    assert len(frames) == 2
    if converts_hdr():
        assert (min(frame.image.min() for frame in frames) > 245, reader.problems) == (True, [])
    else:
        assert "HDR" in reader.problems[0]


@pytest.mark.skipif(not converts_hdr(), reason="this PyAV cannot convert HDR")
@pytest.mark.parametrize("primaries", [pytest.param(number, marks=pytest.mark.exhaustive) for number in (0, 3)])
def test_reserved_primaries_of_hdr(primaries: int) -> None:
    """swscale refuses them."""
    frame = av.VideoFrame(64, 64, "yuv420p10le")
    frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = 16, primaries, 9, LIMITED
    assert BgrConverter()(frame).shape == (64, 64, 3)


def test_a_size_that_changes(hyperseg_run: Run, tmp_path: Path) -> None:
    sizes = ((64, 96), (128, 192), (64, 64))
    clips = [
        write_colours(tmp_path / f"{n}.ts", COLOURS[:3], size=size, pixel_format=form)
        for n, (size, form) in enumerate(zip(sizes, ("yuv420p", "yuv422p", "yuv420p"), strict=True))
    ]
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(clip.read_bytes() for clip in clips))
    assert [frame.size for frame in VideoReader(str(path)).frames()] == [size for size in sizes for _ in range(3)]
    assert hyperseg_run(path, "-o", "out.mp4", "--alpha", "0").code == 0
    with av.open("out.mp4") as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(images) == 9
    for image, rgb in zip(images, COLOURS[:3] * 3, strict=True):
        assert image[32, 48] == pytest.approx(np.array(rgb), abs=10)
    assert images[5][32, 2] == pytest.approx(np.array(BLUE), abs=10)
    assert images[8][32, 2] == pytest.approx(np.array(BLACK), abs=10), "a square image in a wide one has bars"


def test_a_pixel_aspect_that_changes(hyperseg_run: Run, tmp_path: Path) -> None:
    """As in broadcasts, where programmes of 4:3 and 16:9 have the same number of pixels."""
    parts = [write_colours(tmp_path / f"{aspect}.ts", (WHITE,) * 20, aspect=aspect) for aspect in ("1", "2")]
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    aspects = [frame.pixel_aspect for frame in VideoReader(str(path)).frames()]
    assert len(aspects) == 40
    assert (aspects[0], aspects[-1]) == (1, 2)
    assert aspects == sorted(aspects)
    assert hyperseg_run(path, "-o", "out.mp4", "--alpha", "0").code == 0
    with av.open("out.mp4") as container:
        images = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert images[0].min() > 240
    assert images[-1][32, 48] > 240
    assert images[-1][4, 48] < 20, "a wider image has bars above and below"


def test_letterbox() -> None:
    square = np.full((10, 10, 3), 255, np.uint8)
    assert letterboxed(square, (10, 20), Fraction(2)).min() == 255
    boxed = letterboxed(square, (10, 20), Fraction(1))
    assert (boxed[:, 5:15].min(), boxed[:, :5].max(), boxed[:, 15:].max()) == (255, 0, 0)
    assert letterboxed(square, (1, 40), Fraction(1)).shape == (1, 40, 3)


def test_orientation_is_applied() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert Orientation().applied(image) is image
    assert np.array_equal(Orientation(True, False, True).applied(image), np.rot90(image))
