"""Automatic entries of a recipe: resolutions and crops that fit any images, and lengths that fit their number."""

import dataclasses
from pathlib import Path

import pytest

import hyperseg
from hyperseg.data import Crop
from hyperseg.training.fit import Typical, fit, fitting_crops, fitting_resolution, usual_iterations, with_iterations
from hyperseg.training.recipe import load_recipe, parse_recipe, recipe_table
from hyperseg.training.splits import open_data
from training.scenes import write_scenes

SIZES = [(1, 1), (17, 33), (64, 64), (240, 320), (480, 360), (720, 960), (1080, 1920), (3000, 4000), (100, 4000)]


@pytest.mark.parametrize("unit", [32, 64, 128])
@pytest.mark.parametrize("size", SIZES)
def test_resolutions_fit_the_images_and_are_bounded(size: tuple[int, int], unit: int) -> None:
    height, width = fitting_resolution(size, unit)
    assert height % unit == width % unit == 0 and min(height, width) >= unit
    assert height * width <= max(576 * 768, unit * unit)
    if min(size) >= 2 * unit and max(size) < 3 * min(size):
        assert 0.6 < (height / width) / (size[0] / size[1]) < 1.6
    crops = fitting_crops((height, width), unit)
    assert sum(crop.share for crop in crops) == pytest.approx(1)
    assert len({(crop.height, crop.width) for crop in crops}) == len(crops)
    for crop in crops:
        assert crop.height % unit == crop.width % unit == 0
        assert unit <= crop.height <= height and unit <= crop.width <= width
    assert Crop(height, width, crops[-1].share) == crops[-1]


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("count", [2, 3, 30])
def test_images_are_held_out_and_some_are_left_to_train_on(count: int, share: float, tmp_path: Path) -> None:
    recipe = load_recipe("finetune", ["data.layout=own", f"data.hold_out={share}"])
    data = open_data(recipe.data, 1, write_scenes(tmp_path, count, 0), lambda _: None)
    assert len(data.train) >= 1 and len(data.validation) >= 1
    assert len(data.train) + len(data.validation) == count


def test_iterations_grow_with_the_images_and_not_as_fast() -> None:
    counts = [usual_iterations(count, 4) for count in (1, 20, 40, 500, 5000)]
    assert counts == sorted(counts) and len(set(counts)) == len(counts)
    assert usual_iterations(400, 8) < usual_iterations(400, 4)
    assert usual_iterations(5000, 4) < 125 * usual_iterations(40, 4)


def test_every_automatic_entry_is_chosen_and_no_other() -> None:
    recipe = load_recipe("finetune", ["crops=[{height=64,width=64}]", "optimiser.warmup=3"])
    assert "crops" not in recipe.automatic and "optimiser.warmup" not in recipe.automatic
    unit = hyperseg.preset("camvid-lite").unit
    fitted = fit(recipe, Typical((240, 320), 40), unit)
    assert fitted.automatic == () and fitted.crops == (Crop(64, 64),) and fitted.optimiser.warmup == 3
    assert fitted.optimiser.iterations == usual_iterations(40, fitted.batch)
    assert parse_recipe(recipe_table(fitted)) == fitted
    kept = dataclasses.replace(recipe, automatic=(), resolution=fitted.resolution, average=fitted.average)
    assert dataclasses.replace(fitted, optimiser=kept.optimiser, validate_every=1, checkpoint_every=1) == kept


@pytest.mark.parametrize("iterations", [1, 7, 60, 5000])
def test_what_depends_on_the_iterations_follows_them(iterations: int) -> None:
    recipe = with_iterations(load_recipe("finetune"), iterations)
    assert recipe.optimiser.iterations == iterations and recipe.optimiser.warmup < iterations
    assert 1 <= recipe.validate_every <= iterations and 1 <= recipe.checkpoint_every <= iterations
    assert 0 < recipe.average < 1 and set(recipe.automatic) == {"resolution", "crops"}
