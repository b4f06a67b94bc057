"""Resuming: a killed run ends with the same state as an uninterrupted one; a full disk keeps the previous state."""

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from hyperseg.training.checkpoint import StateError, read_state, write_state
from hyperseg.training.ema import EMA
from training.processes import command, environment, train


def test_the_average_returns_to_the_networks_device() -> None:
    """States are read into the CPU's memory; "meta" stands for a GPU."""
    model = torch.nn.Linear(2, 3)
    state = EMA(model, 0.9).state()
    average = EMA(model.to("meta"), 0.9)
    average.restore(state)
    average.update(model)
    assert {value.device.type for value in average.values.values()} == {"meta"}


@pytest.mark.slow
def test_killed_and_resumed_is_bit_identical(recipe: Path, street: Path, tmp_path: Path) -> None:
    whole = train(command(recipe, street, tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    arguments = command(recipe, street, tmp_path / "killed")
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    for line in process.stdout:
        if '"iteration": 7' in line:  # two iterations after a checkpoint
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "killed" / "best.pth").exists()
    resumed = train(arguments)
    assert resumed.returncode == 0 and '"iteration": 6' in resumed.stdout and '"iteration": 5,' not in resumed.stdout
    one, other = (read_state(tmp_path / name / "last.pt") for name in ("whole", "killed"))
    _assert_equal(one, other, "state")
    log = (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    assert len([line for line in log if '"note"' not in line]) == 13  # twelve iterations and a score


def test_another_recipe_does_not_continue_a_run(recipe: Path, street: Path, tmp_path: Path) -> None:
    short = ("--stop-after", "1")
    assert train(command(recipe, street, tmp_path, *short)).returncode == 0
    other = train(command(recipe, street, tmp_path, *short, "--set", "seed=2"))
    assert other.returncode == 1 and "made with another recipe" in other.stderr and "Traceback" not in other.stderr


def _assert_equal(one: Any, other: Any, where: str) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, Mapping):
        assert one.keys() == other.keys(), where
        for key in one:
            _assert_equal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            _assert_equal(a, b, f"{where}[{index}]")
    else:
        assert one == other, where


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow over 64 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_previous_state(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "last.pt"
    write_state({"iteration": 1}, path)
    request.getfixturevalue("full_disk")
    with pytest.raises(StateError, match=r"last.pt could not be written .*; the previous one is kept"):
        write_state({"iteration": 2, "model": torch.zeros(1 << 16)}, path)
    assert read_state(path) == {"iteration": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"PK\x03\x04 not a state")
    with pytest.raises(StateError, match=r"last\.pt cannot be read"):
        read_state(tmp_path / "last.pt")
