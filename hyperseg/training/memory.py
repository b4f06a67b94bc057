"""Memory of a training step: what is available, what a step needs, and in how many parts a batch is computed.

A batch that does not fit is computed in parts of fewer images whose gradients are summed. Samples, learning rates and
number of updates stay the same; only BatchNorms on batch statistics and the soft Jaccard term see parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hyperseg.data import Crop
from hyperseg.training.loss import ForwardLoss

_COPIES = 4
"""Tensors of the size of every parameter that come with training: gradient, two moments of Adam, and the average."""

_OVER_SAVED = 1.7
"""Peak of a step over the tensors saved for its backward pass: gradients in flight, convolutions' buffers and what the
allocator keeps. Measured on CPUs: 1.2 to 1.6 for camvid-lite, camvid-s, voc-l and a ResNet, in float32 and bfloat16."""

_WORKSPACE = {"cuda": 256 << 20, "cpu": 128 << 20}
"""What the libraries of convolutions and products take for themselves."""

_OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a primitive",  # oneDNN's, which gives no other reason
    "could not create a memory object",
)


@dataclass(frozen=True)
class StepCost:
    """Bytes that training needs beyond the loaded network: `fixed`, and `per_pixel` for every pixel of a batch."""

    fixed: int
    per_pixel: float

    def of(self, images: int, height: int, width: int) -> int:
        """Bytes for a batch of images of one size."""
        return self.fixed + math.ceil(self.per_pixel * images * height * width)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch (CUDA or CPU) or NumPy could not allocate memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _OUT_OF_MEMORY)


def fitting_parts(cost: StepCost, available: int, batch: int, crops: tuple[Crop, ...]) -> int | None:
    """Smallest number of parts of a batch in which every crop fits; None if a single image does not."""
    for parts in range(1, batch + 1):
        largest = math.ceil(batch / parts)
        if all(cost.of(largest, crop.height, crop.width) <= available for crop in crops):
            return parts
    return None


def measure_step(forward_loss: ForwardLoss, unit: int, device: torch.device) -> StepCost:
    """Measure what a step saves for its backward pass, on two small batches; the model and its state stay the same."""
    model = forward_loss.network
    kept = {name: value.clone() for name, value in model.named_buffers()}
    training = model.training
    model.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        small, large = (_saved_bytes(forward_loss, 2, unit, unit * wide, device) for wide in (1, 3))
    model.train(training)
    for name, value in model.named_buffers():
        value.copy_(kept[name])
    pixels = 2 * unit * unit
    per_pixel = max(0.0, (large - small) / (2 * pixels))
    parameters = sum(value.numel() * value.element_size() for value in model.parameters())
    constant = max(0, small - round(per_pixel * pixels))
    fixed = _COPIES * parameters + constant + _WORKSPACE.get(device.type, 0)
    return StepCost(fixed, _OVER_SAVED * per_pixel)


def _saved_bytes(forward_loss: ForwardLoss, images: int, height: int, width: int, device: torch.device) -> int:
    """Bytes of the distinct tensors that a forward pass saves, without parameters and buffers."""
    known = {value.untyped_storage().data_ptr() for value in forward_loss.parameters()}
    known |= {value.untyped_storage().data_ptr() for value in forward_loss.buffers()}
    saved: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in known:
            saved[storage.data_ptr()] = storage.nbytes()
        return value

    pixels = torch.zeros(images, height, width, 3, dtype=torch.uint8, device=device)
    labels = torch.zeros(images, height, width, dtype=torch.uint8, device=device)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        loss = forward_loss(pixels, labels)
    del loss
    return sum(saved.values())


def available_bytes(device: torch.device) -> int:
    """Bytes that this process can still allocate on a device: free memory and PyTorch's own reserve, or RAM."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return available_ram()


def available_ram(root: Path = Path("/")) -> int:
    """Bytes of RAM that this process can still allocate.

    The least of: what the kernel calls available, what the control groups of this process leave (versions 1 and 2, with
    those above), and its limits of address space and data (ulimit -v, -d). `root` is where /proc and /sys are.
    """
    limits = [_meminfo(root), *_control_groups(root), *_process_limits(root)]
    return max(0, min((limit for limit in limits if limit is not None), default=1 << 62))


def _meminfo(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _control_groups(root: Path) -> list[int]:
    """What each control group of this process leaves; file pages that can be dropped count as free."""
    found = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, place = line.split(":", 2)
        if controllers not in ("", "memory") and "memory" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" if not controllers else root / "sys/fs/cgroup/memory"
        limit, used = (
            ("memory.max", "memory.current") if not controllers else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        )
        inner = base / place.strip("/")
        # A container sees its own group as the root of the file system, whatever /proc/self/cgroup calls it.
        for folder in {inner, *(parent for parent in inner.parents if base in (parent, *parent.parents)), base}:
            most, now = _number(folder / limit), _number(folder / used)
            if most is not None and now is not None:
                found.append(most - now + _reclaimable(folder / "memory.stat"))
    return found


def _reclaimable(path: Path) -> int:
    named = dict(line.split() for line in _lines(path) if len(line.split()) == 2)
    return int(named.get("total_inactive_file", named.get("inactive_file", 0)))


def _process_limits(root: Path) -> list[int]:
    """What RLIMIT_AS and RLIMIT_DATA leave."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    status = [line.split() for line in _lines(root / "proc/self/status") if line.endswith(" kB")]
    sizes = {words[0].rstrip(":"): int(words[1]) * 1024 for words in status}
    found = []
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            found.append(limit - sizes.get(name, 0))
    return found


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
