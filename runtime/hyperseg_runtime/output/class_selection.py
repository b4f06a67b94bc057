"""Selection of classes by name or number, as on a command line."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence

from hyperseg_runtime.errors import InputError


def select_classes(text: str, names: Sequence[str]) -> frozenset[int]:
    """The labels named in a comma-separated list of class names (in any case) and numbers.

    A name may have commas in it, with or without quotation marks around it; the longest that fits is meant. A name goes
    before a number, an exact name before one in another case. Raises InputError for anything else.
    """
    parts = text.split(",")
    if not any(part.strip() for part in parts):
        raise InputError(f"--classes names no class; the model's are {_listed(names)}")
    longest = 1 + max(name.count(",") for name in names)
    chosen: frozenset[int] = frozenset()
    while parts:
        count = _parts_of_name(parts[:longest], names)
        part = ",".join(parts[:count]).strip()
        if part:
            chosen |= _named(part, names) or _numbered(part, names)
        parts = parts[count:]
    return chosen


def _parts_of_name(parts: Sequence[str], names: Sequence[str]) -> int:
    """How many of the parts, from the first on, are one name with commas in it; 1 if none are."""
    for count in range(len(parts), 1, -1):
        if _named(",".join(parts[:count]).strip(), names):
            return count
    return 1


def _numbered(part: str, names: Sequence[str]) -> frozenset[int]:
    if part.isascii() and part.isdigit() and len(part) < 10:
        if int(part) < len(names):
            return frozenset({int(part)})
        raise InputError(
            f"--classes: there is no class {part}; the model's are 0 to {len(names) - 1}: {_listed(names)}"
        )
    by_folded = {_folded(name): name for name in names}
    close = difflib.get_close_matches(_folded(part), by_folded, n=1)
    proposal = f" (did you mean {by_folded[close[0]]!r}?)" if close else ""
    raise InputError(f"--classes: {part!r} is no class of the model{proposal}; its classes are {_listed(names)}")


def _named(text: str, names: Sequence[str]) -> frozenset[int]:
    exact = frozenset(label for label, name in enumerate(names) if name == text)
    found = exact or frozenset(label for label, name in enumerate(names) if _folded(name) == _folded(text))
    if not found and len(text) > 2 and text[0] == text[-1] == '"':  # as `_listed` writes it
        return _named(text[1:-1].strip(), names)
    return found


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _listed(names: Sequence[str]) -> str:
    lines = (" ".join(name.split()) for name in names)
    return ", ".join(f'"{line}"' if "," in line else line for line in lines)
