"""Ed25519 signatures with this machine's key, and their verification with it and with the trusted keys.

The private key is made on first use and never leaves its machine (`trusted_keys` says where it lies). Whoever signs
something new adds a Purpose, so that a signature under one kind of statement is none under another.
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hyperseg_runtime import trusted_keys
from hyperseg_runtime.errors import (
    BadSignatureError,
    KeyFileError,
    LibraryMissingError,
    MetadataError,
    UnknownKeyError,
)
from hyperseg_runtime.json_fields import Fields
from hyperseg_runtime.output_files import Draft
from hyperseg_runtime.trusted_keys import Key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

INSTALL = "pip install cryptography"
_SIGNATURE_BYTES = 64


class Purpose(Enum):
    """What a statement is about; its text precedes what is signed."""

    ENGINE = "hyperseg engine 1"
    RUNTIME_CACHE = "hyperseg runtime cache 1"


class Algorithm(str, Enum):
    ED25519 = "ed25519"


@dataclass(frozen=True)
class Signature:
    """A signature, and the fingerprint of the key that it is said to be by."""

    key: str
    """Fingerprint as OpenSSH writes it: "SHA256:..."."""
    value: bytes
    """64 bytes (RFC 8032)."""
    algorithm: Algorithm = Algorithm.ED25519

    def to_dict(self) -> dict[str, str]:
        value = base64.b64encode(self.value).decode()
        return {"algorithm": self.algorithm.value, "key": self.key, "value": value}

    @staticmethod
    def read(fields: Fields) -> Signature:
        """Raises MetadataError, which names the field that is missing or wrong."""
        algorithm = fields.choice("algorithm", Algorithm)
        text = fields.text("value")
        try:
            value = base64.b64decode(text, validate=True)
        except ValueError:
            raise fields.error("value", "is not base64") from None
        if len(value) != _SIGNATURE_BYTES:
            raise fields.error("value", f"has {len(value)} bytes, not {_SIGNATURE_BYTES}")
        return Signature(fields.text("key"), value, algorithm)


@dataclass(frozen=True)
class MachineKey:
    """This machine's key."""

    public: Key
    path: Path
    """File of the private key."""
    created: bool
    """Whether it was made just now."""


def statement(purpose: Purpose, facts: Mapping[str, Any]) -> bytes:
    """The bytes to sign for facts that JSON can hold: the same whatever their order and white space were in a file.

    Raises MetadataError for numbers that JSON cannot hold (infinity).
    """
    try:
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise MetadataError(f"a number is not finite ({error})") from error
    return purpose.value.encode() + b"\0" + text.encode()


def machine_key() -> MachineKey:
    """This machine's key, which is made if there is none. Raises KeyFileError or LibraryMissingError."""
    private, created = _load_or_make()
    return MachineKey(_public(private), trusted_keys.private_path(), created)


def sign(message: bytes) -> Signature:
    """Signs with this machine's key, which is made if there is none. Raises KeyFileError or LibraryMissingError.

    message: what `statement` returns.
    """
    private, _ = _load_or_make()
    return Signature(_public(private).fingerprint, private.sign(message))


def verify(message: bytes, signature: Signature) -> Key:
    """Returns the key that the message was signed with: this machine's own (`Key.own`) or a trusted one.

    Raises UnknownKeyError where neither has the signature's fingerprint, BadSignatureError where the key did not sign
    this message, KeyFileError where the files of the keys cannot be used (all three are ModelErrors), and
    LibraryMissingError without the package cryptography.
    """
    modules = _cryptography()
    key = _find(signature.key)
    try:
        modules.ed25519.Ed25519PublicKey.from_public_bytes(key.raw).verify(signature.value, message)
    except modules.InvalidSignature:
        raise BadSignatureError(
            f"its signature by key {key.fingerprint} ({key.comment or 'no comment'}) is not of this content"
        ) from None
    return key


def _find(fingerprint: str) -> Key:
    own = trusted_keys.own_key() or _restored()
    if own is not None and own.fingerprint == fingerprint:
        return own  # without the list: what is wrong with it concerns other machines' engines
    for key in trusted_keys.listed_keys():
        if key.fingerprint == fingerprint:
            return key
    raise UnknownKeyError(
        f"it is signed with key {fingerprint!r:.60}, which is neither this machine's nor a trusted one; if that key is "
        "of a machine that you trust, accept it with hyperseg-build-engine --trust KEY (its signing_key.pub)"
    )


def _restored() -> Key | None:
    """This machine's key where the file of the public one was lost; None before the first build."""
    private = _load()
    if private is not None:
        _write_public(private)
    return None if private is None else _public(private)


def _load_or_make() -> tuple[Ed25519PrivateKey, bool]:
    """The private key and whether it was made now."""
    private = _load()
    if private is not None:
        _write_public(private)
        return private, False
    modules = _cryptography()
    made = modules.ed25519.Ed25519PrivateKey.generate()
    created = _publish(trusted_keys.private_path(), _openssh(made), replace=False)
    private = _load()  # not `made`: of several first builds at once, one file stays
    if private is None:
        raise KeyFileError(f"{trusted_keys.private_path()} was removed while it was made; run the command again")
    _write_public(private)
    return private, created


def _load() -> Ed25519PrivateKey | None:
    path = trusted_keys.private_path()
    content = trusted_keys.read_guarded(path, "remove it: the next build makes another", secret=True)
    if content is None:
        return None
    modules = _cryptography()
    try:
        private: Any = modules.serialization.load_ssh_private_key(content, password=None)
    except Exception:  # ValueError, TypeError, UnsupportedAlgorithm: it differs between releases
        raise KeyFileError(
            f"{path} is not an OpenSSH private key without a passphrase; restore it, or remove it: the next build "
            "makes another, and engines that were signed with the old one are built again"
        ) from None  # the error's own text might quote the file
    if not isinstance(private, modules.ed25519.Ed25519PrivateKey):
        raise KeyFileError(f"{path} is a private key of another kind than Ed25519; remove it: the next build makes one")
    return cast("Ed25519PrivateKey", private)


def _write_public(private: Ed25519PrivateKey) -> None:
    path, secret = trusted_keys.public_path(), trusted_keys.private_path()
    present = trusted_keys.own_key()
    if present is None:
        _publish(path, f"{_public(private).line}\n".encode(), replace=True)
    elif present.raw != _public(private).raw:
        raise KeyFileError(f"{path} is not the public key of {secret.name}; remove it: the next build writes it again")


def _public(private: Ed25519PrivateKey) -> Key:
    return Key(private.public_key().public_bytes_raw(), _user_at_host(), own=True)


def _openssh(private: Ed25519PrivateKey) -> bytes:
    serialization = _cryptography().serialization
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def _publish(path: Path, content: bytes, *, replace: bool) -> bool:
    """Writes a whole file for this user alone; False where `replace` is and another process was faster."""
    trusted_keys.make_folder()
    draft = Draft(path)
    try:
        descriptor = os.open(draft.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.publish(replace=replace)
    except FileExistsError:
        return False
    except OSError as error:
        raise trusted_keys.unwritable(path, error) from error
    finally:
        draft.discard()
    return True


def _user_at_host() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in containers
        user = f"uid{os.getuid()}"
    return "".join(f"{user}@{socket.gethostname()}".split())


@dataclass(frozen=True)
class _Cryptography:
    """Modules of the package, which are untyped here since they are imported late."""

    ed25519: Any
    serialization: Any
    InvalidSignature: Any


def _cryptography() -> _Cryptography:
    try:
        return _Cryptography(
            import_module("cryptography.hazmat.primitives.asymmetric.ed25519"),
            import_module("cryptography.hazmat.primitives.serialization"),
            import_module("cryptography.exceptions").InvalidSignature,
        )
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "cryptography":
            raise LibraryMissingError(f"engines are signed, which needs cryptography; {INSTALL}") from error
        raise LibraryMissingError(f"cryptography does not import ({error}); {INSTALL} again") from error
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise LibraryMissingError(
            f"cryptography is installed but does not import ({reason}); {INSTALL} again"
        ) from error
