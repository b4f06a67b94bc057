"""A limit for what might otherwise never end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise a `TimeoutError` in the block after so many seconds, also where it waits for a file."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
