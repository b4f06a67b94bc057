"""Batches as a pure function of seed and iteration: resuming is exact, and several processes equal one.

Sample p of the whole run (p counts over all processes) is image p mod n of the permutation of epoch p // n, augmented
by the random numbers of (seed, p). The process of rank r takes the r-th share of each global batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hyperseg.data.augment import Augmentation
from hyperseg.data.dataset import Dataset
from hyperseg.data.reading import Pixels

_ORDER, _CROP, _AUGMENTATION = range(3)


@dataclass(frozen=True)
class Crop:
    """Training crop: its size in pixels and the share of the iterations that use it."""

    height: int
    width: int
    share: float = 1.0


@dataclass(frozen=True)
class Batch:
    """A batch: `images` uint8 [N, H, W, 3] RGB and `labels` uint8 [N, H, W]."""

    images: Pixels
    labels: Pixels


@dataclass(frozen=True)
class BatchSampler:
    """Selects the samples and the crop size of each iteration."""

    seed: int
    batch: int
    """Samples per process."""
    crops: tuple[Crop, ...]
    rank: int = 0
    world_size: int = 1

    def crop(self, iteration: int) -> tuple[int, int]:
        """Crop size (height, width) of an iteration."""
        shares = np.array([crop.share for crop in self.crops])
        chosen = self.crops[int(self._rng(_CROP, iteration).choice(len(shares), p=shares / shares.sum()))]
        return chosen.height, chosen.width

    def positions(self, iteration: int) -> range:
        """Positions in the whole run of this process's samples."""
        first = (iteration * self.world_size + self.rank) * self.batch
        return range(first, first + self.batch)

    def index(self, position: int, length: int) -> int:
        """Index of the sample at a position, in a dataset of `length`."""
        return int(self._rng(_ORDER, position // length).permutation(length)[position % length])

    def augmentation_rng(self, position: int) -> np.random.Generator:
        return self._rng(_AUGMENTATION, position)

    def _rng(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, purpose, number))


@dataclass(frozen=True)
class BatchSource:
    """Creates the batch of any iteration."""

    sampler: BatchSampler
    augmentation: Augmentation
    evaluation: tuple[int, int]
    dataset: Callable[[int], Dataset]
    """Dataset of an iteration; it may grow during a run."""

    def batch(self, iteration: int) -> Batch:
        """Create the batch of an iteration."""
        dataset, crop = self.dataset(iteration), self.sampler.crop(iteration)
        samples = [
            self.augmentation(
                dataset[self.sampler.index(p, len(dataset))], crop, self.evaluation, self.sampler.augmentation_rng(p)
            )
            for p in self.sampler.positions(iteration)
        ]
        return Batch(np.stack([image for image, _ in samples]), np.stack([label for _, label in samples]))


def prefetch(source: BatchSource, first: int, stop: int, workers: int = 1) -> Iterator[Batch]:
    """Yield the batches of iterations `first` to `stop` in order, prefetched in threads (OpenCV releases the GIL)."""
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for iteration in range(first, stop):
                waiting.append(pool.submit(source.batch, iteration))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
