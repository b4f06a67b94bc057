"""Runs an iterator in a thread of its own, a bounded number of items ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class _End:
    """The last thing in a queue: the iterator is used up, or raised `error`."""

    error: BaseException | None


class _Hurry(Generic[Item]):
    """The thread and its queue."""

    def __init__(self, items: Iterator[Item], depth: int, latest: bool) -> None:
        self._items, self._latest = items, latest
        self._queue: queue.Queue[Item | _End] = queue.Queue(1 if latest else depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="hyperseg-stage", daemon=True)
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
        """Waits for a free place, or takes the place of an item that nobody has taken yet."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0 if replace else _POLL_SECONDS)
                return
            except queue.Full:
                if replace:
                    try:
                        self._queue.get_nowait()
                    except queue.Empty:
                        continue

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


def run_ahead(items: Iterator[Item], depth: int = 2, latest: bool = False) -> Generator[Item, None, None]:
    """The items of `items`, made in another thread. Its exceptions are raised here, after the items before them.

    depth: how many items may wait. latest: keep only the newest waiting one and drop the others (live sources).
    Closing the generator stops the thread, waits for it, and closes `items`.
    """
    hurry = _Hurry(items, depth, latest)
    try:
        yield from hurry
    finally:
        hurry.stop()
