"""Batches as a pure function of seed and iteration, which makes resuming exact and several processes equal to one.

Sample p of the whole run (p counts over all processes) is picture p mod n of the permutation of epoch p // n, changed
by the random numbers of (seed, p). A process of rank r takes every world-th share of each global batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hyperseg.data.augment import Augmentation
from hyperseg.data.sample import DataSet, Pixels

_ORDER, _CROP, _CHANGE = range(3)


@dataclass(frozen=True)
class Crop:
    """A training size in pixels and the share of the iterations that use it."""

    height: int
    width: int
    share: float = 1.0


@dataclass(frozen=True)
class Batch:
    """`images` uint8 [N, H, W, 3] RGB and `labels` uint8 [N, H, W]."""

    images: Pixels
    labels: Pixels


@dataclass(frozen=True)
class Plan:
    """Which samples and which crop each iteration takes."""

    seed: int
    batch: int
    """Samples per process."""
    crops: tuple[Crop, ...]
    rank: int = 0
    world: int = 1

    def crop(self, iteration: int) -> tuple[int, int]:
        shares = np.array([crop.share for crop in self.crops])
        chosen = self.crops[int(self._rng(_CROP, iteration).choice(len(shares), p=shares / shares.sum()))]
        return chosen.height, chosen.width

    def positions(self, iteration: int) -> range:
        first = (iteration * self.world + self.rank) * self.batch
        return range(first, first + self.batch)

    def index(self, position: int, length: int) -> int:
        return int(self._rng(_ORDER, position // length).permutation(length)[position % length])

    def change(self, position: int) -> np.random.Generator:
        return self._rng(_CHANGE, position)

    def _rng(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, purpose, number))


@dataclass(frozen=True)
class Source:
    """Makes the batch of any iteration."""

    plan: Plan
    augmentation: Augmentation
    evaluation: tuple[int, int]
    data: Callable[[int], DataSet]
    """The data set that an iteration draws from; it may grow during a run."""

    def batch(self, iteration: int) -> Batch:
        data, crop = self.data(iteration), self.plan.crop(iteration)
        made = [
            self.augmentation(data[self.plan.index(p, len(data))], crop, self.evaluation, self.plan.change(p))
            for p in self.plan.positions(iteration)
        ]
        return Batch(np.stack([image for image, _ in made]), np.stack([label for _, label in made]))


def prefetched(source: Source, first: int, stop: int, workers: int = 1) -> Iterator[Batch]:
    """The batches of iterations `first` to `stop` in order, made ahead in threads (OpenCV releases the interpreter)."""
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
