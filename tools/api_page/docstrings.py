"""Docstrings as Markdown.

Two conventions are in use: sections ("Args:", "Raises:") with indented entries, and entries directly ("frame: ...",
continued by an indent). Both become lists; indented examples become blocks of code.
"""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):$")
_ENTRY = re.compile(r"(\*{0,2}[A-Za-z_][\w.]*(?:, \*{0,2}[A-Za-z_]\w*)*): (\S.*)$")
_INDENT = "    "


def markdown(docstring: str | None, names: frozenset[str]) -> str:
    """names: of the parameters and attributes, which entries without a section are about."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    done: list[str] = []
    in_section = False
    at = 0
    while at < len(lines):
        line = lines[at]
        section, entry = _SECTION.match(line), _entry(line, names)
        if section:
            done += ["", f"**{section[1]}**", ""]
            in_section = True
        elif in_section and line.startswith(_INDENT):
            block, at = _indented(lines, at)
            done += _items(block)
            continue
        elif entry is not None:
            following, after = _indented(lines, at + 1)
            done += _items([line, *(_INDENT + one for one in following)])
            at = after
            continue
        elif line.startswith(_INDENT):
            block, at = _indented(lines, at)
            done += ["", "```py", *(re.sub(r"\s{2,}#", "  #", one) for one in block), "```", ""]
            continue
        else:
            in_section = False
            if done and done[-1].startswith(("- ", "  ")) and line:
                done.append("")
            done.append(line)
        at += 1
    return re.sub(r"\n{3,}", "\n\n", "\n".join(done)).strip()


def _entry(line: str, names: frozenset[str]) -> re.Match[str] | None:
    found = _ENTRY.match(line)
    return found if found and all(name.strip("* ") in names for name in found[1].split(",")) else None


def _indented(lines: list[str], at: int) -> tuple[list[str], int]:
    """The indented lines from `at` on, without their indent, and where they end."""
    block = []
    while at < len(lines) and (lines[at].startswith(_INDENT) or (not lines[at] and _continues(lines, at))):
        block.append(lines[at][len(_INDENT) :])
        at += 1
    return block, at


def _continues(lines: list[str], at: int) -> bool:
    return at + 1 < len(lines) and lines[at + 1].startswith(_INDENT)


def _items(block: list[str]) -> list[str]:
    """Entries, each continued by an indent, as a list; text that is no entry as it is."""
    done = []
    for line in block:
        entry = _ENTRY.match(line)
        if entry:
            done.append(f"- `{entry[1]}`: {entry[2]}")
        else:
            done.append(f"  {line.strip()}" if done else line.strip())
    return done
