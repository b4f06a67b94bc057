"""hyperseg-build-engine --trust: public keys of other machines; and the note on a new key of one's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hyperseg_export.cli.build_engine import build
from hyperseg_runtime import signing, trusted_keys
from hyperseg_runtime.cli import common
from hyperseg_runtime.trusted_keys import Key

from .graphs import miniature, save
from .signed_engines import on_machine

KEY = Key(bytes(range(32)), "builder@factory")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(trusted_keys.HOME_VARIABLE, str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trust(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        common.execute(build, "hyperseg-build-engine", ["--trust", *arguments])
    told = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, told.out, told.err


@pytest.mark.parametrize("as_line", [False, True])
def test_a_key_is_added_once(home: Path, as_line: bool, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "k.pub").write_text(f"# of the factory\n\n{KEY.line}\n", encoding="utf-8")
    given = KEY.line if as_line else "k.pub"
    code, out, err = trust(capsys, given)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"Key {KEY.fingerprint} (builder@factory)"
    assert f"delete its line in {trusted_keys.list_path()}" in out
    assert trusted_keys.listed_keys() == (KEY,)
    code, out, err = trust(capsys, given)
    assert (code, err) == (0, "") and "trusted already; nothing was changed" in out
    assert trusted_keys.list_path().read_text(encoding="utf-8") == f"{KEY.line}\n"
    described = json.loads(trust(capsys, given, "--json")[1])
    assert described["fingerprint"] == KEY.fingerprint and described["added"] is False


def test_what_one_machine_hands_on_the_other_takes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with on_machine(home / "builder"):
        signature = signing.sign(b"plan")
        public = trusted_keys.public_path()
    assert trust(capsys, str(public))[0] == 0
    assert not signing.verify(b"plan", signature).own


def test_this_machines_own_key_is_trusted_already(capsys: pytest.CaptureFixture[str]) -> None:
    signing.machine_key()
    assert "trusted already" in trust(capsys, str(trusted_keys.public_path()))[1]
    assert not trusted_keys.list_path().exists()


def pem(kind: str) -> str:
    secret = "MC4CAQAwBQYDK2VwBCIEIHNlY3JldHNlY3JldHNlY3JldHNlY3JldHNl"
    return f"-----BEGIN {kind}-----\n{secret}\n-----END {kind}-----\n"


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("kind", ["own", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "base64", "PuTTY"])
def test_a_private_key_is_refused_and_not_shown(
    home: Path, kind: str, as_text: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    own = signing.machine_key().path.read_text(encoding="ascii")
    bodies = {"own": own, "base64": "".join(own.splitlines()[1:-1]), "PuTTY": "PuTTY-User-Key-File-3: ssh-ed25519\nx"}
    text = bodies.get(kind) or pem(kind)
    (home / "id").write_text(text, encoding="ascii")
    code, out, err = trust(capsys, text if as_text else "id")
    assert code == 1 and out == "" and err.count("\n") == 1
    assert "is a private key, which stays on its machine" in err and "signing_key.pub" in err
    assert not any(line and line in err for line in text.splitlines() if not line.startswith("-"))
    assert not trusted_keys.list_path().exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "k has no key"),
        (b"# only a comment\n", "k has no key"),
        (f"{KEY.line}\n{Key(bytes(32)).line}\n".encode(), "k has 2 lines, of which --trust takes one at a time"),
        (b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB me", "k is not a public key of hyperseg (it begins with ssh-rsa"),
        (b"\xff\xfe\x00", "k is not a public key of hyperseg (it begins with other text"),
        (b"hello", "k is not a public key of hyperseg (it begins with other text"),
        (bytes(1 << 17), "k cannot be read (it is larger than"),
    ],
)
def test_files_that_are_no_key(home: Path, content: bytes, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "k").write_bytes(content)
    code, out, err = trust(capsys, "k")
    assert code == 1 and out == "" and err.count("\n") == 1
    assert message in err
    assert not trusted_keys.list_path().exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("gone.pub", "gone.pub is neither a file nor a line that begins with ssh-ed25519"),
        ("c2VjcmV0", "what was given with --trust is neither a file nor a line"),
        ("c2VjcmV0" * 100, "what was given with --trust cannot be read"),
        ("", "what was given with --trust"),
        (".", "cannot be read (it is a folder)"),
        ("ssh-ed25519 AAAA", "the line given with --trust is not a public key of hyperseg"),
        ("ssh-ed25519", "the line given with --trust is not a public key of hyperseg"),
        (f"{KEY.line}\n{Key(bytes(32)).line}", "the line given with --trust has 2 lines, of which --trust takes one"),
        ("-", "what was given with --trust is neither a file nor a line"),
        ("https://example.com/builder.pub", "builder.pub is neither a file nor a line"),
    ],
)
def test_words_that_are_no_key(given: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = trust(capsys, given)
    assert code == 1 and out == "" and err.count("\n") == 1
    assert message in err and "c2VjcmV0" not in err


def test_it_takes_no_other_options(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = trust(capsys, KEY.line, "m.onnx", "--fp16")
    assert code == 2 and "--trust KEY builds nothing, so it takes no model, --fp16; give two commands" in err
    assert not trusted_keys.list_path().exists()


def test_a_list_that_cannot_be_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "config").write_text("a file in its place", encoding="ascii")
    code, _, err = trust(capsys, KEY.line)
    assert code == 1 and err.count("\n") == 1 and "cannot be written" in err and "XDG_CONFIG_HOME" in err
    assert (home / "config").read_text(encoding="ascii") == "a file in its place"


@pytest.mark.usefixtures("builder", "no_gpu")
def test_the_first_build_says_that_it_made_a_key(home: Path) -> None:
    save(miniature(), home / "m.onnx")
    command = [sys.executable, "-m", "hyperseg_export.cli.build_engine", "m.onnx", "--json", "--force"]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True, timeout=300) for _ in range(2))
    key = trusted_keys.own_key()
    assert key is not None and json.loads(first.stdout)["signing_key"] == key.fingerprint
    made = f"note: made this machine's key {trusted_keys.private_path()}, which signs its engines ({key.fingerprint})"
    assert first.stderr == f"hyperseg-build-engine: {made}\n" and second.stderr == ""


@pytest.mark.usefixtures("builder", "no_gpu")
@pytest.mark.parametrize("arguments", [["m.pt"], ["m.onnx", "--min", "64x64"], ["m.onnx", "-o", "m.onnx"]])
def test_a_build_that_is_refused_makes_no_key(home: Path, arguments: list[str]) -> None:
    (home / "m.pt").write_bytes(b"PK\x03\x04")
    save(miniature(), home / "m.onnx")
    command = [sys.executable, "-m", "hyperseg_export.cli.build_engine", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1, done.stderr
    assert not trusted_keys.private_path().exists()


@pytest.mark.usefixtures("builder", "no_gpu")
def test_a_build_without_a_place_for_the_key(home: Path) -> None:
    """It says so before the minutes that a build takes, and leaves nothing."""
    (home / "config").write_text("a file in its place", encoding="ascii")
    model = save(miniature(), home / "m.onnx")
    command = [sys.executable, "-m", "hyperseg_export.cli.build_engine", model]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr and "XDG_CONFIG_HOME" in done.stderr
    assert sorted(path.name for path in home.iterdir()) == ["config", "m.onnx"]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
def test_a_key_that_openssh_made(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", "id"]
    subprocess.run(command, check=True, timeout=60)
    assert "is a private key" in trust(capsys, "id")[2]
    assert trust(capsys, "id.pub")[0] == 0
    assert [key.comment for key in trusted_keys.listed_keys()] == ["me"]
