"""The parts of a HyperSeg network, told from a node's name."""

from __future__ import annotations

import re

OTHER = "other"
_LEVEL = re.compile(r"(?:^|[/.])(?:decoder|level)s?(?:[/.]level)?[/._]?s?[/._]?(\d+)")
_MARKS = (
    ("weight mapper", re.compile(r"(?:^|[/.])(?:weight_mappers?|mappers?|w|out_conv)(?:[/._]|$)")),
    ("context head", re.compile(r"(?:^|[/.])(?:context_head|context|head|hyper_head)(?:[/._]|$)")),
    ("backbone", re.compile(r"(?:^|[/.])(?:backbone|encoder|stem|blocks?)(?:[/._]|$)")),
    ("decoder", re.compile(r"(?:^|[/.])decoder(?:[/._]|$)")),
)


def part_of(node: str) -> str:
    """The part that a node belongs to, from its name, which begins with the modules it was exported from."""
    for name, mark in _MARKS[:3]:
        if mark.search(node):
            return name
    level = _LEVEL.search(node)
    if level is not None:
        return f"decoder level {level.group(1)}"
    return "decoder" if _MARKS[3][1].search(node) else OTHER
