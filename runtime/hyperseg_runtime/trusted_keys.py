"""Public keys whose signatures this machine accepts: its own, and those of a list like OpenSSH's authorized_keys.

All key files lie in `$XDG_CONFIG_HOME/hyperseg`, by default `~/.config/hyperseg`:

    signing_key       private key, made by `signing` on the first build; never leaves the machine
    signing_key.pub   its public key: one line, to hand to other machines
    trusted_keys      public keys of other machines, one line each; # begins a comment

The lines are OpenSSH's (`ssh-ed25519 BASE64 COMMENT`), and so are the fingerprints (`ssh-keygen -lf FILE`). As in ssh,
a file or folder that other users may change is not used. Needs no package but Python's own.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from hyperseg_runtime.errors import KeyFileError
from hyperseg_runtime.names import shown
from hyperseg_runtime.regular_files import open_regular, read_bounded

ALGORITHM = "ssh-ed25519"
HOME_VARIABLE = "XDG_CONFIG_HOME"
RAW_BYTES = 32
"""Of an Ed25519 public key (RFC 8032)."""

_BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0 "
"""Before the raw key, in the encoding of RFC 8709."""
_OTHER_KIND = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]{1,40}")
_LIMIT = 1 << 20
"""Bytes of a key file."""
_COMMENT = 100
"""Characters of a comment that are shown."""


@dataclass(frozen=True)
class Key:
    """An Ed25519 public key."""

    raw: bytes
    """32 bytes."""
    comment: str = ""
    """Usually user@host. Whoever made the key chose it: it proves nothing."""
    own: bool = False
    """Whether it is this machine's key; else it is of the list of trusted keys."""

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it: "SHA256:" and 43 characters of base64."""
        digest = hashlib.sha256(_BLOB + self.raw).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    @property
    def line(self) -> str:
        """The line of a public key file, without its end."""
        return f"{ALGORITHM} {base64.b64encode(_BLOB + self.raw).decode()} {self.comment}".rstrip()

    @staticmethod
    def parse(line: str) -> Key:
        """Reads the line of a public key file. Raises ValueError, whose text says what it is instead."""
        algorithm, _, rest = line.strip().partition(" ")
        encoded, _, comment = rest.strip().partition(" ")
        if algorithm != ALGORITHM:
            kind = algorithm if _OTHER_KIND.fullmatch(algorithm) else "other text"  # which might be secret
            raise ValueError(f"it begins with {kind}, not with {ALGORITHM}")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise ValueError("its second word is not base64") from None
        if not blob.startswith(_BLOB) or len(blob) != len(_BLOB) + RAW_BYTES:
            raise ValueError("its second word is not an Ed25519 key")
        return Key(blob[len(_BLOB) :], shown(comment.strip())[:_COMMENT])


def key_folder() -> Path:
    """The folder of the key files; it need not exist. Raises KeyFileError where there is no home."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        if not Path(chosen).is_absolute():
            raise KeyFileError(f"{HOME_VARIABLE} is {shown(chosen)}, not an absolute path; set it to one, or unset it")
        return Path(chosen) / "hyperseg"
    try:
        return Path.home() / ".config" / "hyperseg"
    except RuntimeError:
        raise KeyFileError(f"this user has no home folder for keys; set {HOME_VARIABLE} to a folder") from None


def private_path() -> Path:
    return key_folder() / "signing_key"


def public_path() -> Path:
    return key_folder() / "signing_key.pub"


def list_path() -> Path:
    return key_folder() / "trusted_keys"


def own_key() -> Key | None:
    """This machine's public key; None before its first build. Raises KeyFileError."""
    path = public_path()
    content = read_guarded(path, "build an engine, which writes it again")
    if content is None:
        return None
    try:
        return replace(Key.parse(_text(content)), own=True)
    except ValueError as error:
        raise KeyFileError(f"{path} is not a public key ({error}); remove it: the next build writes it again") from None


def listed_keys() -> tuple[Key, ...]:
    """The keys in the list of trusted keys. Raises KeyFileError, which names the line that is no key."""
    path = list_path()
    content = read_guarded(path, "write it again with hyperseg-build-engine --trust KEY")
    try:
        lines = enumerate(_text(content or b"").splitlines(), 1)
    except ValueError as error:
        raise KeyFileError(f"{path} is not a list of public keys ({error}); mend or remove it") from None
    found = []
    for number, line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(Key.parse(line))
            except ValueError as error:
                raise KeyFileError(
                    f"{path}, line {number} is not a public key ({error}); mend or delete that line"
                ) from None
    return tuple(found)


def add(key: Key) -> bool:
    """Adds a key to the list; False if it is there already, or is this machine's. Raises KeyFileError."""
    own = own_key()
    if any(key.raw == one.raw for one in (*listed_keys(), *(() if own is None else (own,)))):
        return False
    path = list_path()
    make_folder()
    try:
        # One write at the file's end: commands that add keys at the same time lose none, and the user's lines stay.
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            separate = b"" if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n" else b"\n"
            os.write(descriptor, separate + key.line.encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error
    return True


def make_folder() -> None:
    """Creates the folder of the key files, for this user alone. Raises KeyFileError."""
    folder = key_folder()
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
        _guard(folder, folder.stat(), 0o022, "700")
    except OSError as error:
        raise unwritable(folder, error) from error


def read_guarded(path: Path, remedy: str, *, secret: bool = False) -> bytes | None:
    """The content of a key file; None if it does not exist.

    Raises KeyFileError where it cannot be read, or where other users may change it or its folder; with `secret`, also
    where they may read it. `remedy` is for a file that cannot be read.
    """
    try:
        with open_regular(path) as file:
            _guard(path.parent, path.parent.stat(), 0o022, "700")
            _guard(path, os.fstat(file.fileno()), 0o077 if secret else 0o022, "600")
            return read_bounded(file, _LIMIT)
    except (FileNotFoundError, NotADirectoryError) as error:
        if path.is_symlink():
            raise KeyFileError(f"{path} is a link to nothing; remove it, then {remedy}") from error
        return None
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be read ({error.strerror or error}); make it readable, or {remedy}"
        ) from error


def unwritable(path: Path, error: OSError) -> KeyFileError:
    return KeyFileError(
        f"{path} cannot be written ({error.strerror or error}); make its folder writable, or set {HOME_VARIABLE} to a "
        "folder that is and lasts"
    )


def _guard(path: Path, status: os.stat_result, forbidden: int, mode: str) -> None:
    if os.name != "posix":
        return
    user = os.geteuid()
    if status.st_uid not in (user, 0):
        raise KeyFileError(
            f"{path} belongs to another user (uid {status.st_uid}), so its keys are not used; chown {user} {path}, if "
            f"its content is yours, or set {HOME_VARIABLE} to a folder of your own"
        )
    if status.st_mode & forbidden:
        verb = "read or change" if forbidden & 0o044 else "change"
        raise KeyFileError(
            f"other users may {verb} {path} (mode {status.st_mode & 0o777:o}), so its keys are not used; see that "
            f"they did not, then chmod {mode} {path}"
        )


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
