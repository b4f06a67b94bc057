"""Fine-tuning by the command: what it starts from and says, resuming, small and odd data sets, and that it learns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import hyperseg
from hyperseg.cli.train import main
from hyperseg.data import Layout, open_split
from hyperseg.metrics import Confusion
from hyperseg.training.calibration import calibrate
from hyperseg.training.checkpoint import read_state
from hyperseg.training.fast_layers import FrozenBatchNorm, FrozenConvBN
from hyperseg.training.loss import ForwardLoss, SegmentationLoss
from training.scenes import NAMES, PALETTE, write_scenes

TINY = (
    "resolution=[64,64]",
    "crops=[{height=64,width=64}]",
    "precision=float32",
    "batch=2",
    "optimiser.iterations=4",
    "log_every=1",
    "checkpoint_every=1",
    "validate_every=4",
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a small network of CamVid's classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    model = hyperseg.create(hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0"))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, 0, 0.1)  # biases of zero would be one tensor in an export
    hyperseg.save(model, path, half=True)
    return path


def train(
    capfd: pytest.CaptureFixture[str], data: Path, out: Path, *options: object, settings: Sequence[str] = TINY
) -> tuple[int, list[str]]:
    """Run `hyperseg-train finetune`; returns the exit code and the lines on stderr."""
    given = [argument for setting in settings for argument in ("--set", setting)]
    arguments = ["finetune", "--data", data, "--out", out, "--device", "cpu", *options, *given]
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments], prog_name="hyperseg-train")
    return int(ended.value.code or 0), capfd.readouterr().err.splitlines()


def test_the_line_is_on_stderr_and_in_the_log(
    scenes: Path, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines = train(capfd, scenes, tmp_path / "run", "--init", small)
    assert code == 0, lines
    (line,) = [line for line in lines if line.startswith("from small.safetensors: ")]
    assert line.endswith("anew: its outputs for 3 classes (ground, disc, square)")
    log = [json.loads(entry) for entry in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert next(entry["note"] for entry in log if "note" in entry) == line
    best = hyperseg.load(tmp_path / "run" / "best.pth")
    assert best.config.classes.names == NAMES and best.config.classes.palette == PALETTE
    assert best.config.resolution == (64, 64)


def test_taken_statistics_are_frozen_and_all_weights_learn(
    scenes: Path, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(capfd, scenes, tmp_path / "run", "--init", small)[0] == 0
    before, after = hyperseg.load(small).state_dict(), read_state(tmp_path / "run" / "last.pt")["model"]
    taken = set(read_state(tmp_path / "run" / "last.pt")["start"]["taken"])
    moved = {name for name in taken if not torch.equal(before[name], after[name])}
    assert not [name for name in moved if "running" in name]
    assert {"backbone.stem.conv.weight", "context_head.inner.conv.weight", "decoder.mappers.0.weight"} <= moved
    outputs = "decoder.levels.4.norms.2.running_mean"
    assert outputs not in taken and bool(after[outputs].any())


def test_three_learning_rates(scenes: Path, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(capfd, scenes, tmp_path / "run", "--init", small, "--stop-after", 1)[0] == 0
    groups = read_state(tmp_path / "run" / "last.pt")["optimiser"]["param_groups"]
    recipe = read_state(tmp_path / "run" / "last.pt")["recipe"]["optimiser"]
    wanted = {recipe[f"{kind}learning_rate"] for kind in ("", "taken_", "backbone_")}
    assert {group["initial_lr"] for group in groups} == wanted and len(wanted) == 3


def test_a_stopped_run_resumes_without_its_checkpoint_and_ends_the_same(
    scenes: Path, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    start = shutil.copy(small, tmp_path / "start.safetensors")
    assert train(capfd, scenes, tmp_path / "whole", "--init", start)[0] == 0
    assert train(capfd, scenes, tmp_path / "parts", "--init", start, "--stop-after", 2)[0] == 0
    Path(start).unlink()
    code, lines = train(capfd, scenes, tmp_path / "parts", "--init", start)
    assert code == 0 and not [line for line in lines if line.startswith("from ")], lines
    one, other = (read_state(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())
    assert (tmp_path / "parts" / "log.jsonl").read_text().count('"note": "from ') == 1


def test_the_shipped_model_needs_no_file(scenes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, lines = train(capfd, scenes, tmp_path / "run", "--init", "camvid-lite", "--stop-after", 1)
    assert code == 0 and lines[0].startswith("from camvid-lite: backbone, context head, levels 1-4 "), lines


def test_a_network_is_found_by_its_export(
    scenes: Path, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from hyperseg_export.onnx_export import export_onnx
    from hyperseg_export.options import ExportOptions, Resolution

    export_onnx(small, tmp_path / "m.onnx", ExportOptions(resolution=Resolution(64, 64), verify=False))
    code, lines = train(capfd, scenes, tmp_path / "run", "--init", tmp_path / "m.onnx", "--stop-after", 1)
    assert code == 0 and lines[0].startswith("from m.onnx: backbone, context head, levels 1-4 "), lines


def test_calibrated_batchnorms_compute_the_same_and_have_their_inputs_statistics(scenes: Path) -> None:
    model = hyperseg.shipped()
    config = model.config
    loss = ForwardLoss(model, SegmentationLoss(None), config.mean, config.std, torch.float32)
    data = open_split(Layout.OWN, scenes, "train")
    images = torch.stack([torch.from_numpy(data[index].image[:64]) for index in range(4)])
    with torch.no_grad():
        before = loss.logits(images)
        calibrate(loss, [images])
        after = loss.logits(images)
        on_batch_statistics = model.train().forward_low((images.permute(0, 3, 1, 2) - loss.mean) / loss.std)
    scale = float(before.abs().max())
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4 * scale)
    # On the batch that was measured, batch statistics are the running ones.
    torch.testing.assert_close(on_batch_statistics, before, rtol=0, atol=0.02 * scale)


REFUSED = {
    "nothing to fine-tune": ((), "this recipe trains the network of a checkpoint: give --init camvid-lite"),
    "no such file": (("--init", "nothing.pth"), "nothing.pth: no such file"),
    "no such model": (("--init", "camvid-xl"), "--init camvid-xl is neither a file nor a shipped model (camvid-lite)"),
    "two files": (("--init", "a.pth", "--weights", "b.pth"), "--init and --weights: give one of them"),
    "init and ImageNet": (("--init", "a", "--backbone-weights", "b"), "--init and --backbone-weights: give one of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_one_line(
    case: str, scenes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options, message = REFUSED[case]
    code, lines = train(capfd, scenes, tmp_path / "run", *options)
    assert code in (1, 2) and message in lines[-1] and len(lines) == 1
    assert not (tmp_path / "run").exists()


def test_an_error_in_the_checkpoint_leaves_the_earlier_run(
    scenes: Path, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(capfd, scenes, tmp_path / "run", "--init", small, "--stop-after", 1)[0] == 0
    kept = sorted(path.name for path in (tmp_path / "run").iterdir())
    code, _ = train(capfd, scenes, tmp_path / "run", "--init", tmp_path / "typo.pth", "--force")
    assert code == 1 and sorted(path.name for path in (tmp_path / "run").iterdir()) == kept


def test_weights_of_another_network_are_refused_with_every_reason(
    scenes: Path, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines = train(capfd, scenes, tmp_path / "run", "--weights", small, settings=(*TINY, "network=camvid-lite"))
    assert code == 1
    for reason in ("classes 11 and not 3", "backbone efficientnet-lite0 and not efficientnet-lite1", f"--init {small}"):
        assert reason in lines[-1]


def test_a_random_start_is_a_warning_with_its_remedy(
    scenes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = (*TINY, "network=camvid-lite")
    code, lines = train(capfd, scenes, tmp_path / "run", "--stop-after", 1, settings=settings)
    (line,) = [line for line in lines if line.startswith("warning: no initial weights")]
    assert code == 0 and "--init camvid-lite" in line and "--backbone-weights" in line
    code, lines = train(capfd, scenes, tmp_path / "run", settings=settings)
    assert code == 0 and not [line for line in lines if "warning" in line], "a resumed run is not at random"


def test_a_recipe_of_the_same_network_takes_what_fits_too(
    scenes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = (*TINY, "network=camvid-lite")
    code, lines = train(capfd, scenes, tmp_path, "--init", "camvid-lite", "--stop-after", 1, settings=settings)
    assert code == 0 and any("levels 1-4 and hidden layers of the last level taken" in line for line in lines), lines


ODD = {
    "one image": {"train": 1, "val": 0},
    "fewer images than a batch": {"train": 3, "val": 0},
    "different sizes": {"train": 4, "sizes": ((20, 30), (64, 64), (300, 40), (96, 128))},
    "an image without any label": {"train": 3, "void": (0, 1)},
}


@pytest.mark.parametrize("case", ODD)
def test_odd_data_sets_train(case: str, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = write_scenes(tmp_path / "data", **ODD[case])  # type: ignore[arg-type]
    settings = (*TINY, "batch=4", "optimiser.iterations=2", "validate_every=2")
    code, lines = train(capfd, data, tmp_path / "run", "--init", small, settings=settings)
    assert code == 0, lines
    held_out = [line for line in lines if "no split val" in line]
    assert len(held_out) == (1 if ODD[case].get("val") == 0 else 0)
    log = [json.loads(entry) for entry in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert len(losses) == 2 and all(0 <= loss < 100 for loss in losses)


def test_a_crop_that_the_network_cannot_take_is_named(
    scenes: Path, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = (*TINY, "crops=[{height=64,width=100}]")
    code, lines = train(capfd, scenes, tmp_path / "run", "--init", small, settings=settings)
    assert code == 1 and "crops[0] is 64x100 (height x width); both must be multiples of 64" in lines[-1]


@pytest.mark.slow
def test_minutes_choose_the_iterations(
    scenes: Path, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = {}
    for minutes in (1, 10):
        out = tmp_path / str(minutes)
        settings = (*(entry for entry in TINY if "iterations" not in entry), f"minutes={minutes}")
        code, lines = train(capfd, scenes, out, "--init", small, "--stop-after", 1, settings=settings)
        assert code == 0 and f"in about {minutes} minutes" in "\n".join(lines), lines
        chosen[minutes] = read_state(out / "last.pt")["recipe"]["optimiser"]["iterations"]
        code, lines = train(capfd, scenes, out, "--init", small, "--stop-after", 2, settings=settings)
        assert code == 0 and read_state(out / "last.pt")["recipe"]["optimiser"]["iterations"] == chosen[minutes]
    assert chosen[10] > 2 * chosen[1] > 2 * 20, chosen


@pytest.mark.slow
def test_the_shipped_model_learns_what_training_from_nothing_does_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write_scenes(tmp_path / "data", train=20, val=8)
    settings = (*TINY, "optimiser.iterations=30", "batch=4", "crops=[{height=128,width=128}]", "resolution=[128,128]")
    scores = {}
    for name, start in (("tuned", ("--init", "camvid-lite")), ("nothing", ())):
        network = () if start else ("network=camvid-lite",)
        code, lines = train(capfd, data, tmp_path / name, *start, settings=(*settings, "validate_every=30", *network))
        assert code == 0, lines
        model = hyperseg.load(tmp_path / name / "best.pth")
        scores[name] = _score(model, data)
    assert scores["tuned"] > scores["nothing"] + 0.15, scores


def _score(model: hyperseg.HyperSeg, data: Path) -> float:
    from hyperseg.training.distributed import DistributedContext
    from hyperseg.training.validation import score

    config = model.config
    loss = ForwardLoss(model, SegmentationLoss(None), config.mean, config.std, torch.float32)
    found: Confusion = score(
        loss, open_split(Layout.OWN, data, "val"), config.resolution, DistributedContext(0, 1, torch.device("cpu"))
    )
    return found.mean_iou


def test_frozen_layers_are_replaced_in_levels_and_blocks() -> None:
    from hyperseg.training.fast_layers import freeze_batchnorm

    model = hyperseg.create(hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0"))
    names = list(model.state_dict())
    freeze_batchnorm(model, set(names) - {"decoder.levels.4.norms.2.weight"})
    kinds = [type(module) for module in model.modules()]
    assert FrozenBatchNorm in kinds and FrozenConvBN in kinds and list(model.state_dict()) == names
    last = model.decoder.levels[4].norms[2]
    assert type(last) is torch.nn.BatchNorm2d
    x = torch.randn(2, model.decoder.levels[0].norms[0].num_features, 3, 3)
    frozen = model.decoder.levels[0].norms[0].train()
    assert torch.equal(frozen(x), frozen.eval()(x))
