"""Fixtures: a small rendered dataset, and a recipe that trains a small network on it."""

import json
from pathlib import Path

import pytest
from hyperseg_street import Street
from hyperseg_street.clip import write_image

import hyperseg

SIZE = (128, 192)

RECIPE = """
network = "{network}"
batch = 4
precision = "float32"
average = 0.9
validate_every = 1000
checkpoint_every = 5
log_every = 1

[data]
layout = "camvid"

[optimiser]
algorithm = "adamw"
learning_rate = 2e-3
backbone_learning_rate = 2e-3
betas = [0.9, 0.999]
iterations = 12
warmup = 4

[[crops]]
height = 64
width = 64

[[crops]]
height = 64
width = 128

[augmentation]
scale = [0.8, 1.5]
flip = true
rotation = 5.0
"""


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dataset in CamVid's layout: 40 rendered training images, and 8 validation images of other streets."""
    root = tmp_path_factory.mktemp("street")
    for split, seeds, times in (("train", range(5), range(8)), ("val", range(100, 102), range(4))):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir()
        for seed in seeds:
            for time in times:
                frame = Street(seed, *SIZE).frame(3.0 * time)
                write_image(root / split / f"{seed}-{time}.png", frame.image[..., ::-1].copy())
                write_image(root / f"{split}annot" / f"{seed}-{time}.png", frame.label)
    return root


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe of twelve iterations of a small network, in float32."""
    folder = tmp_path_factory.mktemp("recipe")
    config = hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0", resolution=SIZE)
    (folder / "network.json").write_text(json.dumps(config.to_dict()))
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(network=folder / "network.json"))
    return path
