"""A run whose data, classes, network or weights changed since it began: an error or a warning, and never a mixture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import hyperseg
from hyperseg.training.checkpoint import read_state, write_state
from training.folders import own, write
from training.test_finetune import TINY, train

CLASSES = 'classes = ["soil", "crop", "weed"]\n'
STOPPED = "--stop-after=1"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    config = hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0")
    (folder / "network.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    torch.manual_seed(0)
    for name in ("one", "two"):
        hyperseg.save(hyperseg.create(config), folder / f"{name}.safetensors", half=True)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return own(tmp_path / "data", CLASSES)


def _describe(data: Path, text: str) -> None:
    (data / "dataset.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ('["soil", "crop", "maize"]', "'weed' is gone and 'maize' is new"),
        ('["crop", "soil", "weed"]', "their order is another"),
        ('["soil", "crop", "weed", "maize"]', "'maize' is new"),
        ('["soil"]\nvoid = [1, 2, 255]', "'crop', 'weed' are gone"),
    ],
)
@pytest.mark.parametrize("by", ["init", "recipe"])
def test_other_classes_do_not_continue_a_run(
    data: Path, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], classes: str, message: str, by: str
) -> None:
    settings = TINY if by == "init" else (*TINY, f"network={network / 'network.json'}")
    start = ("--init", network / "one.safetensors") if by == "init" else ()
    assert train(capfd, data, tmp_path / "run", *start, STOPPED, settings=settings)[0] == 0
    before = (tmp_path / "run" / "last.pt").read_bytes()
    _describe(data, f"classes = {classes}")
    code, lines = train(capfd, data, tmp_path / "run", settings=settings)
    assert code == 1 and "the classes of the data are not those of the run" in lines[-1] and message in lines[-1]
    assert "another --out" in lines[-1] and "--force" in lines[-1]
    assert (tmp_path / "run" / "last.pt").read_bytes() == before


def test_another_network_of_the_same_file_does_not_continue_a_run(
    data: Path, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = Path(shutil.copy(network / "network.json", tmp_path / "network.json"))
    settings = (*TINY, f"network={file}")
    assert train(capfd, data, tmp_path / "run", STOPPED, settings=settings)[0] == 0
    table = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(
        json.dumps({**table, "expand_ratio": [ratio + 1 for ratio in table["expand_ratio"]]}), encoding="utf-8"
    )
    code, lines = train(capfd, data, tmp_path / "run", settings=settings)
    assert code == 1 and "is of another network than the recipe's: expand_ratio" in lines[-1]
    file.unlink()  # the state has the network
    assert train(capfd, data, tmp_path / "run", settings=settings)[0] == 0


def test_other_weights_do_not_continue_a_run(
    data: Path, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = network / "one.safetensors", network / "two.safetensors"
    assert train(capfd, data, tmp_path / "run", "--init", one, STOPPED)[0] == 0
    for option in ("--init", "--weights", "--backbone-weights"):
        code, lines = train(capfd, data, tmp_path / "run", option, two)
        assert code == 1 and f"leave {option} out to resume it" in lines[-1]
    monkeypatch.chdir(network)
    assert train(capfd, data, tmp_path / "run", "--init", one.name, "--stop-after", 2)[0] == 0
    assert train(capfd, data, tmp_path / "run", "--stop-after", 3)[0] == 0
    code, lines = train(capfd, data, tmp_path / "run", "--init", two)
    assert code == 1 and f"began with --init {one}, and not with {two}" in lines[-1]


def test_the_name_of_a_shipped_model_is_the_same_everywhere(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(capfd, data, tmp_path / "run", "--init", "camvid-lite", STOPPED)[0] == 0
    monkeypatch.chdir(tmp_path)
    assert train(capfd, data, tmp_path / "run", "--init", "camvid-lite", "--stop-after", 2)[0] == 0


@pytest.mark.parametrize("change", ["images", "values"])
def test_other_images_and_label_values_are_a_warning(
    data: Path, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: str
) -> None:
    assert train(capfd, data, tmp_path / "run", "--init", network / "one.safetensors", STOPPED)[0] == 0
    if change == "images":
        for folder in ("images", "labels"):
            shutil.copy(data / folder / "train/0.png", data / folder / "train/9.png")
    else:
        _describe(data, f"{CLASSES}values = [2, 1, 0]\n")
    code, lines = train(capfd, data, tmp_path / "run", "--stop-after", 2)
    (line,) = [line for line in lines if line.startswith("warning: the images or the values of the labels")]
    assert code == 0 and ("train 2 images, now 3" in line) == (change == "images")
    log = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8")
    assert line in [json.loads(entry).get("note") for entry in log.splitlines()]
    assert "warning" not in "".join(train(capfd, data, tmp_path / "run", "--stop-after", 3)[1])


def test_other_colours_are_taken(data: Path, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(capfd, data, tmp_path / "run", "--init", network / "one.safetensors", STOPPED)[0] == 0
    palette = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    _describe(data, f"{CLASSES}palette = {[list(colour) for colour in palette]}\nlabel_kind = 'index'\n")
    assert train(capfd, data, tmp_path / "run")[0] == 0
    assert hyperseg.load(tmp_path / "run" / "last.pth").config.classes.palette == palette


def test_states_of_other_versions(data: Path, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A state without the new entries resumes; one that lacks what is needed is named."""
    assert train(capfd, data, tmp_path / "run", "--init", network / "one.safetensors", STOPPED)[0] == 0
    file = tmp_path / "run" / "last.pt"
    state = read_state(file)
    del state["data"], state["start"]["weights"]
    write_state(state, file)
    assert train(capfd, data, tmp_path / "run", "--init", network / "two.safetensors", "--stop-after", 2)[0] == 0
    write_state({key: value for key, value in read_state(file).items() if key != "config"}, file)
    code, lines = train(capfd, data, tmp_path / "run")
    assert code == 1 and "last.pt lacks config" in lines[-1]


def test_a_thin_image_is_validated_and_shown(network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The images of predictions are shrunk to a width, and one of a single row has no height to lose."""
    data = own(tmp_path / "data", CLASSES)
    for split in ("train", "val"):
        for index in range(2):
            write(data / "images" / split / f"{index}.png", np.zeros((1, 1000, 3), np.uint8))
            write(data / "labels" / split / f"{index}.png", np.zeros((1, 1000), np.uint8))
    code, lines = train(capfd, data, tmp_path / "run", "--init", network / "one.safetensors")
    assert code == 0, lines
