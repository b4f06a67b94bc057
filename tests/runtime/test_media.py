"""Kinds of files, by content before suffix, and the image formats of phones and web sites."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.image_files import read_image
from hyperseg_runtime.inputs import find_inputs
from hyperseg_runtime.media import Kind, media_type

from .clips import images, write_clip
from .conftest import Finished
from .heif_files import ENCODERS, write_heif

APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X"
SIZE = (40, 60)


def write_animation(path: Path, count: int) -> Path:
    """An animated GIF or PNG."""
    codec, pixel_format, muxer = {".gif": ("gif", "rgb8", "gif"), ".png": ("apng", "rgb24", "apng")}[path.suffix]
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, pixel_format
        for image in images(count, SIZE):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pixel_format))
            )
        container.mux(stream.encode(None))
    return path


def content(name: str, folder: Path) -> bytes:
    """A small file of this kind."""
    path = folder / f"made-{name}"
    if name.startswith("clip"):
        write_clip(path, count=2)
    elif name.startswith("animated"):
        write_animation(path, 3)
    elif name == "still.gif":
        write_animation(path, 1)
    else:
        cv2.imwrite(str(path), images(1, SIZE)[0])
    made = path.read_bytes()
    path.unlink()
    return made


@pytest.mark.parametrize(
    ("made", "name", "kind"),
    [
        ("clip.mp4", "clip", Kind.VIDEO),
        ("clip.mp4", "clip.3gp", Kind.VIDEO),
        ("clip.mp4", "clip.jpg", Kind.VIDEO),
        ("clip.ts", "clip.MTS", Kind.VIDEO),
        ("clip.ts", "clip.m2ts", Kind.VIDEO),
        ("clip.mkv", "clip.bin", Kind.VIDEO),
        ("clip.avi", "clip.png", Kind.VIDEO),
        ("clip.mpg", "clip", Kind.VIDEO),
        ("clip.flv", "clip", Kind.VIDEO),
        ("clip.h264", "clip", Kind.VIDEO),
        ("animated.gif", "a.gif", Kind.VIDEO),
        ("animated.gif", "a.jpg", Kind.VIDEO),
        ("animated.png", "a.png", Kind.VIDEO),
        ("still.gif", "a.gif", Kind.IMAGE),
        ("image.png", "image", Kind.IMAGE),
        ("image.png", "image.JPG", Kind.IMAGE),
        ("image.jpg", "image.mp4", Kind.IMAGE),
        ("image.bmp", "image.txt", Kind.IMAGE),
        ("image.tif", "image", Kind.IMAGE),
        ("image.webp", "image", Kind.IMAGE),
        ("image.ppm", "image", Kind.IMAGE),
        ("image.jpg", "film.mjpg", Kind.VIDEO),
    ],
)
def test_content_decides(tmp_path: Path, made: str, name: str, kind: Kind) -> None:
    (tmp_path / name).write_bytes(content(made, tmp_path))
    (found,) = find_inputs([str(tmp_path)]).inputs
    assert found.kind is kind
    (named,) = find_inputs([str(tmp_path / name)]).inputs
    assert named.kind is kind


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", Kind.IMAGE), ("a.mp4", Kind.VIDEO), ("a.heic", Kind.IMAGE), ("a.MPG", Kind.VIDEO)]
)
def test_where_the_content_is_unknown_the_suffix_decides(tmp_path: Path, name: str, kind: Kind) -> None:
    (tmp_path / name).write_bytes(b"unknown")
    media = media_type(tmp_path / name)
    assert media is not None and media.kind is kind


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("notes.txt", b"BMW and MM\0 are words; P3 too"),
        ("module.ts", b"export const x: number = 1;\n"),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        (".DS_Store", b"\0\0\0\1Bud1"),
        ("._a.jpg", APPLE_DOUBLE),
        (".hidden.png", b"\x89PNG\r\n\x1a\n"),
        ("song.m4a", b"\0\0\0\x18ftypM4A "),
        ("song", b"\0\0\0\x18ftypM4A "),
        ("song.ogg", b"OggS\0"),
        ("photo.CR2", b"II*\0\x10\0\0\0CR"),
        ("photo.nef", b"MM\0*"),
        ("a.segmented.png", b"\x89PNG\r\n\x1a\n"),
        ("plan.pdf", b"%PDF-1.7"),
    ],
)
def test_what_is_no_media_is_passed_over(tmp_path: Path, name: str, made: bytes) -> None:
    (tmp_path / name).write_bytes(made)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="has no image and no video"):
        find_inputs([str(tmp_path)])
    with pytest.raises(InputError, match="no image and no video matches"):
        find_inputs([f"{tmp_path}/*"])


def test_skipped_files_are_counted_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content("image.png", tmp_path))
    for name in ("b.txt", "c.txt", "d.txt", "e.txt", ".hidden", "Thumbs.db"):
        (tmp_path / name).write_text("no media")
    (note,) = find_inputs([str(tmp_path)]).notes
    assert note.startswith("4 files (b.txt, c.txt, d.txt, ...)")


@pytest.mark.parametrize(
    ("name", "made", "message"),
    [
        ("._a.jpg", APPLE_DOUBLE, "macOS's companion of .*a.jpg"),
        ("photo.cr2", b"II*\0", "raw photo"),
        ("m.onnx", b"x", "--model"),
        ("m.pth", b"x", "hyperseg-export --ckpt"),
    ],
)
def test_other_files_are_refused_with_the_remedy(tmp_path: Path, name: str, made: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(made)
    with pytest.raises(InputError, match=message):
        find_inputs([str(tmp_path / name)])


def test_results_among_the_arguments_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell's `*` names them too."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.png", "in.segmented/a.png", "b.png", "b.segmented.png", "c.segmented.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"\x89PNG\r\n\x1a\n")
    found = find_inputs(["b.png", "b.segmented.png", "c.segmented.png", "in", "in.segmented"])
    assert [item.text for item in found.inputs] == ["b.png", "c.segmented.png", "in/a.png"]
    assert len(found.notes) == 1
    assert [item.text for item in find_inputs(["**/*.png"]).inputs] == ["b.png", "in/a.png"]
    assert [item.text for item in find_inputs(["in.segmented/*.png"]).inputs] == ["in.segmented/a.png"]


@pytest.mark.parametrize(
    "name", ["100%d.png", "a [1].png", "-a.png", "a\nb.png", "[red]a{x}.png", "b\udcff.png", "😀.png"]
)
def test_any_name_is_read_and_written(hyperseg_run: Callable[..., Finished], tmp_path: Path, name: str) -> None:
    (tmp_path / "folder [x]").mkdir()
    path = tmp_path / "folder [x]" / name
    path.write_bytes(content("image.png", tmp_path))
    assert [item.text for item in find_inputs(["folder [x]/*.png"]).inputs] == [f"folder [x]/{name}"]
    done = hyperseg_run("folder [x]", "--stats", "s.csv", "--labels", "labels")
    assert done.code == 0, done
    assert (tmp_path / "folder [x].segmented" / name).is_file() and (tmp_path / "labels" / name).is_file()
    assert all(line.isprintable() for line in done.out.splitlines())
    path.write_bytes(b"no image")
    hyperseg_run("--", f"folder [x]/{name}").failed_with("is not an image")


def test_results_of_formats_that_are_not_written(hyperseg_run: Callable[..., Finished], tmp_path: Path) -> None:
    Path("in").mkdir()
    for name, made in {"a.gif": "still.gif", "b": "image.jpg", "c.ppm": "image.ppm", "d.jpeg": "image.png"}.items():
        (tmp_path / "in" / name).write_bytes(content(made, tmp_path))
    assert hyperseg_run("in").code == 0
    found = {path.name: path.read_bytes()[:4] for path in Path("in.segmented").glob("[!.]*")}
    png = b"\x89PNG"
    assert found == {"a.png": png, "b.png": png, "c.png": png, "d.jpeg": b"\xff\xd8\xff\xe0"}


LAYOUTS: dict[str, dict[str, int]] = {
    "single": {},
    "tiles": {"tile": 64},
    "turned": {"turns": 1},
    "tiles, turned and mirrored": {"tile": 64, "turns": 3, "mirror": 1},
    "upside down": {"mirror": 0},
}


@pytest.mark.parametrize("suffix", ENCODERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_heif_images_are_whole_and_upright(tmp_path: Path, suffix: str, layout: str) -> None:
    if ENCODERS[suffix][0] not in av.codecs_available:
        pytest.skip(f"this PyAV has no {ENCODERS[suffix][0]} to write the image with")
    options = LAYOUTS[layout]
    image = images(3, (100, 150))[1]
    expected = np.rot90(image, options.get("turns", 0))
    if "mirror" in options:
        expected = expected[:, ::-1] if options["mirror"] else expected[::-1]
    path = write_heif(tmp_path / f"a.{suffix}", image, **options)
    got = read_image(path)
    assert got.shape == expected.shape
    # Chroma at half resolution and the codec; any other orientation or tile order differs by tens.
    assert np.abs(got.astype(int) - expected).mean() < 6
    assert np.abs(got.astype(int) - expected[::-1]).mean() > 20


@pytest.mark.parametrize("keep", [20, 200, 900, -40])
def test_damaged_heif_images_are_one_line(tmp_path: Path, keep: int) -> None:
    encoder = ENCODERS["heic"][0]
    if encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no {encoder} to write the image with")
    path = write_heif(tmp_path / "a.heic", images(1, (100, 150))[0], tile=64)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"a\.heic is .* convert it") as raised:
        read_image(path)
    assert "\n" not in str(raised.value)


def test_an_image_that_opencv_cannot_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + bytes(20))
    with pytest.raises(InputError, match="JPEG XL that is not read here; convert it"):
        read_image(tmp_path / "a.jxl")


@pytest.mark.parametrize("at", [20, 60, -20])
@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_png_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str], at: int, cut: bool) -> None:
    """libpng would print a line of its own."""
    whole = content("image.png", tmp_path)
    at %= len(whole)
    (tmp_path / "a.png").write_bytes(whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    with pytest.raises(InputError, match=r"a\.png is truncated or damaged"):
        read_image(tmp_path / "a.png")
    assert capfd.readouterr().err == ""
    (tmp_path / "a.png").write_bytes(whole + b"after the end")
    assert read_image(tmp_path / "a.png").shape == (*SIZE, 3)
