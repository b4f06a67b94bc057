"""The Segmenter in other processes: pickled for a pool, and inherited by a fork."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.segmenter import Segmenter

from .clips import write_clip
from .conftest import ENVIRONMENT
from .stand_in import write_model

LIMIT_SECONDS = 60

POOL = """
import multiprocessing, sys
import numpy as np
from hyperseg_runtime import Segmenter

def frames():
    return [np.full((70, 90, 3), level, np.uint8) for level in (0, 90, 180, 250)]

if __name__ == "__main__":
    with Segmenter(sys.argv[1], fit="letterbox") as segment:
        here = [segment(frame) for frame in frames()]
        with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
            there = pool.map(segment, frames(), chunksize=2)
    assert all((one == other).all() for one, other in zip(here, there, strict=True))
    print("the same labels")
"""

FORK = """
import os, sys
import numpy as np
from hyperseg_runtime import Segmenter
from hyperseg_runtime.errors import ModelError

frame = np.full((70, 90, 3), 90, np.uint8)
segment = Segmenter(sys.argv[1])
expected = segment(frame)
child = os.fork()
if child == 0:
    for use in (lambda: segment(frame), lambda: segment.batch([frame]), lambda: segment.session):
        try:
            use()
        except ModelError as error:
            print(error)
    with Segmenter(sys.argv[1]) as own:
        print("opened here:", (own(frame) == expected).all())
    segment.close()
    del segment, use
    print("freed", flush=True)
    os._exit(7)  # as multiprocessing does: ONNX Runtime 1.32 never returns from its own exit handler in a fork
print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("parent:", (segment(frame) == expected).all())
"""


FORK_OF_A_VIDEO = """
import os, sys
from hyperseg_runtime import Segmenter
from hyperseg_runtime.errors import ModelError

segment = Segmenter(sys.argv[1])
frames = segment.video(sys.argv[2])
next(frames)
child = os.fork()
if child == 0:
    try:
        list(frames)
    except ModelError as error:
        print(error, flush=True)
    os._exit(7)
print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("parent:", len(list(frames)))
"""


def run_script(folder: Path, text: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(text)
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_pool_of_processes_opens_the_model_again(model: Path, tmp_path: Path, method: str) -> None:
    if method != "spawn" and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    done = run_script(tmp_path, POOL, model, method)
    assert (done.returncode, done.stdout) == (0, "the same labels\n"), done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_says_that_its_models_are_the_parents(model: Path, tmp_path: Path) -> None:
    """It hung when it freed the model."""
    done = run_script(tmp_path, FORK, model)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    for line in lines[:3]:
        assert line.startswith(f"{model} was opened before this process was forked")
        assert "open the model here, or hand over the Segmenter" in line
    assert lines[3:] == ["opened here: True", "freed", "exit code 7", "parent: True"]


@pytest.mark.parametrize("fit", Fit)
def test_a_pickled_segmenter_has_the_same_options(tmp_path: Path, fit: Fit) -> None:
    model = write_model(tmp_path / "m.onnx", dynamic=True)
    frame = np.random.default_rng(0).integers(0, 256, (90, 200, 3), dtype=np.uint8)
    with Segmenter(model, fit=fit, resolution=(96, 64), threads=1) as segment:
        expected = segment(frame)
        for other in (pickle.loads(pickle.dumps(segment)), copy.copy(segment)):
            with other:
                assert (other.fit, other.size, other.description) == (fit, (96, 64), segment.description)
                assert (other(frame) == expected).all()
                assert other.session is not segment.session
    with pytest.raises(ModelError, match="closed"):
        pickle.dumps(segment)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_video_does_not_go_on_in_a_fork(model: Path, tmp_path: Path) -> None:
    done = run_script(tmp_path, FORK_OF_A_VIDEO, model, write_clip(tmp_path / "clip.mp4", count=12))
    said, code, parent = done.stdout.splitlines()
    assert "begun before this process was forked" in said, done.stderr
    assert (done.returncode, code, parent) == (0, "exit code 7", "parent: 11"), done.stderr


@pytest.mark.parametrize("of", ["recipe", "options"])
def test_a_pickle_of_another_version_is_refused(model: Path, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that knew an option less."""
    with Segmenter(model) as segment:
        recipe = segment.recipe()
        del (recipe if of == "recipe" else recipe.options).__dict__["warm_up" if of == "recipe" else "threads"]
        monkeypatch.setattr(Segmenter, "recipe", lambda _: recipe)
        pickled = pickle.dumps(segment)
    with pytest.raises(ModelError, match="pickled by another version of hyperseg"):
        pickle.loads(pickled)
