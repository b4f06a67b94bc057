"""Prefetching: bounded, in order, with the iterator's errors, and stopped when closed."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from hyperseg_runtime.prefetching import prefetch


def test_all_items_in_order() -> None:
    assert list(prefetch(iter(range(500)))) == list(range(500))


def test_never_more_than_depth_ahead() -> None:
    last = -1

    def items() -> Iterator[int]:
        nonlocal last
        while last < 50:
            last += 1
            yield last

    for item in prefetch(items(), depth=2):
        time.sleep(0.002)
        assert last - item <= 4  # two in the queue, one with the producer, one being made


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("broken")

    taken = []
    with pytest.raises(ValueError, match="broken"):
        for item in prefetch(items()):
            taken.append(item)
    assert taken == [0, 1, 2, 3, 4]


def test_closing_stops_the_thread_and_closes_the_items() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.set()

    before = threading.active_count()
    generator = prefetch(items())
    assert next(generator) == 0
    generator.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_latest_drops_what_nobody_took() -> None:
    produced = threading.Event()

    def items() -> Iterator[int]:
        yield from range(1000)
        produced.set()

    taken = []
    for item in prefetch(items(), latest=True):
        if not taken:
            produced.wait(5)
        taken.append(item)
    assert len(taken) < 10
    assert taken[-1] == 999
