"""The keys of this machine, for hyperseg-doctor: what to hand on, whom it trusts, and problems of the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hyperseg_runtime import trusted_keys
from hyperseg_runtime.errors import KeyFileError
from hyperseg_runtime.trusted_keys import Key


@dataclass(frozen=True)
class KeyReport:
    """The public keys. Nothing is made, and no private key is read."""

    own: Key | None
    """None before the first build, and where its file has a problem."""
    own_file: Path | None
    trusted: tuple[Key, ...]
    trusted_file: Path | None
    problems: tuple[str, ...]
    """One line each, with its remedy."""

    def to_dict(self) -> dict[str, object]:
        own = None if self.own is None else {**_described(self.own), "file": str(self.own_file)}
        return {
            "own": own,
            "trusted": [_described(key) for key in self.trusted],
            "trusted_file": None if self.trusted_file is None else str(self.trusted_file),
            "problems": list(self.problems),
        }


def report() -> KeyReport:
    """Reads the files of the public keys. Never raises: what is wrong with them is a problem of the report."""
    own: Key | None = None
    own_file = trusted_file = None
    trusted: tuple[Key, ...] = ()
    problems = []
    try:
        own_file, trusted_file = trusted_keys.public_path(), trusted_keys.list_path()
        own = trusted_keys.own_key()
    except KeyFileError as error:
        problems.append(str(error))
    try:
        trusted = trusted_keys.listed_keys()
    except KeyFileError as error:
        problems.append(str(error))
    return KeyReport(own, own_file, trusted, trusted_file, tuple(dict.fromkeys(problems)))


def _described(key: Key) -> dict[str, str]:
    return {"fingerprint": key.fingerprint, "comment": key.comment, "line": key.line}
