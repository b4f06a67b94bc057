"""Augmentation warps image and label alike, and batches are a function of seed and iteration."""

import numpy as np
import pytest

from hyperseg.data import (
    CAMVID_11,
    VOID,
    Augmentation,
    BatchSampler,
    BatchSource,
    Classes,
    Crop,
    Sample,
    ScaleOf,
    prefetch,
)
from hyperseg.data.augment import warp_image, warp_label

STRONG = Augmentation(scale=(0.6, 1.8), scale_of=ScaleOf.EVALUATION, aspect=0.1, rotation=20.0, flip=True)


def _sample(height: int = 60, width: int = 80) -> Sample:
    """A label of blocks, and an image whose brightness is the label."""
    label = np.kron(np.arange(12).reshape(3, 4) % 11, np.ones((height // 3, width // 4))).astype(np.uint8)
    image = np.repeat((label * 20 + 20)[..., None], 3, axis=2).astype(np.uint8)
    return Sample("blocks", image, label)


def test_image_and_label_stay_aligned() -> None:
    for seed in range(8):
        image, label = STRONG(_sample(), (64, 96), (60, 80), np.random.default_rng(seed))
        inside = label != VOID
        wrong = np.abs(image[..., 0].astype(int) - (label.astype(int) * 20 + 20))[inside] > 10
        # Bilinear pixels on the borders between blocks mix two labels; everything else must match.
        assert wrong.mean() < 0.12
        assert set(np.unique(label)) <= {*range(11), VOID}


def test_the_identity_changes_nothing() -> None:
    sample = _sample()
    image, label = Augmentation()(sample, (60, 80), (60, 80), np.random.default_rng(0))
    assert np.array_equal(image, sample.image) and np.array_equal(label, sample.label)


def test_a_doubled_image_is_aligned_by_pixel_edges() -> None:
    label = np.arange(16, dtype=np.uint8).reshape(4, 4)
    doubled = warp_label(label, np.array([[2.0, 0, 0], [0, 2.0, 0]]), (8, 8))
    assert np.array_equal(doubled, np.kron(label, np.ones((2, 2), np.uint8)))


def test_shrinking_averages_and_does_not_skip() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = warp_image(stripes, np.array([[0.25, 0, 0], [0, 0.25, 0]]), (16, 16))
    assert np.abs(small.astype(int) - 100).max() <= 2


def test_pixels_outside_the_image_are_void() -> None:
    _, label = Augmentation()(_sample(), (100, 120), (60, 80), np.random.default_rng(0))
    assert (label == VOID).sum() == 100 * 120 - 60 * 80


def test_colours_change_within_their_ranges() -> None:
    grey = Sample("grey", np.full((8, 8, 3), 128, np.uint8), np.zeros((8, 8), np.uint8))
    change = Augmentation(brightness=0.1, contrast=(0.8, 1.2), saturation=(0.5, 1.5))
    for seed in range(10):
        image, _ = change(grey, (8, 8), (8, 8), np.random.default_rng(seed))
        assert np.abs(image.astype(int) - 128).max() <= 26 and np.ptp(image) <= 1


def test_crops_of_a_single_class_are_drawn_again() -> None:
    label = np.zeros((60, 80), np.uint8)
    label[:, 40:] = 1
    sample = Sample("halves", np.zeros((60, 80, 3), np.uint8), label)
    shares = []
    for seed in range(20):
        _, seen = Augmentation(dominance=0.75)(sample, (20, 40), (60, 80), np.random.default_rng(seed))
        shares.append(np.bincount(seen.ravel(), minlength=2).max() / seen.size)
    assert np.mean(np.array(shares) <= 0.75) > 0.9


class Numbers:
    """Dataset of images whose pixels are their index."""

    classes: Classes = CAMVID_11

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Sample:
        return Sample(str(index), np.full((16, 16, 3), index, np.uint8), np.zeros((16, 16), np.uint8))


def _source(batch: int, rank: int = 0, world_size: int = 1) -> BatchSource:
    sampler = BatchSampler(3, batch, (Crop(8, 8, 0.5), Crop(8, 12, 0.5)), rank, world_size)
    return BatchSource(sampler, Augmentation(flip=True), (16, 16), lambda _: Numbers())


def test_every_epoch_takes_every_image_once() -> None:
    source = _source(1)
    seen = [int(source.batch(i).images[0, 0, 0, 0]) for i in range(10)]
    assert sorted(seen[:5]) == sorted(seen[5:]) == [0, 1, 2, 3, 4]


def test_two_processes_take_the_halves_of_one_batch() -> None:
    for iteration in range(6):
        whole = _source(4).batch(iteration)
        halves = [_source(2, rank, 2).batch(iteration) for rank in (0, 1)]
        assert np.array_equal(whole.images, np.concatenate([half.images for half in halves]))


def test_prefetched_batches_are_the_batches() -> None:
    for index, batch in enumerate(prefetch(_source(2), 4, 12, workers=2)):
        assert np.array_equal(batch.images, _source(2).batch(4 + index).images)


def test_an_error_in_a_prefetching_thread_reaches_the_caller() -> None:
    def broken(_: int) -> Numbers:
        raise OSError("the disk is gone")

    source = BatchSource(BatchSampler(0, 1, (Crop(8, 8),)), Augmentation(), (16, 16), broken)
    with pytest.raises(OSError, match="disk is gone"):
        list(prefetch(source, 0, 3))
