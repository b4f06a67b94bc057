"""Outputs are whole or not there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hyperseg_export.files import replacing
from hyperseg_runtime.errors import OutputError


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    with replacing(target, force=False) as draft:
        draft.write_bytes(b"whole")
        assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists and was kept"), replacing(target, force=False):
        pytest.fail("the block must not run")
    with replacing(target, force=True) as draft:
        draft.write_bytes(b"new")
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.ENOSPC, "disk is full"), (errno.EFBIG, "ulimit"), (errno.EIO, "not written")]
)
def test_a_failing_write_leaves_the_old_file_and_no_draft(tmp_path: Path, code: int, remedy: str) -> None:
    target = tmp_path / "m.onnx"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match=remedy), replacing(target, force=True) as draft:
        draft.write_bytes(b"half")
        raise OSError(code, "simulated")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert target.read_bytes() == b"old"


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "m.onnx", force=False) as draft:
        draft.write_bytes(b"half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "is a directory"),
        ("missing/m.onnx", "does not exist"),
        ("file/m.onnx", "does not exist"),
        ("x" * 300, "cannot be written|not written"),
    ],
)
def test_impossible_targets_are_named(tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=message), replacing(tmp_path / target, force=True):
        pytest.fail("the block must not run")
