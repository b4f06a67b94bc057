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
import errno
import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from hyperseg_runtime.errors import KeyFileError
from hyperseg_runtime.file_owners import check_folder_of, check_not_sudo, check_owner_and_mode
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
        algorithm, encoded, comment = [*line.split(maxsplit=2), "", "", ""][:3]
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
    """The folder of the key files; it need not exist.

    Raises KeyFileError where there is no home, or one that is another folder in every working folder: the keys would be
    those beside the models.
    """
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        if not Path(chosen).is_absolute():
            raise KeyFileError(f"{HOME_VARIABLE} is {shown(chosen)}, not an absolute path; set it to one, or unset it")
        return Path(chosen) / "hyperseg"
    try:
        home = Path.home()
    except RuntimeError:
        raise KeyFileError(f"this user has no home folder for keys; set {HOME_VARIABLE} to a folder") from None
    if not home.is_absolute():
        raise KeyFileError(f"HOME is {shown(home)}, not an absolute path; set it to one, or set {HOME_VARIABLE}")
    return home / ".config" / "hyperseg"


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
        lines = enumerate(lines_of(_text(content or b"")), 1)
    except ValueError as error:
        raise KeyFileError(f"{path} is not a list of public keys ({error}); mend or remove it") from None
    found = []
    for number, line in lines:
        if is_entry(line):
            try:
                found.append(Key.parse(line))
            except ValueError as error:
                raise KeyFileError(
                    f"{path}, line {number} is not a public key ({error}); mend or delete that line"
                ) from None
    return tuple(found)


def lines_of(text: str) -> list[str]:
    """Lines as OpenSSH and every editor see them. str.splitlines knows more ends, so that a key could lie hidden in a
    comment, behind a form feed."""
    return text.removeprefix("\ufeff").split("\n")


def is_entry(line: str) -> bool:
    """Whether a line is neither empty nor a comment."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


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
            line = separate + key.line.encode() + b"\n"
            if os.write(descriptor, line) != len(line):  # half a line would make the list unreadable
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
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
        if missing:
            check_not_sudo(missing[-1].parent, HOME_VARIABLE)
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
        check_folder_of(private_path(), HOME_VARIABLE)
    except OSError as error:
        raise unwritable(folder, error) from error


def read_guarded(path: Path, remedy: str, *, secret: bool = False) -> bytes | None:
    """The content of a key file; None if it does not exist.

    Raises KeyFileError where it cannot be read, or where other users may change or exchange it (`file_owners`); with
    `secret`, also where they may read it. `remedy` is for a file that cannot be read.
    """
    try:
        with open_regular(path) as file:
            check_folder_of(path, HOME_VARIABLE)
            check_owner_and_mode(path, os.fstat(file.fileno()), HOME_VARIABLE, secret=secret)
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


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
