"""`hyperseg-evaluate`: the metric is that of the network, and errors are one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hyperseg_export.cli.evaluate import evaluate
from hyperseg_export.cli.stage_display import StageDisplay
from hyperseg_export.progress import Step
from hyperseg_export.rounding import Bound, disturbed
from hyperseg_runtime.cli.common import execute
from hyperseg_runtime.metadata import InputSpec, InputType
from hyperseg_runtime.preprocess import prepare
from torch.nn import functional

import hyperseg
from hyperseg.data import Layout, open_split
from hyperseg.metrics import Confusion
from training.processes import environment


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.pth"
    torch.manual_seed(0)
    preset = hyperseg.preset("camvid-lite")
    hyperseg.save(hyperseg.create(preset.replace(backbone="efficientnet-lite0", resolution=(64, 128))), path)
    return path


def _evaluate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hyperseg_export.cli.evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), timeout=200)


def test_scores_are_those_of_the_network(checkpoint: Path, street: Path, tmp_path: Path) -> None:
    images = ("--confusion", tmp_path / "confusion.png", "--worst", tmp_path / "worst.png")
    done = _evaluate(checkpoint, "--data", street, "--split", "val", "--json", *images)
    assert done.returncode == 0, done.stderr
    (shown,) = json.loads(done.stdout)["models"]
    model, data = hyperseg.load(checkpoint), open_split(Layout.CAMVID, street, "val")
    spec = InputSpec(64, 128, mean=model.config.mean, std=model.config.std, dtype=InputType.FLOAT)
    twin, confusion, ties = disturbed(model), Confusion(11), 0
    for index in range(len(data)):
        sample = data[index]
        image = torch.from_numpy(prepare(np.ascontiguousarray(sample.image[..., ::-1]), spec, (64, 128)))
        with torch.inference_mode():
            logits = model.forward_low(image)
            bound = Bound.of(twin.forward_low(image) - logits, logits).largest
        # Enlarging is linear: an average of logits is off by no more than they are.
        full = functional.interpolate(logits, sample.label.shape, mode="bilinear", align_corners=False)[0]
        confusion.add(sample.label, full.argmax(0).to(torch.uint8).numpy())
        first, second = full.topk(2, dim=0).values
        ties += int((first - second <= 2 * bound).sum())
    # The command folds BatchNorms, which rounds: where two classes are nearly equal, a pixel may tip from one to the
    # other, and changes intersection or union of both by one.
    union = confusion.counts.sum(1).clip(min=1)
    assert shown["mean_iou"] == pytest.approx(confusion.mean_iou, abs=float(np.mean(ties / union)) + 1e-9)
    assert ties < 0.01 * confusion.counts.sum()
    assert shown["pictures"] == len(data) and shown["parameters"] > 1e6 and shown["macs"] > 1e7
    assert (tmp_path / "confusion.png").stat().st_size > 1000 and (tmp_path / "worst.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--split", "test"), "test is missing"),
        (("--split", "holidays"), "no split 'holidays'"),
        (("--layout", "cityscapes"), "leftImg8bit"),
        (("--resolution", "9"), "is not HEIGHTxWIDTH"),
        (("--resolution", "100x128"), "height 100 is not a multiple of 64; use 128"),
    ],
)
def test_wrong_data_is_one_line(
    checkpoint: Path, street: Path, change: tuple[str, str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    _refused(capfd, (1, 2), message, checkpoint, "--data", street, *change)


def test_a_file_that_is_no_model_is_one_line(street: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.pth").write_bytes(b"nothing")
    for model, message in (("m.pth", "m.pth"), ("n.pth", "does not exist")):
        _refused(capfd, (1,), message, tmp_path / model, "--data", street)


@pytest.mark.parametrize("output", ["label", "image", "model", "both"])
def test_images_replace_no_input(
    checkpoint: Path, street: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], output: str
) -> None:
    label, image = (next((street / folder).iterdir()) for folder in ("valannot", "val"))
    link = tmp_path / "link.png"
    link.symlink_to({"label": label, "image": image, "model": checkpoint}.get(output, tmp_path / "new.png"))
    message = {"model": "is a model", "both": "would be both"}.get(output, "is a file of the dataset")
    other = tmp_path / ("new.png" if output == "both" else "worst.png")
    before = [path.read_bytes() for path in (label, image, checkpoint)]
    images = ("--confusion", link, "--worst", other, "--force")
    _refused(capfd, (1,), message, checkpoint, "--data", street, "--split", "val", *images)
    assert [path.read_bytes() for path in (label, image, checkpoint)] == before and not other.exists()


def _refused(capfd: pytest.CaptureFixture[str], codes: tuple[int, ...], message: str, *arguments: object) -> None:
    """Runs in this process, with the exit codes of the installed script."""
    with pytest.raises(SystemExit) as ended:
        execute(evaluate, "hyperseg-evaluate", [str(argument) for argument in arguments])
    complaint = capfd.readouterr().err
    assert ended.value.code in codes and message in complaint and len(complaint.splitlines()) == 1


def test_models_by_option(checkpoint: Path, street: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        execute(evaluate, "hyperseg-evaluate", ["--model", str(checkpoint), "--data", str(street), "--json"])
    assert ended.value.code == 0
    (shown,) = json.loads(capfd.readouterr().out)["models"]
    assert shown["model"] == str(checkpoint)


def test_without_a_model_the_checkpoint_is_named(
    checkpoint: Path, street: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    with pytest.raises(SystemExit) as ended:
        execute(evaluate, "hyperseg-evaluate", ["--data", str(street)])
    (line,) = capfd.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert "hyperseg-export --ckpt tiny.pth --onnx" in line and "or name it: --model tiny.pth" in line


def test_progress_counts_the_images_of_each_model(
    checkpoint: Path, street: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Step] = []
    shown = StageDisplay.show
    monkeypatch.setattr(StageDisplay, "show", lambda self, step: (steps.append(step), shown(self, step)))
    with pytest.raises(SystemExit) as ended:
        execute(evaluate, "hyperseg-evaluate", [str(checkpoint), str(checkpoint), "--data", str(street)])
    assert (ended.value.code, capfd.readouterr().err) == (0, "")
    assert [step.stage for step in steps if not step.detail] == ["scoring tiny.pth"] * 2
    count = len(open_split(Layout.CAMVID, street, "val"))
    images = [f"image {number} of {count}" for number in range(1, count + 1)]
    assert [step.detail for step in steps] == ["", *images] * 2


def test_scores_survive_a_model_that_fails(
    checkpoint: Path, street: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(SystemExit) as ended:
        execute(evaluate, "hyperseg-evaluate", [str(checkpoint), str(damaged), "--data", str(street), "--json"])
    out, err = capfd.readouterr()
    assert ended.value.code == 1 and "damaged.pth is truncated or damaged" in err and len(err.splitlines()) == 1
    assert [Path(one["model"]).name for one in json.loads(out)["models"]] == ["tiny.pth"]


def test_an_image_under_another_suffix_is_refused_at_once(
    checkpoint: Path, street: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for option in ("--confusion", "--worst"):
        message = "is written as PNG; name a .png file"
        _refused(capfd, (1,), message, checkpoint, "--data", street, option, tmp_path / "drawn.txt")
    assert list(tmp_path.iterdir()) == []
