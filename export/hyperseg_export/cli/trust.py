"""hyperseg-build-engine --trust: adds another machine's public key to the list of trusted keys."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hyperseg_runtime import trusted_keys
from hyperseg_runtime.cli.common import say
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.names import shown
from hyperseg_runtime.regular_files import read_regular
from hyperseg_runtime.trusted_keys import ALGORITHM, Key

_LIMIT = 1 << 16
_PRIVATE = (b"PRIVATE KEY", b"PuTTY-User-Key-File", b"openssh-key-v1", b"b3BlbnNzaC1rZXktdjE")
"""In the files of private keys: PEM of every kind, PuTTY's, OpenSSH's with its armour taken off, and its base64."""


def trust_key(given: str, as_json: bool) -> int:
    """Adds the key in the file `given`, or the key that `given` is the line of. Raises InputError or KeyFileError."""
    key = read_key(given)
    path = trusted_keys.list_path()
    if not as_json:
        say(f"Key {key.fingerprint} ({key.comment or 'no comment'})")
    added = trusted_keys.add(key)
    if as_json:
        described = {"fingerprint": key.fingerprint, "comment": key.comment, "added": added, "file": str(path)}
        say(json.dumps(described, indent=1))
    elif added:
        say(f"Engines that it signed are accepted here from now on; to end that, delete its line in {path}")
    else:
        say("It is trusted already; nothing was changed")
    return 0


def read_key(given: str) -> Key:
    """The public key in a file, or of a line. Raises InputError; what might be secret is never part of its text."""
    _refuse_private(given.encode("utf-8", "surrogateescape"), "what was given with --trust")
    line = given.strip()
    if line.startswith(f"{ALGORITHM} "):
        return _parse(line, "the line given with --trust")
    content, name = _read(given), shown(given)
    _refuse_private(content, name)
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if _is_entry(line)]
    if len(lines) != 1:
        held = "no key" if not lines else f"{len(lines)} lines, of which --trust takes one at a time"
        raise InputError(f"{name} has {held}; name the signing_key.pub of the machine that built the engines")
    return _parse(lines[0], name)


def _is_entry(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _parse(line: str, name: str) -> Key:
    try:
        return Key.parse(line)
    except ValueError as error:
        raise InputError(
            f"{name} is not a public key of hyperseg ({error}); name the signing_key.pub of the machine that built the "
            "engines"
        ) from None


def _read(given: str) -> bytes:
    try:
        return read_regular(Path(given), _LIMIT)
    except (FileNotFoundError, ValueError):
        # Not quoted unless it is surely the name of a file: it might be part of a private key.
        name = shown(given) if given.endswith(".pub") else "what was given with --trust"
        raise InputError(
            f"{name} is neither a file nor a line that begins with {ALGORITHM}; give the signing_key.pub of the "
            "machine that built the engines"
        ) from None
    except OSError as error:
        name = shown(given) if given and _exists(given) else "what was given with --trust"
        raise InputError(f"{name} cannot be read ({error.strerror or error}); name a public key file") from None


def _exists(name: str) -> bool:
    return os.path.exists(name)  # noqa: PTH110  # False for a name that is too long, where Path.exists raises


def _refuse_private(content: bytes, name: str) -> None:
    if any(mark in content for mark in _PRIVATE):
        raise InputError(
            f"{name} is a private key, which stays on its machine, and was not stored; give the public key beside it "
            "(signing_key.pub)"
        )
