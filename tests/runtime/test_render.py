"""Rendering: colours, outlines, contours, selected classes, and frames and labels of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.metadata import InputType, Metadata, OutputKind
from hyperseg_runtime.output.legend import Corner
from hyperseg_runtime.output.palette import Palette, palette_of
from hyperseg_runtime.output.render import Appearance, Renderer, Style
from hyperseg_runtime.preprocess import restore

from .clips import images, write_clip
from .conftest import Finished
from .stand_in import NAMES, PALETTE, SIZE, metadata

Run = Callable[..., Finished]
ABOUT = metadata(OutputKind.LABELS, InputType.UINT8, SIZE)
COLOURS = np.array(PALETTE, np.uint8)[:, ::-1]


def blobs(size: tuple[int, int], count: int = 12, seed: int = 1) -> np.ndarray:
    """Labels in soft shapes, uint8 [h, w]."""
    noise = np.random.default_rng(seed).normal(size=(count, *size)).astype(np.float32)
    soft = [cv2.GaussianBlur(plane, (0, 0), max(1.0, min(size) / 12)) for plane in noise]
    return np.argmax(soft, axis=0).astype(np.uint8)


def disc(size: int, radius: float, label: int = 1) -> np.ndarray:
    """A disc of `label` on 0."""
    y, x = np.mgrid[0:size, 0:size] + 0.5 - size / 2
    return np.where(np.hypot(y, x) < radius, label, 0).astype(np.uint8)


def test_styles() -> None:
    frame, labels = images(1, (64, 96))[0], blobs((64, 96))
    colours = COLOURS[labels]
    draw = {
        style: Renderer(ABOUT, Appearance(style, alpha=0.25, outline=False))(frame, labels)
        for style in (Style.OVERLAY, Style.SIDE_BY_SIDE, Style.MASK)
    }
    assert (draw[Style.MASK] == colours).all()
    mixed = 0.25 * colours + 0.75 * frame
    assert np.abs(draw[Style.OVERLAY] - mixed).max() <= 0.5
    assert (draw[Style.SIDE_BY_SIDE] == np.hstack([frame, draw[Style.OVERLAY]])).all()


def test_the_frame_is_not_changed() -> None:
    frame, labels = images(1, (360, 480))[0], blobs((360, 480))
    before = frame.copy(), labels.copy()
    for style in Style:
        Renderer(ABOUT, Appearance(style, legend=Corner.TOP_LEFT))(frame, labels)
    assert (frame == before[0]).all()
    assert (labels == before[1]).all()


def test_opacity_at_its_ends() -> None:
    frame, labels = images(1, (64, 96))[0], blobs((64, 96))
    assert (Renderer(ABOUT, Style.OVERLAY, alpha=0)(frame, labels) == frame).all()
    assert (Renderer(ABOUT, Appearance(alpha=1, outline=False))(frame, labels) == COLOURS[labels]).all()
    assert (Renderer(ABOUT, Appearance(alpha=0, outline=True))(frame, labels) != frame).any()
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="alpha"):
            Appearance(alpha=alpha)


@pytest.mark.parametrize(
    "look",
    [{"style": "mask"}, {"style": "nonsense"}, {"legend": "top-left"}, {"palette": "distinct"}, {"classes": ["road"]},
     {"classes": [256]}, {"classes": [-1]}, {"classes": "12"}],
)  # fmt: skip
def test_what_is_no_member_is_refused(look: dict[str, object]) -> None:
    (name,) = look
    with pytest.raises(InputError, match=name):
        Appearance(**look)  # type: ignore[arg-type]


def drawn(labels: np.ndarray, size: tuple[int, int], **look: object) -> np.ndarray:
    """Where a contour of the labels is drawn into a grey frame, float [h, w]: the change of the brightest channel."""
    frame = np.full((*size, 3), 128, np.uint8)
    appearance = replace(Appearance(Style.CONTOUR), **look)  # type: ignore[arg-type]
    image = Renderer(ABOUT, appearance)(frame, restore(labels, size), labels.shape)
    return np.abs(image.astype(float) - 128).max(axis=2)


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_a_contour_is_one_smooth_line_whatever_the_labels_resolution(factor: int) -> None:
    """Around a disc: on every ray one line, of the same width, at the disc's edge, and not in steps."""
    radius, side = 30.3, 96
    change = drawn(disc(side, radius), (side * factor, side * factor))
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    steps = np.arange(0, side / 2 - 2, 0.25 / factor)
    centre = side * factor / 2 - 0.5
    x = (centre + factor * np.outer(np.cos(angles), steps)).astype(np.float32)
    y = (centre + factor * np.outer(np.sin(angles), steps)).astype(np.float32)
    rays = cv2.remap(change.astype(np.float32), x, y, cv2.INTER_LINEAR)
    on_line = rays > 40
    entries = np.count_nonzero(np.diff(on_line.astype(int), axis=1) == 1, axis=1)
    assert (entries == 1).all(), "a second line, or a gap"
    centres = (rays * on_line * steps).sum(axis=1) / (rays * on_line).sum(axis=1)
    assert np.abs(centres - radius).max() < 0.6, "off the edge by more than its pixels explain"
    assert np.abs(np.diff(centres)).max() < 0.2, "a step; the labels' own are 1"
    widths = on_line.sum(axis=1) * 0.25 / factor  # in the labels' pixels, with the casing
    assert widths.max() < 1.8 * widths.min()
    assert 1 <= np.median(widths) <= 3


def test_the_line_between_two_classes_has_the_later_ones_colour() -> None:
    labels = np.full((60, 60), 3, np.uint8)
    labels[:, 30:] = 9
    frame = np.full((60, 60, 3), 128, np.uint8)
    row = Renderer(ABOUT, Style.CONTOUR)(frame, labels)[30].astype(float)
    line = row[np.abs(row - 128).sum(axis=1) > 60]
    assert len(line)
    towards = line - 128
    later, earlier = COLOURS[9] - 128.0, COLOURS[3] - 128.0
    strongest = towards[np.abs(towards).sum(axis=1).argmax()]
    assert np.abs(strongest - later).sum() < 0.5 * np.abs(strongest - earlier).sum()


@pytest.mark.parametrize("ground", [0, 128, 255])
@pytest.mark.parametrize("colour", [(0, 0, 0), (64, 0, 64), (255, 255, 255), (128, 128, 128)])
def test_contours_are_visible_on_any_ground(ground: int, colour: tuple[int, int, int]) -> None:
    """Their casing is, where they are not."""
    about = replace(ABOUT, palette=(colour,) * 12)
    frame = np.full((96, 96, 3), ground, np.uint8)
    image = Renderer(about, Style.CONTOUR)(frame, disc(96, 30))
    assert np.abs(image.astype(int) - ground).max() > 25


def test_outlines_are_drawn_into_overlays_unless_turned_off() -> None:
    frame, labels = np.full((360, 480, 3), 90, np.uint8), blobs((360, 480))
    for style in (Style.OVERLAY, Style.SIDE_BY_SIDE):
        plain, outlined = (Renderer(ABOUT, Appearance(style, outline=on))(frame, labels) for on in (False, True))
        share = (plain != outlined).any(axis=2).mean()
        assert 0 < share < 0.2
        assert (Renderer(ABOUT, style)(frame, labels) == outlined).all()
    assert (Renderer(ABOUT, Style.MASK)(frame, labels) == COLOURS[labels]).all()


def test_areas_of_one_class_have_no_outline() -> None:
    frame = images(1, (64, 96))[0]
    assert not drawn(np.full((64, 96), 4, np.uint8), (64, 96)).any()
    labels = np.full((64, 96), 4, np.uint8)
    one = Renderer(ABOUT, Appearance(outline=True))(frame, labels)
    assert (one == Renderer(ABOUT, Appearance(outline=False))(frame, labels)).all()


def test_selected_classes_only() -> None:
    frame, labels = images(1, (64, 96))[0], blobs((64, 96))
    chosen = frozenset({3, 8})
    there = np.isin(labels, list(chosen))
    image = Renderer(ABOUT, Appearance(classes=chosen, outline=False))(frame, labels)
    assert (image[~there] == frame[~there]).all()
    assert (image[there] == Renderer(ABOUT, Appearance(outline=False))(frame, labels)[there]).all()
    mask = Renderer(ABOUT, Appearance(Style.MASK, classes=chosen))(frame, labels)
    assert (mask == np.where(there[..., np.newaxis], COLOURS[labels], 0)).all()
    others = np.where(there, 0, labels)  # between classes that are not drawn there are no lines either
    assert not drawn(others, (64, 96), classes=chosen).any()


@pytest.mark.parametrize("style", Style)
def test_labels_of_no_class_are_left_as_they_are(style: Style) -> None:
    frame, labels = images(1, (64, 96))[0], blobs((64, 96))
    labels[:, :48] = 255
    labels[:20, :48] = 12
    image = Renderer(ABOUT, Appearance(style, outline=False, legend=Corner.TOP_RIGHT))(frame, labels)
    left = image[:, :40] if style is not Style.SIDE_BY_SIDE else image[:, 96:136]
    assert (left == (0 if style is Style.MASK else frame[:, :40])).all()


@pytest.mark.parametrize("count", [1, 2, 255, 256])
@pytest.mark.parametrize("style", Style)
def test_any_number_of_classes(style: Style, count: int) -> None:
    colours = tuple((label, 255 - label, label // 2) for label in range(count))
    about = Metadata(tuple(map(str, range(count))), colours, ABOUT.input, ABOUT.output, ABOUT.precision, preset="x")
    frame, labels = images(1, (64, 96))[0], blobs((64, 96), min(count, 40)) + np.uint8(max(0, count - 40))
    for palette in Palette:
        image = Renderer(about, Appearance(style, palette=palette))(frame, labels)
        if style is Style.MASK:
            assert (image == palette_of(about, palette)[labels][..., ::-1]).all()
    assert Renderer(about, Appearance(style, classes={count - 1}))(frame, labels).shape == image.shape


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (4, 1), (3, 4), (1, 2000), (60, 100)])
@pytest.mark.parametrize("style", Style)
def test_frames_of_any_size(style: Style, size: tuple[int, int]) -> None:
    network = blobs((64, 96))
    frame = np.full((*size, 3), 200, np.uint8)
    look = Appearance(style, legend=Corner.BOTTOM_RIGHT, outline=True, moving=True)
    image = Renderer(ABOUT, look)(frame, restore(network, size), network.shape)
    assert image.shape == (size[0], size[1] * (2 if style is Style.SIDE_BY_SIDE else 1), 3)
    for labels in (np.array([[3]], np.uint8), np.array([[3, 4]], np.uint8)):
        Renderer(ABOUT, look)(frame, restore(labels, size), labels.shape)


def test_the_legend_shows_colours_as_the_image_does() -> None:
    """In an overlay they are mixed with what lies below, in a mask they are pure."""
    labels = np.full((360, 480), 5, np.uint8)
    frame = np.full((360, 480, 3), 128, np.uint8)
    for style in (Style.OVERLAY, Style.MASK):
        image = Renderer(ABOUT, Appearance(style, legend=Corner.TOP_LEFT, alpha=0.5))(frame, labels)
        swatch = image[10:20, 8:24].reshape(-1, 3)
        assert (swatch == image[300, 300]).all(axis=1).any()


def test_options_of_the_command(hyperseg_run: Run, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), images(1, (360, 480))[0])

    def run(*options: str) -> np.ndarray:
        done = hyperseg_run("a.png", "-o", "out.png", "--force", *options)
        assert done.code == 0, done
        return np.asarray(cv2.imread("out.png"))

    plain = run()
    assert (run("--legend", "off") == plain).all()
    assert (run("--no-outline") != plain).any()
    assert (run("--palette", "distinct") != plain).any()
    assert (run("--alpha", "0") == cv2.imread("a.png")).all()
    top_left = run("--legend", "top-left")
    assert (top_left != plain).any()
    assert (run("--legend") == top_left).all()
    assert (run("--legend", "bottom-right") != top_left).any()
    all_classes = run("--classes", ",".join(NAMES).upper())
    assert (all_classes == plain).all()
    assert (run("--classes", ",".join(map(str, range(12)))) == plain).all()


def test_a_bare_legend_before_the_input(hyperseg_run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", count=2)
    assert hyperseg_run("--legend", "clip.mp4", "-o", "out.mp4").code == 0
    assert hyperseg_run("-o", "out.mp4", "--force", "--legend", "--", "clip.mp4").code == 0
    assert hyperseg_run("clip.mp4", "-o", "out.mp4", "--force", "--legend=middle").code == 2


def test_unknown_classes_are_named_before_anything_is_written(hyperseg_run: Run, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), images(1, (40, 60))[0])
    side = ("--stats", "s.csv", "--polygons", "p.json")
    hyperseg_run("a.png", "--classes", "raod,car", *side).failed_with("'raod'", "did you mean 'road'", *NAMES)
    hyperseg_run("a.png", "--classes", "12", *side).failed_with("no class 12", "0 to 11")
    hyperseg_run("a.png", "--classes", "-1", *side).failed_with("'-1'", *NAMES)
    hyperseg_run("a.png", "--classes", " , ", *side).failed_with("names no class", *NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
