"""PyTorch on the GPU, or with --host on the kernels compiled for the CPU, behind one interface for the stages."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from hyperseg_export.samples import random_network

from gpu_check.stage import Context, SkipStageError
from hyperseg.cuda_library import CudaLibrary
from hyperseg.operators import cuda as cuda_operators

PRESETS = ("camvid-s", "camvid-l", "cityscapes-m", "cityscapes-s", "voc-l")
PRECISIONS = {"float16": torch.float16, "float32": torch.float32}


class TorchDevice:
    """`device` is "cuda" or "cpu"; on the CPU, captures are plain calls and times mean nothing."""

    def __init__(self, context: Context) -> None:
        self.host = context.host
        if not self.host and not torch.cuda.is_available():
            built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
            raise SkipStageError(
                f"PyTorch {torch.__version__} is built {built} and finds no GPU; install a CUDA build that fits "
                "the driver"
            )
        self.device = torch.device("cpu" if self.host else "cuda")

    @contextmanager
    def our_kernels(self, context: Context) -> Iterator[None]:
        """Within the context, `torch.ops.hyperseg` uses our kernels. Raises SkipStageError if unavailable."""
        with self._redirected(context):
            if cuda_operators.library() is None:
                raise SkipStageError("libhyperseg_cuda.so does not load; see gpu-check.log")
            yield

    def _redirected(self, context: Context) -> Any:
        if not self.host:
            return nullcontext()
        from cuda_on_cpu.torch_operators import kernels_for_cpu_tensors

        return kernels_for_cpu_tensors(Path(context.work))

    def size(self, config: Any) -> tuple[int, int]:
        """Height and width: the published ones, or two units on the CPU."""
        height, width = config.resolution
        return (2 * config.unit, 2 * config.unit) if self.host else (int(height), int(width))

    def synchronize(self) -> None:
        if not self.host:
            torch.cuda.synchronize()

    def captured(self, run: Callable[[], Any]) -> Callable[[], Any]:
        """`run` as a CUDA graph; every replay overwrites the tensors that it returned during capture."""
        if self.host:
            return run
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = run()

        def replay() -> Any:
            graph.replay()
            return result

        return replay

    def milliseconds(self, run: Callable[[], Any]) -> float:
        """Milliseconds of one run on the device, between two events."""
        if self.host:
            started = time.perf_counter()
            run()
            return 1e3 * (time.perf_counter() - started)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end))

    def median_milliseconds(self, run: Callable[[], Any], repeats: int, warm_up: int = 3) -> float:
        for _ in range(warm_up):
            run()
        return statistics.median(self.milliseconds(run) for _ in range(repeats))


class CountingLibrary(CudaLibrary):
    """A loaded kernel library that counts launches."""

    def __init__(self, library: CudaLibrary) -> None:
        self.__dict__.update(library.__dict__)
        self.launches = 0

    def launch(self, request: Any, stream: int = 0) -> None:
        super().launch(request, stream)
        self.launches += 1


@contextmanager
def counted_launches() -> Iterator[CountingLibrary]:
    """Counts the launches of `torch.ops.hyperseg` within the context."""
    loaded = cuda_operators.library()
    assert loaded is not None
    counting = CountingLibrary(loaded)
    original = cuda_operators.library
    cuda_operators.library = lambda: counting  # type: ignore[assignment]
    try:
        yield counting
    finally:
        cuda_operators.library = original


def network(preset: str, context: Context, *, dynamic: bool = True) -> Any:
    """The preset with seeded weights that keep activations from vanishing; cached, since it takes seconds to make.

    dynamic: without, the same network with regular convolutions.
    """
    import hyperseg

    config = hyperseg.create(preset).config.replace(dynamic=dynamic)
    path = Path(context.work) / f"{preset}-{'dynamic' if dynamic else 'static'}.pt"
    if path.exists():
        model = hyperseg.create(config)
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    model = random_network(preset) if dynamic else random_network(config)  # type: ignore[arg-type]
    torch.save(model.state_dict(), path)
    return model
