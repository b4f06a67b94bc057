"""Memory: limits of the machine are read, a batch that does not fit is computed in parts, and never crashes a run."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hyperseg
from hyperseg.data import CachedDataset, Crop, Layout, open_split
from hyperseg.training import memory
from hyperseg.training.distributed import DistributedContext
from hyperseg.training.errors import TrainingError
from hyperseg.training.loss import ForwardLoss, SegmentationLoss
from hyperseg.training.memory import StepCost, available_bytes, available_ram, fitting_parts, measure_step
from hyperseg.training.recipe import load_recipe
from hyperseg.training.splits import TrainingData
from hyperseg.training.start import Start
from hyperseg.training.trainer import Trainer
from training.processes import environment
from training.scenes import write_scenes

CPU = torch.device("cpu")
ALONE = DistributedContext(0, 1, CPU)
MIB = 1 << 20
LIMIT_S = 300


def _files(root: Path, contents: dict[str, str]) -> Path:
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 900000 kB\nMemAvailable:   800000 kB\n"}
# Formats: Linux, Documentation/admin-guide/cgroup-v2.rst (memory.max is a number or "max"; memory.stat) and
# cgroup-v1/memory.rst (limit_in_bytes is a huge number where there is no limit); /proc/self/cgroup: cgroups(7).
CASES = {
    "nothing known": ({}, 1 << 62),
    "the kernel's": (MEMINFO, 800000 * 1024),
    "version 2": (
        {
            **MEMINFO,
            "proc/self/cgroup": "0::/user/job\n",
            "sys/fs/cgroup/user/job/memory.max": f"{300 * MIB}\n",
            "sys/fs/cgroup/user/job/memory.current": f"{200 * MIB}\n",
            "sys/fs/cgroup/user/job/memory.stat": f"anon 1\ninactive_file {50 * MIB}\n",
        },
        150 * MIB,
    ),
    "version 2, of the group above": (
        {
            **MEMINFO,
            "proc/self/cgroup": "0::/user/job\n",
            "sys/fs/cgroup/user/job/memory.max": "max\n",
            "sys/fs/cgroup/user/job/memory.current": "5\n",
            "sys/fs/cgroup/user/memory.max": f"{64 * MIB}\n",
            "sys/fs/cgroup/user/memory.current": f"{60 * MIB}\n",
        },
        4 * MIB,
    ),
    "version 2, in a container": (
        {
            **MEMINFO,
            "proc/self/cgroup": "0::/../../docker/abc\n",
            "sys/fs/cgroup/memory.max": f"{100 * MIB}\n",
            "sys/fs/cgroup/memory.current": f"{40 * MIB}\n",
        },
        60 * MIB,
    ),
    "version 1": (
        {
            **MEMINFO,
            "proc/self/cgroup": "3:cpu,cpuacct:/job\n9:memory:/job\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{90 * MIB}\n",
            "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{80 * MIB}\n",
            "sys/fs/cgroup/memory/job/memory.stat": f"total_inactive_file {2 * MIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{(1 << 63) - 4096}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "0\n",
        },
        12 * MIB,
    ),
    "already over": (
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "10\n",
            "sys/fs/cgroup/memory.current": "20\n",
        },
        0,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_least_limit_counts(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    contents, expected = CASES[case]
    assert available_ram(_files(tmp_path, contents)) == expected


def test_limits_of_the_process_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_AS: 500 * MIB, resource.RLIMIT_DATA: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind],) * 2)
    status = {**MEMINFO, "proc/self/status": f"Name: python\nVmSize: {400 * 1024} kB\nVmData: 1 kB\n"}
    assert available_ram(_files(tmp_path, status)) == 100 * MIB


def test_a_gpu_has_what_is_free_and_what_pytorch_holds_in_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch.cuda.mem_get_info: (free, total) of cudaMemGetInfo, which counts PyTorch's cached blocks as used
    # (PyTorch 2.9, torch/cuda/memory.py and "CUDA semantics", memory management).
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 70)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 30)
    assert available_bytes(torch.device("cuda", 0)) == 140


def test_parts_are_as_few_as_fit() -> None:
    cost, crops = StepCost(100, 1.0), (Crop(10, 10), Crop(10, 20))
    expected = {1000: 1, 899: 2, 500: 2, 499: 4, 300: 4, 299: None}
    assert {free: fitting_parts(cost, free, 4, crops) for free in expected} == expected
    assert fitting_parts(cost, 700, 5, crops) == 2


def _forward_loss() -> ForwardLoss:
    torch.manual_seed(0)
    config = hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0")
    model = hyperseg.create(config)
    return ForwardLoss(model, SegmentationLoss(None), config.mean, config.std, torch.float32)


def test_the_estimate_holds_for_a_larger_batch_and_changes_nothing() -> None:
    forward_loss = _forward_loss()
    before = {name: value.clone() for name, value in forward_loss.network.state_dict().items()}
    random = torch.get_rng_state()
    cost = measure_step(forward_loss, 64, CPU)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in forward_loss.network.state_dict().items())
    assert all(parameter.grad is None for parameter in forward_loss.parameters())
    parameters = sum(value.numel() * 4 for value in forward_loss.parameters())
    assert cost.fixed > 4 * parameters
    forward_loss.train()
    saved = memory._saved_bytes(forward_loss, 3, 128, 192, CPU)
    predicted = cost.per_pixel / memory._OVER_SAVED * 3 * 128 * 192
    assert 0.9 * saved < predicted < 1.1 * saved


def _trainer(folder: Path, *settings: str) -> Trainer:
    overrides = [
        "network=camvid-lite",
        "resolution=[64,64]",
        "crops=[{height=64,width=64}]",
        "precision=float32",
        "average=0.0",
        "validate_every=100",
        "checkpoint_every=1",
        "optimiser.iterations=4",
        "optimiser.warmup=0",
        "loss.jaccard=0.0",
        *settings,
    ]
    data = CachedDataset(open_split(Layout.OWN, folder, "train"))
    torch.manual_seed(0)
    config = hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0", resolution=(64, 64))
    model = hyperseg.create(config.with_classes(data.classes))
    start = Start(model, taken=frozenset(model.state_dict()))
    notes: list[str] = []
    trainer = Trainer(
        load_recipe("finetune", overrides), start, TrainingData(data, data, data), folder, ALONE, note=notes.append
    )
    trainer.notes = notes  # type: ignore[attr-defined]
    return trainer


def _gradients(trainer: Trainer) -> list[torch.Tensor]:
    images = torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 3, (4, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    trainer.compute_gradient(images, labels)
    return [value.grad for value in trainer.model.parameters() if value.grad is not None]


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_parts_have_the_gradient_of_the_whole(parts: int, tmp_path: Path) -> None:
    trainer = _trainer(write_scenes(tmp_path))
    whole = [value.clone() for value in _gradients(trainer)]
    trainer.parts = parts
    scale = max(float(value.abs().max()) for value in whole)
    for one, other in zip(whole, _gradients(trainer), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * scale)


class _Limited(torch.nn.Module):
    """A network and loss on a device with room for so many images."""

    def __init__(self, inner: ForwardLoss, images: int, error: Exception) -> None:
        super().__init__()
        self.inner, self.images, self.error = inner, images, error

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if len(images) > self.images:
            raise self.error
        result: torch.Tensor = self.inner(images, labels)
        return result


# The texts are PyTorch's: c10/cuda/CUDACachingAllocator.cpp and c10/core/impl/alloc_cpu.cpp, release 2.9.
ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"),
    "numpy": MemoryError(),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_running_out_halves_the_parts_and_goes_on(kind: str, tmp_path: Path) -> None:
    trainer = _trainer(write_scenes(tmp_path))
    trainer._distributed_loss = _Limited(trainer.forward_loss, 1, ERRORS[kind])
    trainer.run(None)
    assert (trainer.iteration, trainer.parts) == (4, 4)
    notes: list[str] = trainer.notes  # type: ignore[attr-defined]
    assert len(notes) == 2 and notes[0].startswith("memory ran out in iteration 0 (crop 64x64): batches of 4 are")
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["parts"] == 4 and state["recipe"]["batch"] == 4
    again = _trainer(tmp_path)
    again.restore(state)
    assert again.parts == 4


def test_more_processes_resume_with_no_more_parts_than_their_samples(tmp_path: Path) -> None:
    """Parts without an image have no statistics and no loss."""
    trainer = _trainer(write_scenes(tmp_path))
    trainer.parts = 4
    trainer.save()
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    again = _trainer(tmp_path, "batch=2")  # what each of two processes has
    again.restore(state)
    assert again.parts == 2
    again.run(None)
    assert again.iteration == 4


def test_one_image_of_the_least_size_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    """Its deepest map has one pixel, and a BatchNorm on batch statistics no variance."""
    trainer = _trainer(write_scenes(tmp_path), "batch=1", "freeze_taken_norm=false", "freeze_backbone_norm=false")
    with pytest.raises(TrainingError, match=r"one value per channel.*one image of 64x64\. Use larger crops"):
        trainer.run(None)


def test_one_image_too_many_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    trainer = _trainer(write_scenes(tmp_path))
    trainer._distributed_loss = _Limited(trainer.forward_loss, 0, ERRORS["cuda"])
    with pytest.raises(TrainingError, match=r"memory ran out in iteration 0 on one image of 64x64.*smaller crops"):
        trainer.run(None)


def test_other_errors_are_not_taken_for_a_lack_of_memory(tmp_path: Path) -> None:
    trainer = _trainer(write_scenes(tmp_path))
    trainer._distributed_loss = _Limited(trainer.forward_loss, 0, RuntimeError("mat1 and mat2 shapes"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        trainer.run(None)
    assert trainer.parts == 1


_UNDER_A_LIMIT = """
import resource, sys
import torch
import hyperseg.training.run, hyperseg.training.preparation, cv2, onnx  # mapped before the limit counts
from hyperseg.cli.train import main
torch.set_num_threads(1)
size = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")][0] * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]) * 2**20,) * 2)
main(sys.argv[2:], prog_name="hyperseg-train")
"""


def _under_a_limit(megabytes: int, folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    command = ["finetune", "--data", str(folder), "--out", str(folder / f"run{megabytes}"), "--init", "camvid-lite"]
    options = ["--threads", "1", "--stop-after", "1", "--set", "optimiser.iterations=1", "--set", "precision=float32"]
    crops = ["--set", "resolution=[128,128]", "--set", "crops=[{height=256,width=256}]", "--set", "batch=8"]
    return subprocess.run(
        [sys.executable, "-c", _UNDER_A_LIMIT, str(megabytes), *command, *options, *crops, *settings],
        capture_output=True, text=True, check=False, env=environment(), timeout=LIMIT_S,
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_in_little_memory_computes_in_parts(tmp_path: Path) -> None:
    data = write_scenes(tmp_path, sizes=((256, 256),))
    found = _under_a_limit(1300, data)
    assert found.returncode == 0, found.stderr
    assert "a batch of 8 at 256x256 needs about" in found.stderr and "batches are computed in" in found.stderr
    assert (data / "run1300" / "best.pth").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("megabytes", "reason"), [(420, "memory ran out"), (640, "one image of the largest crop")])
def test_a_run_in_too_little_memory_is_refused(megabytes: int, reason: str, tmp_path: Path) -> None:
    data = write_scenes(tmp_path, sizes=((256, 256),))
    found = _under_a_limit(megabytes, data)
    assert found.returncode == 1 and "Traceback" not in found.stderr
    last = found.stderr.splitlines()[-1]
    assert last.startswith("hyperseg-train: error: ") and "available" in last and "--set crops" in last
    assert reason in last
    assert not (data / f"run{megabytes}").exists()
