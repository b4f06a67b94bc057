"""Command-line options of the test suite, and its distribution over processes (pytest-xdist).

A module's tests stay together, since they share its fixtures; long modules come first, so that all processes end soon.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import worst

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

INDEPENDENT = ("tests/cuda_kernels/test_sanitizers.py",)
"""Modules of a few long tests without shared fixtures; each test is distributed separately."""

if "PYTEST_XDIST_WORKER" in os.environ:
    # PyTorch threads for all cores in each process would compete. Set before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


_KEYS = tempfile.TemporaryDirectory(prefix="hyperseg-test-keys-")
# No test, nor a command that it starts, touches the keys of the user who runs it. Set here, since modules of tests copy
# the environment when they are imported.
os.environ["XDG_CONFIG_HOME"] = _KEYS.name


@pytest.fixture(scope="session", autouse=True)
def _key_of_the_session() -> None:
    """Made at once: the note of the first build would else be in the output of whichever test builds first."""
    if find_spec("cryptography") is not None:
        from hyperseg_runtime import signing

        signing.machine_key()


@pytest.fixture
def closing_terminal() -> Iterator[None]:
    """SIGHUP ends the commands that a test starts, although the tests themselves may run under nohup, which they would
    inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="also every preset and architecture at full size")
    parser.addoption(
        "--worst", type=Path, metavar="FILE", help="write the worst errors there as shares of their bounds"
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path | None = session.config.getoption("--worst")
    if path is not None and not hasattr(session.config, "workerinput"):  # one process: with -n 0
        worst.write(path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--exhaustive"):
        left_out = pytest.mark.skip(reason="one of its kind runs by default; all of them with --exhaustive")
        for item in items:
            if item.get_closest_marker("exhaustive"):
                item.add_marker(left_out)
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in long)


def _share(nodeid: str) -> str:
    """The unit of distribution of a test: itself, its module, or all tests of the GPU."""
    module = nodeid.partition("::")[0]
    if module.startswith("tests/gpu/"):
        return "tests/gpu"
    return nodeid if module in INDEPENDENT else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _share(nodeid)

    config.option.loadscopereorder = False  # the order is that of pytest_collection_modifyitems
    return ByModule(config, log)
