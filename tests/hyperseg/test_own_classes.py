"""Classes of one's own in a configuration: validated, kept by files, and never the names of another dataset."""

import json
from pathlib import Path

import pytest
import torch

import hyperseg
from hyperseg.classes import CAMVID_11, CAMVID_12, CITYSCAPES, VOC, class_set, distinct_palette

NAMES = ("Straße, naß", "木", "weed")
PALETTE = ((10, 20, 30), (255, 0, 0), (0, 0, 255))
_TINY = hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0", resolution=(64, 64), num_classes=3)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("palette", [PALETTE, None])
def test_files_keep_names_and_colours(tmp_path: Path, suffix: str, palette: tuple[tuple[int, int, int], ...]) -> None:
    config = _TINY.replace(class_names=NAMES, palette=palette)
    assert hyperseg.Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    torch.manual_seed(0)
    hyperseg.save(hyperseg.create(config), tmp_path / f"m{suffix}")
    loaded = hyperseg.load(tmp_path / f"m{suffix}").config
    assert loaded == config and hash(loaded) == hash(config)
    assert loaded.classes.names == NAMES and loaded.classes.palette == (palette or distinct_palette(3))


@pytest.mark.parametrize("name", hyperseg.presets())
def test_files_without_own_classes_stay_as_they_were(name: str) -> None:
    config = hyperseg.preset(name)
    assert not {"class_names", "palette"} & set(config.to_dict())
    expected = {"camvid": (CAMVID_11, CAMVID_12), "cityscapes": (CITYSCAPES,), "voc": (VOC,)}[config.dataset]
    assert config.classes in expected and len(config.classes) == config.num_classes


@pytest.mark.parametrize("dataset", ["camvid", "cityscapes", "voc"])
@pytest.mark.parametrize("count", [1, 3, 10, 13, 18, 20, 22, 300])
def test_other_numbers_of_classes_are_numbered(dataset: str, count: int) -> None:
    config = _TINY.replace(dataset=dataset, num_classes=count)
    assert config.classes == class_set(dataset, count)
    assert config.classes.names == tuple(f"class {index}" for index in range(count))
    coloured = config.replace(palette=distinct_palette(count))
    assert coloured.classes.palette == distinct_palette(count) and coloured.classes.names == config.classes.names


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class_names": NAMES[:2]}, r"class_names has 2 entries, expected 3 \(num_classes\)"),
        ({"palette": PALETTE * 2}, "palette has 6 entries, expected 3"),
        ({"class_names": ("a", "b", "a")}, "the class name 'a' is given 2 times"),
        ({"class_names": ("a", "b", " ")}, "the class name ' ' is empty"),
        ({"class_names": ("a", "b", 7)}, "the class name 7 is not text"),
        ({"class_names": ("a", "b", "c\nd")}, "has a line break or another control character"),
        (
            {"num_classes": 4000, "class_names": tuple(map(str, range(4000)))},
            "4000 class names; a label is one byte, so at most 256 can be told apart",
        ),
        ({"class_names": "abc"}, "class_names 'abc' must be a list"),
        (
            {"palette": (*PALETTE[:2], (0, 0, 256))},
            r"the colour \[0, 0, 256\] is not \[red, green, blue\] from 0 to 255",
        ),
        ({"palette": (*PALETTE[:2], (0, 0))}, r"the colour \[0, 0\] is not"),
        ({"palette": (*PALETTE[:2], (0, 0, True))}, r"the colour \[0, 0, True\] is not"),
        ({"palette": (*PALETTE[:2], 7)}, "the colour 7 is not"),
        ({"palette": (*PALETTE[:2], (0.5, 0, 0))}, r"the colour \[0.5, 0, 0\] is not"),
    ],
)
def test_impossible_classes_are_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _TINY.replace(**change)


@pytest.mark.parametrize("count", [1, 3, 20, 255, 1000])
def test_made_colours_are_distinct_and_never_black(count: int) -> None:
    palette = distinct_palette(count)
    assert len(set(palette)) == len(palette) == count
    assert palette == distinct_palette(count + 1)[:count]  # a class that is added changes no other's colour
    assert all(max(colour) >= 128 and min(colour) < 255 for colour in palette)
    nearest = [
        sum(abs(a - b) for a, b in zip(x, y, strict=True)) for i, x in enumerate(palette[:20]) for y in palette[:i]
    ]
    assert all(distance >= 40 for distance in nearest)
