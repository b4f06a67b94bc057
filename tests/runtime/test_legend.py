"""The legend: what it lists, where it is, how much of the frame it takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hyperseg_runtime.output.legend import Corner, Entries, Legend
from hyperseg_runtime.output.legend_layout import MAX_SHARE, arranged
from hyperseg_runtime.output.lettering import shortened, text_width, writable

CAMVID = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist")
LONG = tuple(f"a class whose name is far too long for any legend, number {label}" for label in range(150))
SIZES = [(360, 640), (60, 100), (1, 2000), (40, 3000), (2160, 3840), (1280, 720), (30, 30), (1, 1), (720, 60)]


def changed(
    names: Sequence[str], size: tuple[int, int], present: Sequence[int], corner: Corner = Corner.TOP_LEFT
) -> np.ndarray:
    """Pixels that the legend of an image with these classes changes, bool [h, w]."""
    image = np.full((*size, 3), 128, np.uint8)
    shares = np.zeros(256)
    shares[list(present)] = 1 / max(len(present), 1)
    Legend(names, np.full((256, 3), 90, np.uint8), corner, moving=False).draw(image, shares)
    return (image != 128).any(axis=2)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    "names", [CAMVID, LONG, ("x" * 5000,), ("道路", "\n", "")], ids=["camvid", "long", "one", "odd"]
)
def test_it_never_takes_more_than_its_share(names: Sequence[str], size: tuple[int, int]) -> None:
    for count in {1, len(names) // 2, len(names)} - {0}:
        panel = changed(names, size, range(count))
        rows, columns = np.flatnonzero(panel.any(axis=1)), np.flatnonzero(panel.any(axis=0))
        if len(rows):
            area = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
            assert area <= MAX_SHARE * panel.size, (count, area / panel.size)


@pytest.mark.parametrize("size", [(360, 480), (360, 640), (720, 1280), (2160, 3840), (1280, 720)])
def test_usual_frames_have_room_for_every_name(size: tuple[int, int]) -> None:
    layout = arranged(CAMVID, CAMVID, size)
    assert layout is not None
    assert layout.texts == CAMVID


def test_it_is_larger_in_larger_frames() -> None:
    small, large = (arranged(CAMVID, CAMVID, size) for size in ((720, 1280), (2160, 3840)))
    assert small is not None
    assert large is not None
    assert large.font / small.font == pytest.approx(3, rel=0.1)


def test_where_not_all_fit_the_rest_is_counted() -> None:
    layout = arranged(LONG, LONG, (360, 640))
    assert layout is not None
    assert 4 <= layout.named < len(LONG)
    assert layout.texts[-1] == f"+{len(LONG) - layout.named} more"
    named = [text for text in layout.texts[:-1] if text]
    assert len(set(named)) == len(named), "names that differ at their ends still differ"


def test_only_classes_that_are_there() -> None:
    few, many = changed(CAMVID, (360, 640), [3]), changed(CAMVID, (360, 640), range(11))
    assert 0 < few.sum() < many.sum() / 3
    assert not changed(CAMVID, (360, 640), []).any()


@pytest.mark.parametrize("corner", Corner)
def test_corners(corner: Corner) -> None:
    panel = changed(CAMVID, (360, 640), range(11), corner)
    rows, columns = np.flatnonzero(panel.any(axis=1)), np.flatnonzero(panel.any(axis=0))
    assert (rows[0] > 180) == ("bottom" in corner.value)
    assert (rows[-1] < 180) == ("top" in corner.value)
    assert (columns[0] > 320) == ("right" in corner.value)
    assert (columns[-1] < 320) == ("left" in corner.value)


def shares(**of_class: float) -> np.ndarray:
    made = np.zeros(len(CAMVID))
    for name, share in of_class.items():
        made[CAMVID.index(name)] = share
    return made


def test_entries_of_a_video_do_not_flicker() -> None:
    """A class that comes and goes keeps its place, and no other class moves."""
    entries = Entries(moving=True)
    road, sky, car, sign = (CAMVID.index(name) for name in ("road", "sky", "car", "sign"))
    assert entries.update(shares(road=0.6, sky=0.4)) == (road, sky)
    seen = set()
    for number in range(40):
        there = number % 2
        seen.add(entries.update(shares(road=0.5, sky=0.4 * there, sign=0.1 * there)))
    assert seen == {(road, sky)}, "a flickering sign never enters, a flickering sky never leaves"
    for _ in range(20):
        last = entries.update(shares(road=0.5, sky=0.4, car=0.1))
    assert last == (road, sky, car)
    for _ in range(200):
        last = entries.update(shares(road=0.9, car=0.1))
    assert last == (road, None, car), "a class that has left leaves its place empty: the others stay"
    for _ in range(20):
        last = entries.update(shares(road=0.8, sign=0.1, car=0.1))
    assert last == (road, sign, car)
    for _ in range(200):
        last = entries.update(shares(road=1.0))
    assert last == (road,)


def test_entries_of_images_are_those_of_each_image() -> None:
    entries = Entries(moving=False)
    assert entries.update(shares(road=1)) == (CAMVID.index("road"),)
    assert entries.update(shares(sky=1)) == (CAMVID.index("sky"),)


def test_the_width_of_a_videos_legend_stays() -> None:
    legend = Legend(CAMVID, np.full((256, 3), 90, np.uint8), Corner.TOP_LEFT, moving=True)
    widths = []
    for content in [shares(road=0.5, pedestrian=0.5)] + [shares(road=1.0)] * 200:
        image = np.full((360, 640, 3), 128, np.uint8)
        legend.draw(image, content)
        widths.append(int((image != 128).any(axis=(0, 2)).sum()))
    assert set(widths) == {widths[0]}


def test_names_in_other_scripts_are_written_as_far_as_the_fonts_go() -> None:
    assert writable("road", "class 0") == "road"
    assert writable(" traffic\tlight\n", "class 0") == "traffic light"
    assert writable("Fußgänger", "class 0") in ("Fußgänger", "Fussganger")
    assert writable("道路", "class 7") in ("道路", "class 7")
    assert writable("\U000f0000\x00", "class 7") == "class 7"
    assert writable("", "class 7") == "class 7"


@pytest.mark.parametrize("width", [0, 10, 40, 80, 1000])
def test_shortened_names_fit_and_keep_both_ends(width: int) -> None:
    text = shortened("a rather long name 17", width, 12)
    assert text_width(text, 12) <= max(width, text_width("...", 12))
    if 40 < width < 1000:
        assert text.startswith("a")
        assert text.endswith("7")
