"""Classes of one's own from dataset.toml to every result: network, scores, exports, and what hyperseg-run writes."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hyperseg_export.evaluation.class_order import in_order
from hyperseg_export.evaluation.predictors import Facts
from hyperseg_export.hosts.folder import labels_text
from hyperseg_export.onnx_export import export_onnx
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.preprocess import Frame, Labels

import hyperseg
from hyperseg.classes import CAMVID_11, CAMVID_12, CITYSCAPES, distinct_palette
from hyperseg.data import VOID, DataError, Layout, open_split
from hyperseg.training.loss import class_weights
from training.folders import camvid, describe, image, labels, own, write
from training.processes import command, environment, records, train

NAMES = ("Straße, naß", "木", "weed; old")
PALETTE = ((10, 20, 30), (250, 0, 0), (0, 0, 250))
TOML = f"classes = {json.dumps(NAMES)}\npalette = {json.dumps(PALETTE)}\n"


def _recipe(folder: Path, exponent: float = 0.5) -> Path:
    config = hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0", resolution=(64, 64))
    (folder / "network.json").write_text(json.dumps(config.to_dict()))
    path = folder / "tiny.toml"
    path.write_text(
        f'network = "{folder / "network.json"}"\nbatch = 2\nprecision = "float32"\nvalidate_every = 2\n'
        f'[data]\nlayout = "camvid"\n[optimiser]\nlearning_rate = 1e-3\nbackbone_learning_rate = 1e-3\niterations = 2\n'
        f"[[crops]]\nheight = 64\nwidth = 64\n[loss]\nclass_weight_exponent = {exponent}\n"
    )
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set `mine`, the run `run` of two iterations on it, and its network as `m.onnx`."""
    folder = tmp_path_factory.mktemp("own")
    own(folder / "mine", TOML)
    done = train(command(_recipe(folder), folder / "mine", folder / "run"))
    assert done.returncode == 0, done.stderr
    assert f"with the data set's 3 classes instead of 11: {', '.join(NAMES)}\n" in done.stderr
    scored = next(record for record in records(done.stdout) if "mean_iou" in record)
    assert {f"iou_{name}" for name in NAMES} <= set(scored)
    export_onnx(folder / "run/best.pth", folder / "m.onnx")
    return folder


def _evaluate(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "hyperseg_export.cli.evaluate", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment(), timeout=200)


def test_names_and_colours_reach_every_file(run: Path, tmp_path: Path) -> None:
    config = hyperseg.load(run / "run/best.pth").config
    assert (config.num_classes, config.class_names, config.palette) == (3, NAMES, PALETTE)
    properties = {entry.key: entry.value for entry in onnx.load(run / "m.onnx").metadata_props}
    metadata = Metadata.from_properties(properties)
    assert (metadata.class_names, metadata.palette, metadata.preset) == (NAMES, PALETTE, None)
    assert labels_text(metadata.class_names).splitlines() == list(NAMES)
    results = ("--labels", "labels", "--stats", "s.csv", "--polygons", "p.json", "--legend", "-o", "drawn.png")
    line = [sys.executable, "-m", "hyperseg_runtime.cli.run", run / "mine/images/val/0.png", "--model", run / "m.onnx"]
    some = ("--classes", f"{NAMES[0]},weed; old")
    done = subprocess.run(
        [*map(str, line), *results, *some],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file))[3:] == list(NAMES)
    categories = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))["categories"]
    assert [entry["name"] for entry in categories] == [NAMES[0], NAMES[2]]
    content = next((tmp_path / "labels").glob("*.png")).read_bytes()
    place = content.index(b"PLTE") + 4
    assert content[place : place + 9] == bytes(value for colour in PALETTE for value in colour)
    assert (tmp_path / "drawn.png").exists()


def test_labels_that_hyperseg_run_writes_are_labels_of_the_data_set(run: Path, tmp_path: Path) -> None:
    from hyperseg_runtime.output import label_png

    root = own(tmp_path, TOML)
    drawn = labels(0, 1, 2)
    (root / "labels/train/0.png").write_bytes(label_png.encode(drawn, PALETTE))
    assert np.array_equal(open_split(Layout.OWN, root, "train")[0].label, drawn)


def test_the_network_is_scored_by_name(run: Path, tmp_path: Path) -> None:
    done = _evaluate(run / "run/best.pth", run / "m.onnx", "--data", run / "mine", "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["models"]
    assert list(first["iou"]) == list(NAMES) and first["confusion"] == second["confusion"]
    assert "other order" not in done.stderr
    turned = own(tmp_path / "turned", f"classes = {json.dumps(NAMES[::-1])}\nvalues = [2, 1, 0]")
    done = _evaluate(run / "m.onnx", "--data", turned, "--json")
    assert done.returncode == 0 and "are in another order than those of" in done.stderr
    (again,) = json.loads(done.stdout)["models"]
    assert again["iou"] == first["iou"] and again["mean_iou"] == pytest.approx(first["mean_iou"])


def test_other_classes_are_refused_with_their_differences(run: Path, tmp_path: Path) -> None:
    other = own(tmp_path / "other", 'classes = ["木", "Straße", "weed; old"]')
    done = _evaluate(run / "m.onnx", "--data", other)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"only the model has {NAMES[0]!r}, only the data set has 'Straße'; name a model of this" in done.stderr
    done = _evaluate(run / "m.onnx", "--data", camvid(tmp_path / "camvid"), "--split", "train")
    assert done.returncode == 1 and "has 3 classes, the labels of layout camvid have 11" in done.stderr


class _Model:
    """A predictor that gives each of its labels once."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.facts = Facts("none", "float32", (1, len(names)), names, None, None)

    def __call__(self, frame: Frame) -> Labels:
        del frame
        return np.arange(len(self.facts.class_names), dtype=np.uint8)[None]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("model", "data", "labels_expected", "noted"),
    [
        (CAMVID_11.names, CAMVID_11.names, [*range(11)], None),
        (CAMVID_12.names, CAMVID_11.names, [*range(12)], None),
        (("a", "b"), ("a", "b"), [0, 1], None),
        (("Bäume",), ("Ba\u0308ume",), [0], None),
        (("a", "b", "c"), ("c", "a", "b"), [1, 2, 0], "another order"),
        (("void", "b", "a"), ("a", "b"), [VOID, 1, 0], "another order"),
        (("class 0", "class 1"), ("a", "b"), [0, 1], "no names"),
        (("class 0", "class 1"), ("class 1", "class 0"), [1, 0], "another order"),
        (tuple(f"class {index}" for index in range(12)), CAMVID_11.names, [*range(12)], "no names"),
    ],
)
def test_orders_of_classes(
    model: tuple[str, ...], data: tuple[str, ...], labels_expected: list[int], noted: str | None
) -> None:
    notes: list[str] = []
    predictor = in_order(Path("m.onnx"), _Model(model), data, "mine", notes.append)
    assert predictor(np.zeros((1, 1, 3), np.uint8))[0].tolist() == labels_expected
    assert [noted in note for note in notes if noted] == ([True] if noted else [])
    assert bool(notes) == bool(noted)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (("a", "b"), ("a", "c"), "only the model has 'b', only the data set has 'c'"),
        (("a", "b", "c"), ("a", "b"), "only the model has 'c'; name a model"),
        (("a", "void"), ("a", "b"), "only the data set has 'b'"),
        (("a", "b", "a"), ("a", "b"), "several classes named 'a': which of them is meant"),
        (CAMVID_11.names, CAMVID_12.names, "only the data set has 'void'"),
        (
            CITYSCAPES.names,
            CAMVID_11.names,
            "has 19 classes, the labels of mine have 11: only the model has 'sidewalk', .* more",
        ),
        (tuple(f"class {index}" for index in range(3)), CAMVID_11.names, "has 3 classes, the labels of mine have 11"),
    ],
)
def test_other_classes(model: tuple[str, ...], data: tuple[str, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        in_order(Path("m.onnx"), _Model(model), data, "mine", lambda _: None)


# Training


def test_a_label_that_no_class_has_stops_the_training_with_one_line(tmp_path: Path) -> None:
    root = own(tmp_path / "mine")
    write(root / "labels/train/1.png", labels(0, 1, 7))
    for exponent in (0.0, 0.5):
        done = train(command(_recipe(tmp_path, exponent), root, tmp_path / f"run{exponent}"))
        assert done.returncode == 1
        (line,) = (line for line in done.stderr.splitlines() if "error" in line)
        assert f"{root / 'labels/train/1.png'} has the label value 7 (64 pixels), which no class has" in line


def test_labels_of_more_classes_than_the_network_has_are_refused(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    config = hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0", resolution=(64, 64), num_classes=3)
    (tmp_path / "network.json").write_text(json.dumps(config.to_dict()))
    root = camvid(tmp_path / "camvid")
    for folder in ("train", "trainannot"):
        (root / folder.replace("train", "val")).symlink_to(root / folder)
    done = train(command(recipe, root, tmp_path / "run"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "the labels of layout camvid have 11 classes, the network" in done.stderr


def test_training_works_without_a_class_and_without_a_label(tmp_path: Path) -> None:
    """One class occurs only in val, one label is all void."""
    root = own(tmp_path / "mine")
    write(root / "labels/train/0.png", labels(0, 1))
    write(root / "labels/train/1.png", labels(255))
    done = train(command(_recipe(tmp_path), root, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert all(np.isfinite(record["loss"]) for record in records(done.stdout) if "loss" in record)


def test_class_weights(tmp_path: Path) -> None:
    root = own(tmp_path, splits=("train",))
    write(root / "labels/train/0.png", labels(0, 0, 0, 1))
    write(root / "labels/train/1.png", labels(0, 255, 255, 255))
    data = open_split(Layout.OWN, root, "train")
    for file in (root / "images/train").iterdir():
        file.write_bytes(b"")  # images are not read for the weights
    frequency = np.array([4 * 48, 48])
    for exponent in (0.3, 1.0):
        expected = (frequency.min() / frequency) ** exponent
        expected /= (expected * frequency).sum() / frequency.sum()
        absent = expected.max()
        assert class_weights(data, exponent) == pytest.approx([*expected, absent])


def test_class_weights_of_void_alone_are_an_error(tmp_path: Path) -> None:
    root = own(tmp_path, splits=("train",))
    for file in (root / "labels/train").iterdir():
        write(file, labels(255))
    with pytest.raises(DataError, match="every pixel of the training labels is void; hyperseg-train --check"):
        class_weights(open_split(Layout.OWN, root, "train"), 0.5)


def test_many_classes_train_and_export(tmp_path: Path) -> None:
    """As many as a label can have beside void."""
    root = describe(tmp_path / "mine", f"classes = {[f'class of mine {index}' for index in range(255)]}")
    for split in ("train", "val"):
        write(root / "images" / split / "a.png", image(64, 64))
        write(root / "labels" / split / "a.png", labels(*range(256), height=64, width=64))
    done = train(command(_recipe(tmp_path), root, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    config = hyperseg.load(tmp_path / "run/last.pth").config
    assert config.num_classes == 255 and config.palette == distinct_palette(255)
