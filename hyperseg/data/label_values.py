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
from hyperseg.data.label_png import has_colour_channels, read_palette_indices
from hyperseg.data.reading import LOSSY_SUFFIXES, Pixels, is_jpeg, read_stored
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
        if path.suffix.lower() in LOSSY_SUFFIXES or is_jpeg(path):
            raise DataError(lossy(path))
        indices = read_palette_indices(path) if path.is_file() else None
        if indices is None:
            return self._decoded(path, read_stored(path))
        if not self.description.coloured or self.description.label_kind is LabelKind.INDEX:
            return self._from_values(path, indices)
        return self._decoded(path, self._indices_or_colours(path, indices, read_stored(path)))

    def _indices_or_colours(self, path: Path, indices: Pixels, stored: Stored) -> Stored:
        """Of a PNG with a palette, its indices or its colours; an error where both are possible and differ."""
        if self.description.label_kind is LabelKind.COLOUR:
            return stored
        by_colour = self._colours_known(stored[..., :3])
        by_index = self._table[indices]
        if by_colour is not None and not np.array_equal(by_colour, by_index):
            raise DataError(
                f"{path} is a PNG with a palette whose colours are classes of the data set in another order than its "
                'indices; say which are the labels: label_kind = "colour" or "index" in dataset.toml'
            )
        return indices

    def _decoded(self, path: Path, stored: Stored) -> Pixels:
        if stored.ndim == 2:
            return self._from_values(path, stored)
        pixels = stored[..., :3]
        if not has_colour_channels(path) or self._means_values(path, pixels):
            return self._from_values(path, pixels[..., 0])
        return self._from_colours(path, pixels)

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
