"""Signatures with this machine's key: files, fingerprints, trust, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hyperseg_runtime import signing, trusted_keys
from hyperseg_runtime.errors import BadSignatureError, KeyFileError, LibraryMissingError, UnknownKeyError
from hyperseg_runtime.signing import Purpose, sign, statement, verify
from hyperseg_runtime.trusted_keys import Key

pytest.importorskip("cryptography")
MESSAGE = b"a plan"
LIMIT = 60


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for keys, empty."""
    return new_machine(tmp_path / "here", monkeypatch)


def new_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(trusted_keys.HOME_VARIABLE, str(home))
    return home / "hyperseg"


def test_the_first_signature_makes_a_key(config: Path) -> None:
    before = signing.machine_key()
    assert before.created and before.path == config / "signing_key"
    assert not signing.machine_key().created
    key = verify(MESSAGE, sign(MESSAGE))
    assert key.own and key.fingerprint == before.public.fingerprint
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert stat.S_IMODE((config / "signing_key").stat().st_mode) == 0o600
    assert sorted(path.name for path in config.iterdir()) == ["signing_key", "signing_key.pub"]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
def test_the_files_are_those_of_openssh(config: Path) -> None:
    key = signing.machine_key().public

    def ssh_keygen(*arguments: str) -> str:
        return subprocess.run(
            ["ssh-keygen", *arguments], capture_output=True, text=True, check=True, timeout=LIMIT
        ).stdout.strip()

    assert ssh_keygen("-l", "-f", str(config / "signing_key.pub")).split()[1] == key.fingerprint
    assert ssh_keygen("-y", "-f", str(config / "signing_key")).split()[:2] == key.line.split()[:2]
    shutil.copy(config / "signing_key.pub", config / "trusted_keys")
    assert [one.line for one in trusted_keys.listed_keys()] == [key.line]


def test_two_first_signatures_at_once_get_one_key(config: Path) -> None:
    script = "from hyperseg_runtime.signing import sign; print(sign(b'').key)"
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=_environment())
        for _ in range(8)
    ]
    assert len({process.communicate(timeout=LIMIT)[0] for process in started}) == 1
    assert all(process.returncode == 0 for process in started)
    assert sorted(path.name for path in config.iterdir()) == ["signing_key", "signing_key.pub"]


def test_another_content_and_another_key(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = sign(MESSAGE)
    with pytest.raises(BadSignatureError, match="is not of this content"):
        verify(MESSAGE + b"!", signature)
    public = trusted_keys.own_key()
    assert public is not None
    new_machine(tmp_path / "there", monkeypatch)
    for _ in range(2):  # without a key of its own, and with one
        with pytest.raises(UnknownKeyError, match=rf"{re.escape(public.fingerprint)}.*-engine --trust KEY"):
            verify(MESSAGE, signature)
        signing.machine_key()
    assert trusted_keys.add(public) and not trusted_keys.add(public)
    key = verify(MESSAGE, signature)
    assert not key.own and key.comment == public.comment
    with pytest.raises(BadSignatureError):
        verify(b"", signature)


def test_statements_of_two_kinds_never_meet() -> None:
    facts = {"b": [1.5, None], "a": "\N{WHITE SUN WITH RAYS}"}
    assert statement(Purpose.ENGINE, facts) == statement(Purpose.ENGINE, dict(reversed(facts.items())))
    made = [statement(purpose, facts).partition(b"\0") for purpose in Purpose]
    assert len({purpose for purpose, _, _ in made}) == len(Purpose)
    assert len({rest for _, _, rest in made}) == 1


VALUES = [
    *("0", "0.0", "-0.0", "1", "1.0", "true", "null", '""', '"null"', "[]", "{}", "[[]]", '{"":0}', '{"a":{"b":1}}'),
    *('{"a.b":1}', "9007199254740993", "9007199254740992", "9007199254740992.0", "0.1", "0.10000000000000002"),
    *('"\\ud800"', '"\\udc00"', '"\\ud800\\udc00"', '"\u00e9"', '"e\u0301"', '"\\\\u00e9"', '"a\\u0000"', '"a"'),
]
"""JSON texts that each mean something else, some of which other parsers take for the same."""


def test_statements_of_two_contents_never_meet() -> None:
    made = {statement(Purpose.ENGINE, json.loads(f'{{"x":{value}}}')) for value in VALUES}
    assert len(made) == len(VALUES)
    equal = ['{"x":1e23}', '{"x":9.999999999999999e22}'], ['{"x":"/"}', '{"\\u0078":"\\/"}'], ['{"x":0}', '{"x":-0}']
    for texts in equal:
        assert len({statement(Purpose.ENGINE, json.loads(text)) for text in texts}) == 1


@pytest.mark.skipif(os.name != "posix", reason="no owners and modes")
@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("signing_key", 0o640, r"other users may read or change .*signing_key \(mode 640\).*chmod 600"),
        ("signing_key.pub", 0o664, r"other users may change .*signing_key.pub \(mode 664\).*chmod 600"),
        (".", 0o777, r"other users may change .*hyperseg \(mode 777\).*chmod 700"),
    ],
)
def test_files_that_other_users_may_change(config: Path, name: str, mode: int, message: str) -> None:
    sign(MESSAGE)
    (config / name).chmod(mode)
    with pytest.raises(KeyFileError, match=message):
        sign(MESSAGE)


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_list_that_other_users_may_change(
    config: Path, tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_machine(tmp_path / "there", monkeypatch)
    signature, other = sign(MESSAGE), trusted_keys.own_key()
    assert other is not None
    new_machine(config.parent, monkeypatch)
    trusted_keys.add(other)
    verify(MESSAGE, signature)
    (config / "trusted_keys").chmod(mode)
    with pytest.raises(KeyFileError, match=r"other users may change .*trusted_keys .*chmod 600"):
        verify(MESSAGE, signature)
    own = sign(MESSAGE)
    assert verify(MESSAGE, own).own  # the list is not asked


@pytest.mark.parametrize("name", ["signing_key", "trusted_keys"])
def test_files_of_another_user(config: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = sign(MESSAGE)
    trusted_keys.list_path().touch(0o600)
    owner = (config / name).stat().st_uid
    if owner == 0:
        try:
            os.chown(config / name, 12345, -1)
        except OSError:
            pytest.skip("no other owner can be set here")
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    unknown = signing.Signature("SHA256:unknown", signature.value)
    with pytest.raises(KeyFileError, match=r"belongs to another user \(uid \d+\).*chown"):
        sign(MESSAGE) if name == "signing_key" else verify(MESSAGE, unknown)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an OpenSSH private key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "is not an OpenSSH private key"),
        (b"\xff" * 400, "is not an OpenSSH private key"),
        (b"#" * (1 << 21), "it is larger than"),
    ],
)
def test_a_damaged_private_key_is_kept_and_named(config: Path, content: bytes, message: str) -> None:
    sign(MESSAGE)
    (config / "signing_key").write_bytes(content)
    with pytest.raises(KeyFileError, match=message):
        sign(MESSAGE)
    assert (config / "signing_key").read_bytes() == content


def test_a_public_key_that_is_not_of_the_private_one(config: Path) -> None:
    sign(MESSAGE)
    other = Key(bytes(32), "x@y")
    (config / "signing_key.pub").write_text(other.line)
    with pytest.raises(KeyFileError, match=r"signing_key.pub is not the public key of signing_key; remove it"):
        sign(MESSAGE)
    (config / "signing_key.pub").unlink()
    signature = sign(MESSAGE)
    (config / "signing_key.pub").unlink()
    assert verify(MESSAGE, signature).own and (config / "signing_key.pub").is_file()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_in_place_of_a_key_file_is_not_waited_for(config: Path) -> None:
    sign(MESSAGE)
    os.mkfifo(config / "trusted_keys", 0o600)
    with pytest.raises(KeyFileError, match="it is not a regular file"):
        trusted_keys.listed_keys()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB me@here", "begins with ssh-rsa, not with ssh-ed25519"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "begins with other text"),
        ("ssh-ed25519 not-base64 me@here", "is not base64"),
        ("ssh-ed25519 AAAA me@here", "is not an Ed25519 key"),
        ("ssh-ed25519", "is not an Ed25519 key"),
    ],
)
def test_lines_that_are_no_key(config: Path, line: str, message: str) -> None:
    sign(MESSAGE)
    trusted_keys.list_path().write_text(f"# comment\n\n{line}\n")
    trusted_keys.list_path().chmod(0o600)
    with pytest.raises(KeyFileError, match=rf"trusted_keys, line 3 is not a public key \(.*{message}"):
        trusted_keys.listed_keys()


def test_a_comment_is_one_line_of_visible_text() -> None:
    key = Key.parse(f"{Key(bytes(32)).line} \x1b[31mred\u202e")
    assert key.comment == r"\x1b[31mred\u202e"


def test_a_key_is_appended_to_lines_of_the_user(config: Path) -> None:
    sign(MESSAGE)
    trusted_keys.list_path().write_text("# mine, without an end of line")
    trusted_keys.list_path().chmod(0o600)
    key = Key(bytes(32), "x@y")
    assert trusted_keys.add(key)
    assert trusted_keys.list_path().read_text() == f"# mine, without an end of line\n{key.line}\n"


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    new_machine(tmp_path / "file", monkeypatch)
    with pytest.raises(KeyFileError, match=r"cannot be written .*set XDG_CONFIG_HOME"):
        sign(MESSAGE)
    monkeypatch.setenv(trusted_keys.HOME_VARIABLE, "config")
    with pytest.raises(KeyFileError, match="XDG_CONFIG_HOME is config, not an absolute path"):
        sign(MESSAGE)


def test_without_the_package(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = sign(MESSAGE)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(LibraryMissingError, match="pip install cryptography"):
        sign(MESSAGE)
    with pytest.raises(LibraryMissingError, match="pip install cryptography"):
        verify(MESSAGE, signature)
    assert trusted_keys.own_key() is not None  # needs it not


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\r"])
def test_a_comment_ends_where_openssh_sees_its_end(config: Path, end: str) -> None:
    """Only a line feed ends a line; else a key lies hidden in what every editor and ssh take for a comment."""
    sign(MESSAGE)
    good, hidden = Key(bytes(range(32)), "good"), Key(bytes(32), "hidden")
    trusted_keys.list_path().write_bytes(f"# old keys:{end}{hidden.line}\n{good.line}{end}{hidden.line}\n".encode())
    trusted_keys.list_path().chmod(0o600)
    assert [key.raw for key in trusted_keys.listed_keys()] == [good.raw]


@pytest.mark.parametrize(
    "content", ["\ufeff{0} a\n{1} b\n", "{0} a\r\n{1} b\r\n", "{0} a\n\n \t# c\n{1} b", "  {0}\ta\n{1} b"]
)
def test_lists_of_other_editors(config: Path, content: str) -> None:
    first, second = Key(bytes(range(32)), "a"), Key(bytes(32), "b")
    sign(MESSAGE)
    lines = (Key(first.raw).line.replace(" ", "\t"), Key(second.raw).line)
    trusted_keys.list_path().write_bytes(content.format(*lines).encode())
    trusted_keys.list_path().chmod(0o600)
    assert trusted_keys.listed_keys() == (first, second)


@pytest.mark.parametrize("home", [".", "home", "./"])
def test_a_home_that_is_another_one_in_every_folder(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(trusted_keys.HOME_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", home)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyFileError, match=r"HOME is .*, not an absolute path; set it to one, or set XDG_CONFIG_HOME"):
        sign(MESSAGE)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_volume_with_the_private_key_alone(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container or a CI job gets its secrets."""
    signature = sign(MESSAGE)
    (config / "signing_key.pub").unlink()

    def read_only(*_: object, **__: object) -> None:
        raise trusted_keys.unwritable(config, OSError(errno.EROFS, os.strerror(errno.EROFS)))

    monkeypatch.setattr(signing, "_publish", read_only)
    assert verify(MESSAGE, signature).own
    assert sign(MESSAGE) == signature
    (config / "signing_key").unlink()
    with pytest.raises(KeyFileError, match="Read-only file system"):
        sign(MESSAGE)


def test_a_lost_private_key_is_not_replaced_without_a_word(config: Path) -> None:
    signature = sign(MESSAGE)
    public, private = config / "signing_key.pub", (config / "signing_key").read_bytes()
    (config / "signing_key").unlink()
    assert verify(MESSAGE, signature).own  # its engines still run
    with pytest.raises(KeyFileError, match=r"signing_key is missing, while .*; restore it, or remove .*\.pub: .* anew"):
        sign(MESSAGE)
    assert [path.name for path in config.iterdir()] == [public.name]
    (config / "signing_key").write_bytes(private)
    (config / "signing_key").chmod(0o600)
    assert sign(MESSAGE) == signature


@pytest.mark.parametrize("user", ["\udcff", "\x1b[31m", "a\nb"])
def test_users_of_strange_names(config: Path, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER"):
        monkeypatch.setenv(variable, user)
    assert verify(MESSAGE, sign(MESSAGE)).own
    assert (config / "signing_key.pub").read_text(encoding="utf-8").count("\n") == 1


def test_a_disk_that_is_full_leaves_the_list_as_it_was(config: Path) -> None:
    """A write may be cut off (write(2)), here by a limit of the process."""
    key = Key(bytes(range(32)), "builder@factory")
    assert trusted_keys.add(key)
    before = trusted_keys.list_path().read_bytes()
    script = (
        "import resource, signal; from hyperseg_runtime import trusted_keys; signal.signal(signal.SIGXFSZ, "
        f"signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 9},) * 2); "
        "trusted_keys.add(trusted_keys.Key(bytes(32), 'x@y'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=LIMIT, env=_environment()
    )
    assert "cannot be written" in done.stderr
    assert trusted_keys.list_path().read_bytes() == before


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
