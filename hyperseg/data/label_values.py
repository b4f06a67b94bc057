"""Label files of a data set of one's own as class indices: by value, or by colour through the palette.

A grey PNG and one with a palette have class indices in them, a colour image the palette's colours. `label_kind` in
`dataset.toml` overrides that. An alpha channel is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.classes import VOID, Colour
from hyperseg.data.description import Description, LabelKind
from hyperseg.data.label_error import LabelValueError, count_colours, count_values
from hyperseg.data.label_png import as_stored, grey_depth, has_colour_channels, palette_indices
from hyperseg.data.reading import LOSSY_SUFFIXES, Pixels, decoded, is_exact, is_lossy, read_content
from hyperseg.errors import DataError

_UNKNOWN = -1
_MIXTURES = 12
"""Unknown colours of one label that can still be colours of classes; more are mixtures of those at edges."""

Stored = NDArray[Any]


@dataclass(frozen=True)
class OwnLabels:
    """Reader of the label files that a description is of: path -> uint8 [H, W] of class indices and `VOID`.

    Raises:
        LabelValueError: values or colours that are neither a class nor void.
        DataError: the file cannot be read, or is in a format that has no exact values.
    """

    description: Description

    def __call__(self, path: Path) -> Pixels:
        content = read_content(path)
        if path.suffix.lower() in LOSSY_SUFFIXES or is_lossy(content):
            raise DataError(lossy(path))
        if not is_exact(content):
            decoded(path, content)
            raise DataError(
                f"the label {path} is in another format than its name says; save labels as PNG, BMP or TIFF"
            )
        indices = palette_indices(content)
        if indices is None:
            return self._from_pixels(path, content)
        if not self.description.coloured or self.description.label_kind is LabelKind.INDEX:
            return self._from_values(path, indices)
        return self._from_palette(path, indices, decoded(path, content))

    def _from_palette(self, path: Path, indices: Pixels, colours: Stored) -> Pixels:
        """Of a PNG with a palette, its indices or its colours; an error where both are possible and differ."""
        colours = colours[..., :3] if colours.ndim == 3 else np.repeat(colours[..., np.newaxis], 3, axis=2)
        if self.description.label_kind is LabelKind.COLOUR:
            return self._from_colours(path, colours)
        by_colour = self._colours_known(colours)
        if by_colour is not None and not np.array_equal(by_colour, self._table[indices]):
            raise DataError(
                f"{path} is a PNG with a palette whose colours are classes of the data set in another order than its "
                'indices; say which are the labels: label_kind = "colour" or "index" in dataset.toml'
            )
        return self._from_values(path, indices)

    def _from_pixels(self, path: Path, content: bytes) -> Pixels:
        stored = decoded(path, content)
        if stored.ndim == 2:
            depth = grey_depth(content)
            return self._from_values(path, stored if depth is None else self._of_few_bits(stored, depth))
        pixels = stored[..., :3]
        if not has_colour_channels(content) or self._means_values(path, pixels):
            return self._from_values(path, pixels[..., 0])
        return self._from_colours(path, pixels)

    def _of_few_bits(self, spread: Stored, depth: int) -> Stored:
        """Values of a grey PNG as it stores them; but its one bit may be meant as 0 and 255, which it is shown as."""
        shown = depth == 1 and self._table[1] == _UNKNOWN and self._table[255] != _UNKNOWN
        return spread if shown else as_stored(spread, depth)

    def _means_values(self, path: Path, pixels: Stored) -> bool:
        """Whether a colour image has class indices in its channels, which are then all the same."""
        description = self.description
        if description.label_kind is LabelKind.COLOUR or (description.coloured and description.label_kind is None):
            return False
        if (pixels[..., :1] == pixels).all():
            return True
        remedy = (
            'save the indices as one channel, or set label_kind = "colour"'
            if description.coloured
            else "give `palette`, the colour of each class, in dataset.toml"
        )
        raise DataError(f"{path} is a colour image, and labels are class indices here; {remedy}")

    def _from_values(self, path: Path, stored: Stored) -> Pixels:
        if self.description.label_kind is LabelKind.COLOUR:
            raise DataError(f'{path} is not in colour, as label_kind = "colour" in dataset.toml says')
        if stored.dtype not in (np.uint8, np.uint16):
            raise DataError(f"{path} has pixels of type {stored.dtype}; save the labels with 8 or 16 bits per pixel")
        return self._checked(path, self._table[stored], stored, LabelKind.INDEX)

    def _from_colours(self, path: Path, pixels: Stored) -> Pixels:
        if pixels.dtype != np.uint8:
            raise DataError(f"{path} is a colour image of type {pixels.dtype}; save it with 8 bits per channel")
        code = _codes(pixels)
        return self._checked(path, self._colour_table[code], code, LabelKind.COLOUR)

    def _checked(self, path: Path, label: Stored, stored: Stored, kind: LabelKind) -> Pixels:
        if label.min(initial=0) < 0:
            counts = (count_values if kind is LabelKind.INDEX else count_colours)(stored[label < 0])
            raise LabelValueError(path, counts, self._remedy(kind, counts))
        return np.asarray(label, np.uint8)

    def _remedy(self, kind: LabelKind, wrong: Mapping[str, int]) -> str:
        first = next(iter(wrong))
        if kind is LabelKind.COLOUR and len(wrong) > _MIXTURES:
            return "which no class has, as smoothing and resizing make at edges; save the label again without them"
        if kind is LabelKind.COLOUR:
            return f"which no class has; add it to `palette`, or to `void_colour` ([{first[1:-1]}]), in dataset.toml"
        values, void = self.description.values, self.description.void
        known = f"0 to {len(values) - 1}" if values == tuple(range(len(values))) else ", ".join(map(str, values[:20]))
        listed = ", ".join(map(str, (*void, first)))
        return (
            f"which no class has; classes are {known}, void {', '.join(map(str, void)) or 'none'}; "
            f"correct the label, add a class, or set void = [{listed}] in dataset.toml"
        )

    def _colours_known(self, pixels: Stored) -> Stored | None:
        label = self._colour_table[_codes(pixels)]
        return None if label.min(initial=0) < 0 else label

    @cached_property
    def _table(self) -> Stored:
        """Class index, or VOID, of each value."""
        table = np.full(1 << 16, _UNKNOWN, np.int16)
        table[list(self.description.values)] = np.arange(len(self.description.values))
        table[list(self.description.void)] = VOID
        return table

    @cached_property
    def _colour_table(self) -> Stored:
        table = np.full(1 << 24, _UNKNOWN, np.int16)
        table[[_code(colour) for colour in self.description.classes.palette]] = np.arange(len(self.description.classes))
        table[[_code(colour) for colour in self.description.void_colours]] = VOID
        return table


def lossy(path: Path) -> str:
    """The error on a label in a format that changes values."""
    return (
        f"the label {path} is in a lossy format, which changes values near each edge; "
        "save labels as PNG, from the source and not from this file"
    )


def _code(colour: Colour) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _codes(pixels: Stored) -> NDArray[np.int32]:
    """BGR [H, W, 3] -> one number per pixel."""
    wide = pixels.astype(np.int32)
    codes: NDArray[np.int32] = wide[..., 2] << 16 | wide[..., 1] << 8 | wide[..., 0]
    return codes
