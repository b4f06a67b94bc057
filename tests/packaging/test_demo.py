"""The README's first command in a fresh clone: from nothing to a playable video."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SECONDS = 240  # what the README promises for a fresh clone


@pytest.fixture(scope="module")
def clone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone") / "hyperseg"
    done = subprocess.run(["git", "clone", "-q", root, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return folder


def demo(clone: Path, *arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(clone / "scripts/demo.sh"), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": "", **environment},
        capture_output=True,
        text=True,
        timeout=3 * SECONDS,
        check=False,
    )


def test_the_first_command_ends_with_a_video_and_its_frame_rate(
    clone: Path, compiler_launcher: dict[str, str], tmp_path: Path
) -> None:
    done = demo(clone, "--max-frames", "10", cwd=tmp_path, **compiler_launcher)
    if "No matching distribution" in done.stdout + done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stdout + done.stderr
    videos = re.findall(r"\S+\.segmented\.mp4", done.stdout)
    assert videos, done.stdout
    assert Path(videos[-1]).stat().st_size > 0
    assert re.search(r"\d+(\.\d+)? *(fps|frames/s|frames per second)", done.stdout), done.stdout


def test_it_works_again_from_another_folder_on_a_clip_of_ones_own(clone: Path, tmp_path: Path) -> None:
    if not (clone / ".venv-demo").exists():
        pytest.skip("the first run did not get that far")
    clip = clone / "runs/demo/street.mp4"
    (tmp_path / "mine.mp4").write_bytes(clip.read_bytes())
    done = demo(clone, "mine.mp4", "--max-frames", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "already built" in done.stdout
    assert (clone / "runs/demo/mine.segmented.mp4").stat().st_size > 0
    assert {path.name for path in tmp_path.iterdir()} == {"mine.mp4"}


def test_it_takes_less_than_1500_megabytes_and_no_torch(clone: Path) -> None:
    if not (clone / ".venv-demo").exists():
        pytest.skip("the first run did not get that far")
    assert sum(path.lstat().st_blocks * 512 for path in clone.rglob("*")) < 1.5e9
    assert not list(clone.glob(".venv-demo/lib/python*/site-packages/torch*"))


def test_a_missing_clip_is_one_clear_line(clone: Path, tmp_path: Path) -> None:
    done = demo(clone, "no-such-clip.mp4", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == "demo.sh: no such file: no-such-clip.mp4"
