"""What sessions leave behind on the device and in the process: tests/engines/test_contexts.py with the real pycuda."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hyperseg_export.engine import EngineOptions, build_engine
from hyperseg_runtime import sidecar
from hyperseg_runtime.backends import cuda, tensorrt
from hyperseg_runtime.backends.primary_context import PrimaryContext
from hyperseg_runtime.backends.protocol import BackendName, Note, Session, SessionOptions, ignore
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.discovery import shipped_models

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("tensorrt_gpu")]

ROUNDS = 10
"""In each of two threads; each opens an engine anew."""
LIMIT = 300.0
"""Seconds for all of them to end."""
SLACK = 8 << 20
"""Bytes that the driver may keep for itself: fewer than the buffers of one session."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (model,) = shipped_models(portable=False).values()
    return build_engine(model, tmp_path_factory.mktemp("engine") / "m.engine", EngineOptions(half=True)).engine


def _open(engine: Path, note: Note = ignore) -> Session:
    return tensorrt.open_session(engine, BackendName.TENSORRT, SessionOptions(), note)


def _image(session: Session) -> Any:
    spec = session.metadata.input
    return np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)


@contextmanager
def _foreign_context(driver: Any) -> Iterator[int | None]:
    """A context of somebody else's, current in this thread."""
    context = ctypes.c_void_p()
    if driver.cuCtxCreate_v2(ctypes.byref(context), 0, 0) != 0:
        pytest.skip("the driver makes no second context (exclusive compute mode)")
    try:
        yield context.value
    finally:
        driver.cuCtxDestroy_v2(context)


def _current(driver: Any) -> int | None:
    context = ctypes.c_void_p()
    assert driver.cuCtxGetCurrent(ctypes.byref(context)) == 0
    return context.value


def test_sessions_in_two_threads_leave_nothing(engine: Path) -> None:
    import pycuda.driver

    driver = cuda.load_driver()
    keeper = PrimaryContext(pycuda.driver, 0, driver)
    wrong: list[object] = []

    def free() -> int:
        number, total = ctypes.c_size_t(), ctypes.c_size_t()
        with keeper.current():
            assert driver.cuMemGetInfo_v2(ctypes.byref(number), ctypes.byref(total)) == 0
        return number.value

    def work() -> None:
        try:
            with _foreign_context(driver) as foreign:
                for number in range(ROUNDS):
                    session = _open(engine)
                    session.run(_image(session))
                    if number % 2:
                        session.close()
                    else:
                        closer = threading.Thread(target=session.close)
                        closer.start()
                        closer.join(LIMIT)
                    if _current(driver) != foreign:
                        wrong.append(number)
        except BaseException as error:
            wrong.append(error)
            raise

    _open(engine).close()  # what CUDA and TensorRT load once for all stays
    before = free()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert not any(thread.is_alive() for thread in threads)
    after = free()
    keeper.release()
    assert wrong == []
    assert before - after < SLACK


def test_the_primary_context_ends_with_its_last_session(engine: Path) -> None:
    driver = cuda.load_driver()

    def active() -> bool:
        flags, state = ctypes.c_uint(), ctypes.c_int()
        assert driver.cuDevicePrimaryCtxGetState(0, ctypes.byref(flags), ctypes.byref(state)) == 0
        return bool(state.value)

    session = _open(engine)
    session.close()
    if active():
        pytest.skip("another library in this process keeps the primary context")
    session = _open(engine)
    assert active()
    closer = threading.Thread(target=session.close)
    closer.start()
    closer.join(LIMIT)
    assert not active()


def test_the_runtime_cache_is_taken_at_the_second_start(engine: Path) -> None:
    if sidecar.read(engine).engine.flavour is not Flavour.RTX:
        pytest.skip("the engine is of the full TensorRT, which compiles nothing at run time")
    labels, notes = [], list[str]()
    for _ in range(2):
        session = _open(engine, notes.append)
        labels.append(session.run(_image(session)).labels)
        session.close()
        assert engine.with_name("m.engine.cache").stat().st_size > 0
    np.testing.assert_array_equal(*labels)
    assert notes == []
