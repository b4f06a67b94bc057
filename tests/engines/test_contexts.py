"""What sessions leave behind in the process: nothing, in whichever threads they are opened, used, closed or forgotten.

The doubles keep pycuda's and the driver's rules (`doubles/cuda.py`, `doubles/device.py`); tests/gpu/test_contexts.py
repeats this on a GPU.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
from hyperseg_runtime.backends.protocol import Outputs
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.backends.tensorrt_session import TensorRTSession
from hyperseg_runtime.errors import ModelError

from .doubles.device import FOREIGN, Error
from .graphs import HEIGHT, WIDTH, miniature
from .sessions import RTX_VERSION, VERSION, Machine, labels_of, needs_operators, random_images

ROUNDS = 500
"""In each of two threads."""
LIMIT = 120.0
"""Seconds for all of them to end."""

MACHINES = {Flavour.TENSORRT: VERSION, Flavour.RTX: RTX_VERSION}

pytestmark = needs_operators


def test_a_thousand_sessions_in_two_threads_leave_nothing() -> None:
    """Every second one is closed in the other thread; somebody else's context stays current in both."""
    machine = Machine()
    model = miniature()
    plan = machine.plan(model)
    handed: tuple[Queue[TensorRTSession], Queue[TensorRTSession]] = (Queue(), Queue())
    wrong: list[object] = []

    def work(mine: Queue[TensorRTSession], others: Queue[TensorRTSession]) -> None:
        machine.device.stack.append(FOREIGN)
        try:
            for number in range(ROUNDS):
                session = machine.open(model, plan)
                if number % 2:
                    session.close()
                else:
                    others.put(session)
                    mine.get(timeout=LIMIT).close()
                if machine.device.stack != [FOREIGN]:
                    wrong.append(machine.device.stack)
        except BaseException as error:
            wrong.append(error)
            raise
        finally:
            machine.device.stack.pop()

    threads = [threading.Thread(target=work, args=pair) for pair in (handed, handed[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    machine.assert_all_released()


def test_no_thread_of_a_session_is_left() -> None:
    before = set(threading.enumerate())
    machine = Machine()
    model = miniature()
    machine.open(model, machine.plan(model)).close()
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("flavour", list(Flavour))
def test_an_error_anywhere_in_opening_leaves_nothing(flavour: Flavour, tmp_path: Path) -> None:
    model = miniature()
    for number in itertools.count():
        machine = Machine(MACHINES[flavour], flavour)
        machine.device.stack.append(FOREIGN)
        machine.device.fail_at = number
        try:
            session = machine.open(model, machine.plan(model), path=tmp_path / "m.engine")
        except Error as error:
            assert "out of memory" in str(error)
            machine.assert_all_released(pushed=1)  # although the traceback is still there
        else:
            break
    assert number > 5  # opening makes many calls, and each of them failed
    session.close()
    machine.assert_all_released(pushed=1)


def test_a_failed_run_leaves_nothing_while_its_error_is_kept() -> None:
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    machine.device.fail_next = "cuMemcpyDtoHAsync failed: an illegal memory access was encountered"
    with pytest.raises(ModelError) as caught:
        session.run(random_images(HEIGHT, WIDTH))
    machine.assert_all_released()
    assert caught.value.__traceback__ is not None


def test_a_context_that_another_library_set_over_pycudas_stays_current() -> None:
    """pycuda.autoinit has pushed a context, then torch.cuda.set_device has replaced it on the driver's stack."""
    machine = Machine()
    model = miniature()
    machine.cuda.init()
    theirs = machine.cuda.Device(0).retain_primary_context()
    theirs.push()
    machine.device.stack[-1] = FOREIGN
    session = machine.open(model, machine.plan(model))
    assert machine.device.stack == [FOREIGN]
    images = random_images(HEIGHT, WIDTH)
    np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    session.close()
    assert machine.device.stack == [FOREIGN]
    machine.cuda.Context.pop()
    assert machine.device.retained == 1  # theirs
    theirs.detach()


def test_another_library_may_use_the_default_stream_while_a_graph_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    begin = machine.driver.cuStreamBeginCapture_v2

    def begin_while_torch_works(stream: ctypes.c_void_p, mode: int) -> int:
        status = begin(stream, mode)
        machine.device.use_default_stream()
        return status

    monkeypatch.setattr(machine.driver, "cuStreamBeginCapture_v2", begin_while_torch_works)
    model = miniature()
    session = machine.open(model, machine.plan(model))
    assert "CUDA graph" in session.description
    session.close()
    machine.assert_all_released()


def test_a_forgotten_session_gives_its_memory_back() -> None:
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    session.run(random_images(HEIGHT, WIDTH))
    del session
    gc.collect()
    machine.assert_all_released()


def test_a_process_that_closes_nothing_ends_quietly() -> None:
    script = (
        "from tests.engines.sessions import Machine; from tests.engines.graphs import miniature\n"
        "import atexit\n"
        "machine, model = Machine(), miniature()\n"
        "atexit.register(machine.assert_all_released)\n"
        "session = machine.open(model, machine.plan(model))\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "error", "-c", script]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_a_forked_process_may_close_what_it_inherited() -> None:
    """A forked process has none of the parent's threads, so that waiting for one would never end."""
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    child = multiprocessing.get_context("fork").Process(target=session.close)
    child.start()
    child.join(LIMIT)
    ended = child.exitcode
    child.kill()
    child.join()
    assert ended == 0
    session.close()
    machine.assert_all_released()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
@pytest.mark.parametrize("flavour", list(Flavour))
def test_a_forked_process_touches_nothing_of_the_parents(flavour: Flavour, tmp_path: Path) -> None:
    """Not even where it was forked in the middle of another thread's run, whose lock nobody gives back there."""
    machine = Machine(MACHINES[flavour], flavour, records_graphs=False)
    model = miniature()
    session = machine.open(model, machine.plan(model), path=tmp_path / "m.engine")
    images = random_images(HEIGHT, WIDTH)
    session.run(images)
    inside, leave = threading.Event(), threading.Event()
    enqueue = session._engine.enqueue

    def slow(stream: int) -> bool:
        inside.set()
        assert leave.wait(LIMIT)
        return enqueue(stream)

    session._engine.enqueue = slow  # type: ignore[method-assign]
    running = threading.Thread(target=session.run, args=(images,))
    running.start()
    assert inside.wait(LIMIT)

    def child() -> None:
        with pytest.raises(ModelError, match="was opened in another process; open the engine in this one"):
            session.run(images)
        session.close()
        session.close()
        assert machine.device.memory and machine.device.streams and machine.device.retained

    forked = multiprocessing.get_context("fork").Process(target=child)
    forked.start()
    forked.join(LIMIT)
    ended = forked.exitcode
    forked.kill()
    forked.join()
    leave.set()
    running.join(LIMIT)
    assert ended == 0
    session.close()
    machine.assert_all_released()


class Interruption:
    """What a signal handler does in the middle of a call: it runs in the same thread, between two instructions."""

    def __init__(self, session: TensorRTSession, handler: Callable[[], object]) -> None:
        self._enqueue = session._engine.enqueue
        self._handler = handler
        session._engine.enqueue = self  # type: ignore[method-assign,assignment]

    def __call__(self, stream: int) -> bool:
        self._handler()
        return self._enqueue(stream)


def within_limit(function: Callable[[], object]) -> object:
    """The function's result, or what it raised, from a thread that may wait forever."""
    result: list[object] = []

    def call() -> None:
        try:
            result.append(function())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(LIMIT / 4)
    assert not thread.is_alive(), "the call waits for itself"
    return result[0]


def test_a_signal_handler_that_closes_amid_a_run_does_not_wait_for_it() -> None:
    machine = Machine(records_graphs=False)
    model = miniature()
    session = machine.open(model, machine.plan(model))
    images = random_images(HEIGHT, WIDTH)
    Interruption(session, session.close)
    outputs = within_limit(lambda: session.run(images))
    assert isinstance(outputs, Outputs) and np.array_equal(outputs.labels, labels_of(model, images))
    machine.assert_all_released()  # by the run, when it ended
    with pytest.raises(ModelError, match="is closed"):
        session.run(images)


def test_a_signal_handler_that_runs_amid_a_run_is_refused() -> None:
    machine = Machine(records_graphs=False)
    model = miniature()
    session = machine.open(model, machine.plan(model))
    images = random_images(HEIGHT, WIDTH)
    Interruption(session, lambda: session.run(images))
    failed = within_limit(lambda: session.run(images))
    assert isinstance(failed, ModelError) and "a signal handler ran the session" in str(failed)
    session.close()
    machine.assert_all_released()


def test_a_signal_handler_that_closes_amid_a_close() -> None:
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    session._resources.own(session.close)
    within_limit(session.close)
    machine.assert_all_released()
