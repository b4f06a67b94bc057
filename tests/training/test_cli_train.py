"""`hyperseg-train` on the command line: wrong usage is one line with exit code 2, and the help is complete."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import hyperseg
from hyperseg.cli.train import main
from hyperseg.training.recipe import load_recipe, recipes
from hyperseg.training.start import Weights, configuration, create_start


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments], prog_name="hyperseg-train")
    out, err = capfd.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Missing argument 'RECIPE'. (see hyperseg-train --help)"),
        (("camvid-lite",), 2, "Missing option '--data'. (see hyperseg-train --help)"),
        (("camvid-lite", "--data", ".", "--out", ".", "--stop-after", "0"), 2, "'--stop-after'"),
        (("camvid-lite", "--data", ".", "--out", ".", "--device", "tpu"), 2, "'--device'"),
        (("camvid-lite", "--fast"), 2, "--fast"),
        (("camvid-xl", "--data", ".", "--out", "run"), 1, "there is no recipe 'camvid-xl'"),
        (("camvid-lite", "--data", "nowhere", "--out", "run"), 1, "the folder nowhere is missing"),
    ],
)
def test_errors_are_one_line(
    arguments: tuple[str, ...],
    code: int,
    message: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended, out, err = run(capfd, *arguments)
    assert (ended, out) == (code, "")
    assert err.startswith("hyperseg-train: error: ") and message in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_has_examples_and_all_recipes(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capfd, "--help")
    assert (code, err) == (0, "") and "Examples:" in out
    (listed,) = re.findall(r"Recipes in the package: (.+?)\.", out, re.DOTALL)
    assert sorted(re.sub(r" \(.+?\)", "", " ".join(listed.split())).split(", ")) == list(recipes())


def test_weights_under_prefixes_start_a_run_and_a_choice_is_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0")
    (tmp_path / "network.json").write_text(json.dumps(config.to_dict()))
    raw = hyperseg.create(config).state_dict()
    averaged = {f"_orig_mod.{name}": value + 1 for name, value in raw.items()}
    model = {f"module.{name}": value for name, value in raw.items()}
    torch.save({"config": config.to_dict(), "model": model, "model_ema": averaged}, tmp_path / "start.pth")
    notes: list[str] = []
    recipe = load_recipe("camvid-lite", [f"network={tmp_path}/network.json"])
    start = create_start(configuration(recipe, None, None), Weights(weights=tmp_path / "start.pth"), None, notes.append)
    assert torch.equal(start.model.backbone.stem.conv.weight, raw["backbone.stem.conv.weight"] + 1)
    assert notes == ["the weights are the averaged ones (model_ema._orig_mod), and not those of model.module"]


def test_an_unexpected_error_is_one_line_too(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("network")

    monkeypatch.setattr("hyperseg.training.recipe.load_recipe", broken)
    arguments = ("camvid-lite", "--data", tmp_path, "--out", tmp_path / "run")
    message = "hyperseg-train: error: KeyError: 'network'; this is a bug; --debug shows the traceback\n"
    assert run(capfd, *arguments) == (1, "", message)
    with pytest.raises(KeyError):
        main([*map(str, arguments), "--debug"], prog_name="hyperseg-train")
