"""Training recipes: types, checks, and the paper's hyperparameters."""

from pathlib import Path

import pytest

import hyperseg
from hyperseg.training.recipe import (
    Algorithm,
    Precision,
    RecipeError,
    load_recipe,
    parse_recipe,
    recipe_table,
    recipes,
)

# Paper, Tab. 1: batch, initial learning rate, power, iterations.
PAPER = {
    "camvid-s": (16, 1e-3, 2.0, 240_000),
    "camvid-l": (16, 1e-3, 2.0, 240_000),
    "cityscapes-m": (16, 1e-3, 0.9, 1_400_000),
    "cityscapes-s": (16, 1e-3, 0.9, 1_400_000),
    "voc-l": (32, 1e-4, 3.0, 3_200_000),
}


@pytest.mark.parametrize("name", PAPER)
def test_recipes_of_the_paper(name: str) -> None:
    recipe = load_recipe(name)
    optimiser = recipe.optimiser
    assert (recipe.batch, optimiser.learning_rate, optimiser.power, optimiser.iterations) == PAPER[name]
    assert optimiser.algorithm is Algorithm.ADAM and optimiser.betas == (0.5, 0.999)


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_trains_a_preset_and_survives_a_round_trip(name: str) -> None:
    recipe = load_recipe(name)
    assert (name == "finetune") == (recipe.network == "initial") == bool(recipe.automatic)
    config = hyperseg.preset("camvid-lite" if recipe.network == "initial" else recipe.network)
    assert all(crop.height % config.unit == 0 and crop.width % config.unit == 0 for crop in recipe.crops)
    assert parse_recipe(recipe_table(recipe)) == recipe


def test_overrides_are_toml_values() -> None:
    recipe = load_recipe(
        "camvid-s", ["batch=4", "precision=float32", "augmentation.scale=[1, 1.5]", "data.train=['val']"]
    )
    assert recipe.batch == 4 and recipe.precision is Precision.FLOAT32
    assert recipe.augmentation.scale == (1.0, 1.5) and recipe.data.train == ("val",)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("speed=3", "unknown key speed"),
        ("optimiser.momentum=0.9", "unknown key optimiser.momentum"),
        ("batch=many", "batch is 'many'; it must be a whole number"),
        ("batch=true", "it must be a whole number"),
        ("batch=0", "batch is 0"),
        ("minutes=nan", "minutes is nan; it must be a finite number"),
        ("minutes=inf", "minutes is inf; it must be a finite number"),
        ("optimiser.learning_rate=-1e-3", "optimiser.learning_rate is -0.001; it must be at least 0"),
        ("crops=[{height=64, width=64, share=0}]", "the shares of crops are [0.0]; none may be negative, and one has"),
        ("crops=[{height=64, width=64, share=-1}]", "the shares of crops are [-1.0]; none may be negative"),
        ("optimiser.betas=[0.9]", "has 1 values; it must have 2"),
        ("precision=int4", "it must be one of auto, float32"),
        ("crops=[]", "crops is empty"),
        ("augmentation.scale=[2, 1]", "must rise"),
        ("batch", "has no '='"),
        ("batch.size=2", "which is not a table"),
        ("batch=auto", "batch is 'auto'; it must be a whole number"),
        ("automatic=['crops']", "unknown key automatic; write"),
        ("minutes=-1", "minutes is -1.0; it must be at least 0"),
        ("data.hold_out=1", "data.hold_out is 1.0; it must be at least 0 and below 1"),
    ],
)
def test_wrong_entries_are_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace("[", r"\[")):
        load_recipe("camvid-lite", [override])


def test_a_missing_entry_and_a_missing_recipe_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('network = "camvid-s"\n')
    with pytest.raises(RecipeError, match="lacks data"):
        load_recipe(str(tmp_path / "mine.toml"))
    with pytest.raises(RecipeError, match="there is no recipe 'camvid-xl'; name one of camvid-l"):
        load_recipe("camvid-xl")
    (tmp_path / "broken.toml").write_text("network = \n")
    with pytest.raises(RecipeError, match="is not TOML"):
        load_recipe(str(tmp_path / "broken.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\x80\x02\xff")
    with pytest.raises(RecipeError, match=r"recipe .*binary\.toml: it is not a text file in UTF-8; name a"):
        load_recipe(str(tmp_path / "binary.toml"))
    (tmp_path / "deep.toml").write_text(f"network = {'[' * 5000}{']' * 5000}\n")
    with pytest.raises(RecipeError, match=r"deep\.toml is not TOML"):
        load_recipe(str(tmp_path / "deep.toml"))
