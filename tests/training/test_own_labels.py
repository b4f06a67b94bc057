"""Label files of a data set of one's own: by value, by the palette of a PNG, and by colour."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime.output import label_png
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperseg.classes import VOID, Classes, distinct_palette
from hyperseg.data import DataError, Pixels
from hyperseg.data.description import Description, LabelKind, read_description
from hyperseg.data.label_error import LabelValueError
from hyperseg.data.label_values import OwnLabels
from hyperseg.data.reading import decoded, read_content
from training.folders import describe, labels, write
from training.within import within

PALETTE = ((120, 80, 40), (60, 200, 60), (220, 40, 40))
COLOURED = f"palette = {[list(colour) for colour in PALETTE]}\n"
EXPECTED = labels(0, 1, 2, VOID)


def _read(tmp_path: Path, toml: str, pixels: Pixels, name: str = "a.png") -> Pixels:
    description = read_description(describe(tmp_path, toml) / "dataset.toml")
    read = OwnLabels(description)(write(tmp_path / name, pixels))
    assert read.dtype == np.uint8 and read.ndim == 2
    return read


def _in_colour(label: Pixels, void: tuple[int, int, int] = (0, 0, 0)) -> Pixels:
    """BGR, as OpenCV writes it."""
    table = np.zeros((256, 3), np.uint8)
    table[:3], table[VOID] = PALETTE, void
    return table[label][..., ::-1]


def _with_alpha(pixels: Pixels) -> Pixels:
    return np.dstack([pixels, np.random.default_rng(0).integers(0, 256, pixels.shape[:2], np.uint8)])


@pytest.mark.parametrize(
    ("toml", "pixels"),
    [
        ("", EXPECTED),
        ("", EXPECTED.astype(np.uint16)),
        ("", np.dstack([EXPECTED] * 3)),
        ("", _with_alpha(np.dstack([EXPECTED] * 3))),
        (COLOURED, EXPECTED),
        (COLOURED + 'label_kind = "index"', EXPECTED),
        (COLOURED + 'label_kind = "index"', np.dstack([EXPECTED] * 3)),
        (COLOURED + "void_colour = [0, 0, 0]", _in_colour(EXPECTED)),
        (COLOURED + "void_colour = [[0, 0, 0], [9, 9, 9]]", _in_colour(EXPECTED, (9, 9, 9))),
        (COLOURED + 'label_kind = "colour"\nvoid_colour = [[0, 0, 0]]', _with_alpha(_in_colour(EXPECTED))),
        ("void = 7", labels(0, 1, 2, 7)),
        ("void = [7, 9]", labels(0, 1, 2, 7, height=6, width=16)),
        ("values = [10, 20, 30]\nvoid = [0, 255]", labels(10, 20, 30, 0)),
        ("values = [26000, 0, 65535]\nvoid = 26001", np.array([[26000, 0, 65535, 26001]], np.uint16)),
        ('classes = ["ground", "crack"]\nvalues = [0, 255]', labels(0, 255)),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "PNG", "tif"])
def test_labels_are_read(tmp_path: Path, toml: str, pixels: Pixels, suffix: str) -> None:
    read = _read(tmp_path, toml, pixels, f"a.{suffix}")
    expected = {0: 0, 1: 1, 2: 2, 255: VOID} if "crack" not in toml else {0: 0, 1: 1}
    assert set(np.unique(read)) == set(expected.values())
    order = [tuple(np.atleast_1d(pixels[0, x]).tolist()) for x in range(len(expected))]
    assert len({value[:3] for value in order}) == len(expected)  # the first pixels are one of each
    assert read[0, : len(expected)].tolist() == list(expected.values())


def test_indices_of_a_png_with_a_palette(tmp_path: Path) -> None:
    """As hyperseg-run --labels writes them, with the palette of the classes or any other."""
    description = read_description(describe(tmp_path, COLOURED) / "dataset.toml")
    for palette in (PALETTE, distinct_palette(3), ((0, 0, 0),) * 3):
        (tmp_path / "a.png").write_bytes(label_png.encode(EXPECTED % 255, palette))
        assert np.array_equal(OwnLabels(description)(tmp_path / "a.png"), EXPECTED % 255)


def test_a_palette_in_another_order_than_the_indices_needs_a_word(tmp_path: Path) -> None:
    """As programs write that turn colour images into PNGs with a palette: in the order of first use."""
    stored = labels(0, 1, 2)
    (tmp_path / "a.png").write_bytes(label_png.encode(stored, PALETTE[::-1]))
    file = describe(tmp_path, COLOURED) / "dataset.toml"
    with pytest.raises(DataError, match=r"a.png is a PNG with a palette .* label_kind = \"colour\" or \"index\""):
        OwnLabels(read_description(file))(tmp_path / "a.png")
    for kind, expected in (("index", stored), ("colour", 2 - stored)):
        describe(tmp_path, f'{COLOURED}label_kind = "{kind}"')
        assert np.array_equal(OwnLabels(read_description(file))(tmp_path / "a.png"), expected)


def test_grey_with_alpha_is_no_colour_image(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    from PIL import Image

    file = describe(tmp_path, COLOURED) / "dataset.toml"
    Image.fromarray(np.dstack([EXPECTED, EXPECTED // 2]), "LA").save(tmp_path / "a.png")
    assert np.array_equal(OwnLabels(read_description(file))(tmp_path / "a.png"), EXPECTED)


@pytest.mark.parametrize(
    ("toml", "pixels", "message", "counts"),
    [
        (
            "",
            labels(0, 3),
            r"a.png has the label value 3 \(96 pixels\), which .* are 0 to 2, void 255; .*void = \[255, 3\]",
            {"3": 96},
        ),
        (
            "",
            np.array([[0, 9, 9, 7]], np.uint8),
            r"has the label values 9 \(2 pixels\), 7 \(1 pixel\), which",
            {"9": 2, "7": 1},
        ),
        ("void = 0\nvalues = [1, 2, 3]", labels(255), r"classes are 1, 2, 3, void 0;", {"255": 192}),
        (
            "",
            np.array([[0, 26001, 256]], np.uint16),
            r"values 256 \(1 pixel\), 26001 \(1 pixel\)",
            {"256": 1, "26001": 1},
        ),
        (
            "",
            np.arange(10, 22, dtype=np.uint8).reshape(3, 4),
            r"and 7 more, which no class has",
            {str(v): 1 for v in range(10, 22)},
        ),
        (
            COLOURED,
            _in_colour(EXPECTED),
            r"the colour \(0, 0, 0\) \(48 pixels\), .* `void_colour` \(\[0, 0, 0\]\)",
            {"(0, 0, 0)": 48},
        ),
        (
            COLOURED,
            np.array([[[3, 2, 1], [4, 2, 1]]], np.uint8),
            r"colours \(1, 2, 3\) \(1 pixel\), \(1, 2, 4\)",
            {"(1, 2, 3)": 1, "(1, 2, 4)": 1},
        ),
    ],
)
def test_unknown_values_are_counted(
    tmp_path: Path, toml: str, pixels: Pixels, message: str, counts: dict[str, int]
) -> None:
    with pytest.raises(LabelValueError, match=message) as caught:
        _read(tmp_path, toml, pixels)
    assert caught.value.counts == counts and caught.value.file == tmp_path / "a.png"


@pytest.mark.parametrize(
    ("toml", "pixels", "name", "message"),
    [
        (
            "",
            _in_colour(EXPECTED),
            "a.png",
            "a.png is a colour image, and labels are class indices here; give `palette`",
        ),
        (
            COLOURED + 'label_kind = "index"',
            _in_colour(EXPECTED),
            "a.png",
            "save the indices as one channel, or set label_kind",
        ),
        (COLOURED + 'label_kind = "colour"', EXPECTED, "a.png", "a.png is not in colour, as label_kind"),
        (COLOURED, _in_colour(EXPECTED).astype(np.uint16), "a.png", "is a colour image of type uint16"),
        ("", EXPECTED.astype(np.float32), "a.tif", "pixels of type float32; save the labels with 8 or 16 bits"),
        ("", EXPECTED, "a.jpg", "a.jpg is in a lossy format"),
        ("", EXPECTED, "a.webp", "a.webp is in a lossy format"),
    ],
)
def test_labels_that_cannot_be_are_named(tmp_path: Path, toml: str, pixels: Pixels, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _read(tmp_path, toml, pixels, name)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("a.jpg", "in a lossy format"),
        ("a.webp", "in a lossy format"),
        ("a.pgm", "in another format than its name says"),
    ],
)
def test_a_format_is_told_by_the_content(tmp_path: Path, written: str, message: str) -> None:
    """Lossy WebP under a label's name would change values without a word."""
    description = read_description(describe(tmp_path) / "dataset.toml")
    label = tmp_path / "label.png"
    write(tmp_path / written, labels(0, 1, 2)).rename(label)
    with pytest.raises(DataError, match=rf"label\.png is {message}"):
        OwnLabels(description)(label)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("fifo", "is no file"), ("device", "is no file"), ("itself", "does not exist"), ("unreadable", "cannot be read")],
)
def test_a_label_that_is_no_file_is_named_and_never_waited_for(tmp_path: Path, kind: str, message: str) -> None:
    description = read_description(describe(tmp_path) / "dataset.toml")
    label = tmp_path / "label.png"
    if kind == "fifo":
        os.mkfifo(label)
    else:  # of /proc/self/mem the first page cannot be read, also by root (proc_pid_mem(5))
        label.symlink_to({"device": "/dev/zero", "itself": "label.png", "unreadable": "/proc/self/mem"}[kind])
    with within(20), pytest.raises(DataError, match=rf"label\.png {message}"):
        OwnLabels(description)(label)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_assignment_of_values_and_colours_is_inverted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever values and colours the classes have: writing a label with them and reading it gives the label."""
    count = data.draw(st.integers(1, 255))
    values = data.draw(st.lists(st.integers(0, 65535), min_size=count + 1, max_size=count + 1, unique=True))
    colour = st.tuples(*[st.integers(0, 255)] * 3)
    colours = data.draw(st.lists(colour, min_size=count + 1, max_size=count + 1, unique=True))
    wide = data.draw(st.booleans())
    if not wide and max(values) > 255:
        values = list(range(count + 1))
    label = np.random.default_rng(count).integers(0, count + 1, (9, 7))
    expected = np.where(label == count, VOID, label)
    folder = tmp_path_factory.mktemp("labels")
    description = Description(
        folder / "dataset.toml",
        Classes(tuple(map(str, range(count))), tuple(colours[:-1])),
        coloured=True,
        values=tuple(values[:-1]),
        void=(values[-1],),
        void_colours=(colours[-1],),
    )
    stored = np.array(values, np.uint16 if wide else np.uint8)[label]
    assert np.array_equal(OwnLabels(description)(write(folder / "value.png", stored)), expected)
    pixels = np.array(colours, np.uint8)[label][..., ::-1]
    as_colour = Description(**{**vars(description), "label_kind": LabelKind.COLOUR})
    assert np.array_equal(OwnLabels(as_colour)(write(folder / "colour.png", pixels)), expected)
    unknown = next(value for value in range(1 << 16) if value not in values)
    stored = stored.astype(np.uint16)
    stored[3, 3] = unknown
    with pytest.raises(LabelValueError) as caught:
        OwnLabels(description)(write(folder / "value.png", stored))
    assert caught.value.counts == {str(unknown): 1}


def test_labels_of_16_bits_are_not_cut_to_8(tmp_path: Path) -> None:
    """256 + 5 is not 5, in the layouts of published data sets either."""
    from hyperseg.data import Layout, open_split
    from training.folders import camvid

    root = camvid(tmp_path)
    write(root / "trainannot/0.png", np.full((12, 16), 261, np.uint16))
    with pytest.raises(DataError, match=r"0.png has the label value 261 .192 pixels."):
        open_split(Layout.CAMVID, root, "train")[0]
    assert decoded(root, read_content(root / "trainannot/0.png")).dtype == np.uint16
    assert cv2.imwrite(str(root / "trainannot/0.png"), np.full((12, 16), 5, np.uint16))
    assert set(np.unique(open_split(Layout.CAMVID, root, "train")[0].label)) == {5}
