"""Distributed training: two processes compute the same as one with the doubled batch."""

import socket
from pathlib import Path

import numpy as np
import pytest
from hyperseg_export.rounding import FACTOR

from training.processes import command, losses, train


@pytest.mark.slow
def test_two_processes_give_the_losses_of_the_doubled_batch(recipe: Path, street: Path, tmp_path: Path) -> None:
    changes = [
        "crops=[{height=128,width=192}]",
        "optimiser.learning_rate=1e-5",
        "optimiser.backbone_learning_rate=1e-5",
    ]
    six = ("--stop-after", "6", *(part for change in changes for part in ("--set", change)))
    one = train(command(recipe, street, tmp_path / "one", *six))
    disturbed = str(Path(__file__).parent / "disturbed.py")
    seeds = ("0", "1", "2", "3")
    moved = [train([disturbed, seed, *command(recipe, street, tmp_path / seed, *six)[2:]]) for seed in seeds]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port)
    two = train(command(recipe, street, tmp_path / "two", *six), launcher)
    runs = [one, two, *moved]
    assert all(run.returncode == 0 for run in runs), [run.stderr for run in runs]
    expected, found, *rounded = (np.array(losses(run.stdout)) for run in runs)
    assert len(expected) == 6
    # The same sums in another order. A network of random weights amplifies rounding from layer to layer, forwards and
    # backwards, and Adam makes whole steps of gradients near zero: how much of that ends in the losses is what they do
    # when the first weights are off by rounding: the largest of four draws, and twice that, since all are draws of
    # something chaotic. That the gradients are the same function is shown in float64 below.
    explained = 2 * FACTOR * np.maximum.accumulate(np.abs(np.array(rounded) - expected).max(axis=0))
    assert (np.abs(found - expected) <= explained).all(), (rounded, expected, np.abs(found - expected), explained)
    assert explained[0] < 1e-3 * expected[0] and explained[-1] < 0.1 * expected[-1]


def test_synchronised_statistics_give_the_gradients_of_the_whole_batch() -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = train([str(Path(__file__).parent / "synchronised.py")], launcher)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-10


def test_a_batch_that_cannot_be_shared_is_named(recipe: Path, street: Path, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = train(command(recipe, street, tmp_path, "--set", "batch=3"), launcher)
    assert done.returncode != 0 and "batch is 3; it must be a multiple of the 2 processes" in done.stderr
