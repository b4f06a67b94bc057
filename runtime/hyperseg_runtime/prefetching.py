"""`prefetch`: an iterator that runs ahead in a thread of its own, with a bounded queue."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from hyperseg_runtime.errors import ModelError

Item = TypeVar("Item")
_DEPTH = 2
_POLL_SECONDS = 0.1


def prefetch(
    items: Iterator[Item],
    depth: int = _DEPTH,
    latest: bool = False,
    stop_asked: Callable[[], bool] = lambda: False,
    on_drop: Callable[[], None] = lambda: None,
) -> Generator[Item, None, None]:
    """Prefetches an iterator in a thread, with a bounded queue. Its exceptions are raised after the items before them.

    depth: length of the queue. latest: keep only the newest waiting item and drop the others (live sources).
    stop_asked: polled while no item comes; True ends the generator.
    on_drop: called for each item that is dropped, in the thread that reads `items`.
    Closing the generator stops the thread, waits for it, and closes `items`.
    """
    prefetcher = _Prefetcher(items, depth, latest, stop_asked, on_drop)
    try:
        yield from prefetcher
    finally:
        prefetcher.stop()


@dataclass(frozen=True)
class _End:
    """The last element of a queue: the iterator is exhausted, or raised `error`."""

    error: BaseException | None


class _Prefetcher(Generic[Item]):
    """The thread of `prefetch` and its queue."""

    def __init__(
        self,
        items: Iterator[Item],
        depth: int,
        latest: bool,
        stop_asked: Callable[[], bool],
        on_drop: Callable[[], None],
    ) -> None:
        self._items, self._latest, self._stop_asked, self._on_drop = items, latest, stop_asked, on_drop
        self._queue: queue.Queue[Item | _End] = queue.Queue(1 if latest else depth)
        self._stopped = threading.Event()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._fill, name="hyperseg-prefetch", daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._put(item, replace=self._latest)
                if self._stopped.is_set():
                    break
        except BaseException as raised:
            error = raised
        finally:
            if isinstance(self._items, Generator):
                self._items.close()
        self._put(_End(error), replace=False)

    def _put(self, item: Item | _End, replace: bool) -> None:
        """Waits for a free place, or (`replace`) drops the waiting item."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0 if replace else _POLL_SECONDS)
                return
            except queue.Full:
                if replace:
                    with contextlib.suppress(queue.Empty):
                        self._queue.get_nowait()
                        self._on_drop()

    def __iter__(self) -> Iterator[Item]:
        while True:
            if self._is_forked:
                raise ModelError(
                    "these frames were begun before this process was forked, and the threads that read and segment "
                    "them are not in the fork; begin again here"
                )
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self._stop_asked():
                    return
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    @property
    def _is_forked(self) -> bool:
        """Whether this is a fork of the process with the thread; what it held at that moment stays locked here."""
        return os.getpid() != self._process

    def stop(self) -> None:
        if self._is_forked:
            return
        self._stopped.set()
        self._thread.join()
