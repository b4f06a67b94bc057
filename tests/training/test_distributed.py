"""Two processes compute what one with the doubled batch computes."""

import socket
from pathlib import Path

import pytest

from training.processes import command, losses, train


@pytest.mark.slow
def test_two_processes_give_the_losses_of_the_doubled_batch(recipe: Path, street: Path, tmp_path: Path) -> None:
    changes = [
        "crops=[{height=128,width=192}]",
        "optimiser.learning_rate=1e-5",
        "optimiser.backbone_learning_rate=1e-5",
    ]
    ten = ("--stop-after", "10", *(part for change in changes for part in ("--set", change)))
    one = train(command(recipe, street, tmp_path / "one", *ten))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port)
    two = train(command(recipe, street, tmp_path / "two", *ten), launcher)
    assert one.returncode == 0 and two.returncode == 0, one.stderr + two.stderr
    assert len(losses(one.stdout)) == 10
    # The same sums in another order. A network of random weights amplifies rounding from layer to layer, forwards (the
    # first loss agrees to 5 digits) and backwards; Adam makes whole steps of gradients near zero. Hence small steps
    # and a tolerance of 2 %; that the gradients are the same function is shown in float64 below.
    assert losses(two.stdout)[0] == pytest.approx(losses(one.stdout)[0], rel=1e-5)
    assert losses(two.stdout) == pytest.approx(losses(one.stdout), rel=2e-2)


def test_synchronised_statistics_give_the_gradients_of_the_whole_batch() -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = train([str(Path(__file__).parent / "synchronised.py")], launcher)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-10


def test_a_batch_that_cannot_be_shared_is_named(recipe: Path, street: Path, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = train(command(recipe, street, tmp_path, "--set", "batch=3"), launcher)
    assert done.returncode != 0 and "batch is 3; it must be a multiple of the 2 processes" in done.stderr
