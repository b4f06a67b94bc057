"""Output files are complete or absent, and replace existing files only with --force."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.output_files import check_folder, check_target, replacing, write_bytes


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


@pytest.mark.parametrize("name", ["x" * 250 + ".onnx", "ü" * 125 + ".onnx", "m." + "s" * 253])
def test_the_longest_names_are_written(tmp_path: Path, name: str) -> None:
    with replacing(tmp_path / name, force=False) as draft:
        draft.write_bytes(b"complete")
    write_bytes(tmp_path / name, b"again")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"again"}


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    with (
        pytest.raises(OutputError, match="exists and was kept"),
        replacing(target, force=False) as mine,
        replacing(target, force=False) as other,
    ):
        assert mine != other
        mine.write_bytes(b"mine")
        other.write_bytes(b"other")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"m.onnx": b"other"}


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"precious")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "clip.mp4")
    for name in ("clip.mp4", "link.mp4"):
        with pytest.raises(OutputError, match="the input itself"):
            check_target(tmp_path / name, force=True, inputs=[tmp_path / "clip.mp4"])


def test_a_broken_link_counts_as_existing(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match="exists and was kept"):
        check_target(tmp_path / "m.onnx", force=False)


def test_a_file_that_was_created_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    with pytest.raises(OutputError, match="exists and was kept"), replacing(target, force=False) as draft:
        draft.write_bytes(b"ours")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_and_leads_to_the_new_file(tmp_path: Path) -> None:
    real, link = tmp_path / "real.onnx", tmp_path / "m.onnx"
    real.write_bytes(b"old")
    link.symlink_to(real.name)
    write_bytes(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_a_replaced_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "m.onnx"
    target.write_bytes(b"old")
    target.chmod(mode)
    write_bytes(target, b"new")
    assert target.stat().st_mode & 0o777 == mode


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with replacing(tmp_path / "m.onnx", force=False) as draft:
        draft.write_bytes(b"whole")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be the name of a file"):
        check_target(tmp_path / "a\0b", force=True)


def test_a_working_folder_that_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(OutputError, match=r"m\.onnx cannot be written: No such file"):
        check_target(Path("m.onnx"), force=False)


@pytest.mark.skipif(os.name != "posix", reason="no modes")
def test_a_draft_that_was_exchanged_for_a_link_changes_no_other_file(tmp_path: Path) -> None:
    """Whoever may write to the folder could otherwise give a file of this user's the mode of the target."""
    target, private = tmp_path / "m.engine", tmp_path / "private"
    target.write_bytes(b"old")
    target.chmod(0o666)
    private.write_bytes(b"mine")
    private.chmod(0o600)
    with pytest.raises(OutputError), replacing(target, force=True) as draft:
        draft.symlink_to(private)
    assert private.stat().st_mode & 0o777 == 0o600 and private.read_bytes() == b"mine"
    assert target.read_bytes() == b"old" and not target.is_symlink()


def test_a_folder_that_is_a_broken_link_is_not_called_a_file(tmp_path: Path) -> None:
    link = tmp_path / "models"
    link.symlink_to("/unmounted/models")
    with pytest.raises(OutputError, match=r"models is a link to /unmounted/models, which does not exist; create that"):
        check_folder(link / "m")
    assert link.is_symlink()
