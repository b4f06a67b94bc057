"""Fixtures of the runtime's tests: a stand-in model, and hyperseg-run in this process."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hyperseg_runtime
import pytest
from hyperseg_runtime.benchmark import footprint, session
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.run import run as run_command
from hyperseg_runtime.segmenter import Segmenter

from .stand_in import write_model

DRIVE = Path(__file__).parents[3] / "shared" / "data" / "drive.mp4"


PACKAGE = Path(hyperseg_runtime.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])}
"""For commands in processes of their own: this package, installed or not."""


@dataclass(frozen=True)
class Finished:
    """A finished command."""

    code: int
    out: str
    err: str

    def failed_with(self, *parts: str) -> None:
        """Asserts exit code 1 and one clear line on stderr, besides notes, that contains `parts`."""
        assert self.code == 1, self
        lines = [line for line in self.err.splitlines() if not line.startswith("hyperseg-run: note: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("hyperseg-"), self.err
        assert "Traceback" not in self.err
        for part in parts:
            assert part in lines[0], (part, lines[0])


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "stand-in.onnx")


@pytest.fixture
def segmenter(model: Path) -> Iterator[Segmenter]:
    with Segmenter(model) as opened:
        yield opened


@pytest.fixture
def hyperseg_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """Runs hyperseg-run in this process, in tmp_path, with the stand-in model unless another is named."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Finished:
        out, err = io.StringIO(), io.StringIO()
        named = [] if "--model" in arguments else ["--model", str(model)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            common.execute(run_command, "hyperseg-run", [*named, *map(str, arguments)])
        assert isinstance(ended.value.code, int)
        return Finished(ended.value.code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out hyperseg-benchmark's processes that measure memory, which take most of a second each."""
    monkeypatch.setattr(session, "peak_memory", lambda *_: footprint.PeakMemory(3 << 20, 1 << 20))


@pytest.fixture(scope="session")
def drive() -> Path:
    """A real driving clip, 101 frames of 480x360."""
    if not DRIVE.is_file():
        pytest.skip(f"the driving clip {DRIVE} is not on this machine")
    return DRIVE
