"""Key files that other users may exchange, by the folders that lead to them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from hyperseg_runtime import file_owners, signing, trusted_keys
from hyperseg_runtime.errors import KeyFileError
from hyperseg_runtime.signing import sign, verify

pytest.importorskip("cryptography")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="no owners and modes")
MESSAGE = b"a plan"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """shared/config/hyperseg, with a key in it; outside of the home."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv(trusted_keys.HOME_VARIABLE, str(tmp_path / "shared" / "config"))
    sign(MESSAGE)
    return tmp_path / "shared" / "config" / "hyperseg"


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o702])
@pytest.mark.parametrize("above", [1, 2])
def test_a_folder_above_that_others_may_rename_in(config: Path, above: int, mode: int) -> None:
    folder = config.parents[above - 1]
    folder.chmod(mode)
    with pytest.raises(
        KeyFileError, match=rf"may exchange .*write to {folder} \(mode {mode:o}\).*chmod go-w .*XDG_CONF"
    ):
        sign(MESSAGE)
    folder.chmod(mode | stat.S_ISVTX)  # as /tmp
    sign(MESSAGE)


def test_a_link_to_a_list_in_a_shared_folder(config: Path, tmp_path: Path) -> None:
    """Others could put another file of this user's, one that was unpacked, in the place of the list."""
    listed = tmp_path / "team" / "trusted_keys"
    listed.parent.mkdir()
    listed.write_text("")
    listed.chmod(0o600)
    (config / "trusted_keys").symlink_to(listed)
    assert trusted_keys.listed_keys() == ()
    listed.parent.chmod(0o777)
    with pytest.raises(KeyFileError, match=r"other users may exchange .*trusted_keys, since they may write to .*team"):
        trusted_keys.listed_keys()


def test_no_key_is_made_where_others_may_exchange_it(config: Path, tmp_path: Path) -> None:
    (config / "signing_key").unlink()
    (config / "signing_key.pub").unlink()
    config.parent.chmod(0o777)
    with pytest.raises(KeyFileError, match="other users may exchange"):
        sign(MESSAGE)
    assert list(config.iterdir()) == []


@pytest.mark.parametrize(
    ("gid", "name", "members", "safe"),
    [
        (4711, "me", [], True),
        (4711, "me", ["me"], True),
        (4711, "me", ["other"], False),
        (4711, "lab", [], False),
        (4711, None, [], False),
        (0, "root", [], True),
    ],
)
def test_a_folder_above_that_a_group_may_write_to(
    config: Path, gid: int, name: str | None, members: list[str], safe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many systems make a group for every user, and umask 002 with it (shadow's USERGROUPS_ENAB, pam_umask(8))."""
    import grp
    import pwd

    def getgrgid(number: int) -> SimpleNamespace:
        if name is None:
            raise KeyError(number)
        return SimpleNamespace(gr_name=name, gr_mem=members)

    monkeypatch.setattr(grp, "getgrgid", getgrgid)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="me"))
    status = os.stat_result((stat.S_IFDIR | 0o775, 0, 0, 1, os.geteuid(), gid, 0, 0, 0, 0))
    assert file_owners._others_may_rename_in(status) is not safe


def test_what_leads_to_a_home_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write to the home runs code without any key."""
    monkeypatch.delenv(trusted_keys.HOME_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "users" / "me"))
    for folder in ("users", "users/me", "users/me/.config"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder).chmod(0o777)
    assert verify(MESSAGE, sign(MESSAGE)).own


def test_root_with_the_home_of_who_called_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of root's there would be of no use to the user, and chown would take the user's own away."""
    if os.geteuid() != 0:
        pytest.skip("only root can give folders away")
    monkeypatch.delenv(trusted_keys.HOME_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SUDO_UID", "1000")
    os.chown(tmp_path, 1000, 1000)
    with pytest.raises(KeyFileError, match=r"user who called sudo.*run the command without sudo"):
        sign(MESSAGE)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("SUDO_UID", "1001")  # as in containers whose root works in a mounted home
    sign(MESSAGE)
    for path in (tmp_path / ".config", *(tmp_path / ".config").rglob("*")):
        os.chown(path, 1000, 1000)
    monkeypatch.setenv("SUDO_UID", "1000")
    with pytest.raises(KeyFileError, match=r"belongs to another user .*run the command without sudo") as error:
        sign(MESSAGE)
    assert "chown" not in str(error.value)


def test_a_file_system_without_modes(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As FAT, and Windows' disks in WSL: every mode is 777, and chmod changes nothing (mount(8), vfat: umask)."""
    check = file_owners.check_owner_and_mode

    def everything_is_777(path: Path, status: os.stat_result, variable: str, *, secret: bool = False) -> None:
        check(path, os.stat_result((status.st_mode | 0o777, *status[1:])), variable, secret=secret)

    monkeypatch.setattr(file_owners, "check_owner_and_mode", everything_is_777)
    with pytest.raises(KeyFileError, match="where modes cannot be set, set XDG_CONFIG_HOME to a folder where they can"):
        signing.machine_key()
