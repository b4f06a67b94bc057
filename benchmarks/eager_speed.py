"""Eager PyTorch: our decoder against the published formulation, which unfolds patches for one grouped convolution.

    python benchmarks/eager_speed.py [PRESET ...] [--threads 2] [--repeats 15]

Both networks share all weights and the encoder. They run alternately, so that a busy machine slows both alike; the
table shows medians in milliseconds, batch 1, published resolution.

Measured once on one busy core (AMD EPYC, PyTorch 2.13), ratio of times ours / published and folded / published:
camvid-s 0.75 and 0.70, camvid-l 0.77 and 0.82, cityscapes-m 0.81 and 0.72, cityscapes-s 0.81 and 0.80, voc-l 0.91 and
0.93.
"""

import argparse
import statistics
import time

import torch
from plain import plain
from torch import nn

import hyperseg

DEFAULT = ("camvid-s", "camvid-l", "cityscapes-m", "cityscapes-s", "voc-l")


def measure(networks: list[nn.Module], images: torch.Tensor, repeats: int) -> list[float]:
    """Median milliseconds of each network, interleaved."""
    times: list[list[float]] = [[] for _ in networks]
    for repeat in range(repeats + 1):
        for network, record in zip(networks, times, strict=True):
            start = time.perf_counter()
            network(images)
            if repeat:  # the first turn warms up
                record.append(1000 * (time.perf_counter() - start))
    return [statistics.median(record) for record in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=DEFAULT)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{'preset':<14}{'published':>11}{'ours':>9}{'ratio':>8}{'folded':>9}{'ratio':>8}")
    for name in options.presets:
        model = hyperseg.create(name).eval()
        images = torch.rand(1, 3, *model.config.resolution)
        with torch.inference_mode():
            published, ours, folded = measure([plain(model), model, hyperseg.fold(model)], images, options.repeats)
        print(
            f"{name:<14}{published:>11.0f}{ours:>9.0f}{ours / published:>8.2f}{folded:>9.0f}{folded / published:>8.2f}"
        )


if __name__ == "__main__":
    main()
