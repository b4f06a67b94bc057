"""`hyperseg-train --check`: reads a data set and reports what it has, and what would stop the training."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from hyperseg.classes import VOID
from hyperseg.data.check import CheckedSplit, CheckReport, Fault, Needed, check_dataset
from hyperseg.data.check import Progress as Listener
from hyperseg.data.check_sheet import choose, draw_sheet, overlay
from hyperseg.data.layouts import Layout
from hyperseg.data.own import find_own
from hyperseg.data.reading import read_image
from hyperseg.errors import DataError
from hyperseg.output_files import atomic_output
from hyperseg.text import escaped

_LISTED = 10
"""Faults of a split that the table's reader sees; --json has all."""
_SIZES = 4


def check(root: Path, layout: Layout, needed: Needed | None, sheet: Path | None, force: bool, as_json: bool) -> int:
    """Check a data set and print the report; returns the exit code: 1 if anything prevents training.

    Raises:
        DataError: the sheet cannot be written where it is to be.
    """
    folder = root.parent if root.is_file() else root
    target = sheet or Path(f"{folder.resolve().name or 'dataset'}.check.png")
    if target.suffix.lower() != ".png":
        raise DataError(f"{target} (the sheet of overlays) is written as PNG; name a .png file")
    if target.exists() and not force:
        raise DataError(f"{target} exists; name another file with --sheet, or replace it with --force")
    with _progress() as listener:
        report = check_dataset(root, layout, needed, listener)
    drawn = None
    try:
        drawn = _draw(report, target)
    finally:  # also where the sheet cannot be written: reading may have taken long
        if as_json:
            click.echo(json.dumps(_plain(report, drawn)))
        else:
            _tell(report, drawn)
    return 1 if report.faults else 0


def _draw(report: CheckReport, target: Path) -> Path | None:
    """Write the sheet, unless there is nothing to show; return its path."""
    chosen = choose(report.splits)
    if not chosen or report.classes is None:
        return None
    if _is_among_images(report, target):
        raise DataError(f"{target} would lie among the images of the data set; name another place with --sheet")
    cells = []
    for split, image in chosen:
        pixels, label = read_image(image.pair.image), split.data.read_label(image.pair.label)
        cells.append((f"{split.name}/{image.pair.name}", overlay(pixels, label, report.classes)))
    encoded, content = cv2.imencode(".png", np.ascontiguousarray(draw_sheet(cells, report.classes)[..., ::-1]))
    if not encoded:
        raise DataError(f"{target} could not be encoded as PNG")
    try:
        with atomic_output(target) as draft:
            draft.write_bytes(content.tobytes())
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def _is_among_images(report: CheckReport, target: Path) -> bool:
    """Whether the next reading of the data set would find the sheet, or the sheet would replace one of its files."""
    place = _real(target).parent
    files = [file for split in report.splits for pair in split.data.pairs for file in (pair.image, pair.label)]
    own = find_own(report.root)
    folders = [] if own is None else own.folders()
    return place in {_real(file).parent for file in files} or any(
        place.is_relative_to(_real(folder)) for folder in folders
    )


def _real(path: Path) -> Path:
    """The path without links; of a link that leads to itself as far as it goes, where `Path.resolve` raises."""
    return Path(os.path.realpath(path))


def _tell(report: CheckReport, sheet: Path | None) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal in ASCII has neither every name nor the colours' blocks
    out = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    if report.classes is not None and report.splits:
        out.print(_class_table(report))
        for split in report.splits:
            out.print(Text(f"{split.name}: {_split_line(split)}"))
    for split_name in dict.fromkeys(fault.split for fault in report.faults):
        faults = [fault for fault in report.faults if fault.split == split_name]
        for fault in faults[:_LISTED]:
            out.print(Text(escaped(f"fault: {_place(split_name)}{fault.problem}")), soft_wrap=True)
        if len(faults) > _LISTED:
            more = f"{len(faults) - _LISTED:,} more faults; --json lists all"
            out.print(Text(f"fault: {_place(split_name)}{more}"), soft_wrap=True)
    for note in report.notes:
        out.print(Text(escaped(f"note: {note}")), soft_wrap=True)
    if sheet is not None:
        out.print(Text(escaped(f"overlays to look at: {sheet}")), soft_wrap=True)
    count = len(report.faults)
    verdict = f"{count:,} fault{'s' * (count != 1)}: training would stop" if count else "no faults: ready for training"
    out.print(Text(verdict), soft_wrap=True)


def _class_table(report: CheckReport) -> Table:
    assert report.classes is not None
    table = Table("class", "", "name")
    for split in report.splits:
        table.add_column(Text(f"{split.name}\npixels %"), justify="right")
        table.add_column(Text(f"{split.name}\nimages"), justify="right")
    pixels = [split.pixels for split in report.splits]
    images = [split.images_with for split in report.splits]
    rows: list[tuple[int, str, Text]] = [
        (index, name, Text("\u2588\u2588", style=f"rgb({red},{green},{blue})"))
        for index, (name, (red, green, blue)) in enumerate(
            zip(report.classes.names, report.classes.palette, strict=True)
        )
    ]
    for index, name, swatch in (*rows, (VOID, "void", Text(""))):
        cells = [
            text
            for of_split, with_class in zip(pixels, images, strict=True)
            for text in (f"{100 * of_split[index] / max(1, of_split.sum()):.3f}", f"{with_class[index]:,}")
        ]
        table.add_row("" if index == VOID else str(index), swatch, Text(name), *cells)
    return table


def _split_line(split: CheckedSplit) -> str:
    sizes = split.sizes.most_common()
    listed = ", ".join(f"{width}x{height} ({count:,})" for (height, width), count in sizes[:_SIZES])
    more = f" and {len(sizes) - _SIZES:,} more" if len(sizes) > _SIZES else ""
    unread = len(split.data) - len(split.images)
    faulty = f", {unread:,} of them with faults" if unread else ""
    return f"{len(split.data):,} images{faulty}; sizes {listed or '-'}{more}"


def _place(split: str | None) -> str:
    return "" if split is None else f"{split}: "


def _plain(report: CheckReport, sheet: Path | None) -> dict[str, Any]:
    return {
        "data": str(report.root),
        "trainable": not report.faults,
        "classes": [
            {
                "name": name,
                "colour": list(colour),
                "splits": {
                    split.name: {"pixels": int(split.pixels[index]), "images": int(split.images_with[index])}
                    for split in report.splits
                },
            }
            for index, (name, colour) in enumerate(
                zip(report.classes.names, report.classes.palette, strict=True) if report.classes else ()
            )
        ],
        "splits": {
            split.name: {
                "images": len(split.data),
                "readable": len(split.images),
                "pixels": int(split.pixels.sum()),
                "void": int(split.pixels[VOID]),
                "sizes": {f"{width}x{height}": count for (height, width), count in split.sizes.most_common()},
            }
            for split in report.splits
        },
        "faults": [_plain_fault(fault) for fault in report.faults],
        "notes": list(report.notes),
        "sheet": None if sheet is None else str(sheet),
    }


def _plain_fault(fault: Fault) -> dict[str, Any]:
    file = None if fault.file is None else str(fault.file)
    return {"split": fault.split, "file": file, "problem": fault.problem, "values": dict(fault.values)}


@contextmanager
def _progress() -> Iterator[Listener | None]:
    """A bar with rate and time left on a terminal; nothing else."""
    console = Console(stderr=True)
    drawn = console.is_terminal and not console.is_dumb_terminal and sys.stdout.isatty()
    if not drawn:
        yield None
        return
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
