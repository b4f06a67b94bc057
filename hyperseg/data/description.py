"""`dataset.toml`: the description of a data set of one's own, beside its files."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from hyperseg.classes import VOID, Classes, Colour, own_classes
from hyperseg.errors import DataError
from hyperseg.text import is_plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "dataset.toml"
MAX_CLASSES = VOID
"""A label in memory is one byte, and one of its values is `VOID`."""
_MAX_VALUE = (1 << 16) - 1


class LabelKind(str, Enum):
    """What the pixels of label files are: class indices, or the palette's colours."""

    INDEX = "index"
    COLOUR = "colour"


@dataclass(frozen=True)
class Description:
    """Content of a `dataset.toml`.

    Attributes:
        file: the file itself; folders and globs are relative to its folder.
        classes: names and colours in index order.
        coloured: whether the file gives the colours, so that labels may be in colour.
        values: the value in label files of each class; by default its index.
        void: values in label files that are neither trained on nor scored.
        void_colours: the same for labels in colour.
        label_kind: None: told by each label file, see `hyperseg.data.label_values`.
        images, labels: folder or glob; None for `labels`: a folder of a usual name.
        image_suffix, label_suffix: end of the names before the file suffix, e.g. "_mask"; None for `label_suffix`:
            found by the names.
        splits: sub-folders or text files by the split's name; empty: found by themselves.
    """

    file: Path
    classes: Classes
    coloured: bool = False
    values: tuple[int, ...] = ()
    void: tuple[int, ...] = (VOID,)
    void_colours: tuple[Colour, ...] = ()
    label_kind: LabelKind | None = None
    images: str = "images"
    labels: str | None = None
    image_suffix: str = ""
    label_suffix: str | None = None
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """Folder of the data set."""
        return self.file.parent


def read_description(file: Path) -> Description:
    """Read and check a `dataset.toml`.

    Raises:
        DataError: it cannot be read, or has a key or value that it cannot have; the message gives file and line.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{file} is not text in UTF-8; save it in that encoding") from None
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from None
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise DataError(f"{file} is not TOML: {error}") from None
    return _Reader(file, text, table).read()


@dataclass(frozen=True)
class _Reader:
    file: Path
    text: str
    table: Mapping[str, Any]

    def read(self) -> Description:
        for key in self.table:
            if key not in _KEYS:
                raise self._error(key, f"unknown key {key!r}; known are {', '.join(_KEYS)}")
        if "classes" not in self.table:
            raise DataError(f'{self.file} lacks `classes`, the names in index order: classes = ["sky", "road"]')
        classes = self._classes()
        values = self._values(len(classes))
        coloured = "palette" in self.table
        kind = self._label_kind()
        if kind is LabelKind.COLOUR and not coloured:
            raise self._error("label_kind", 'label_kind "colour" needs `palette`, the colour of each class')
        return Description(
            file=self.file,
            classes=classes,
            coloured=coloured,
            values=values,
            void=self._void(values, classes),
            void_colours=self._void_colours(classes),
            label_kind=kind,
            images=self._path("images") or "images",
            labels=self._path("labels"),
            image_suffix=self._text("image_suffix") or "",
            label_suffix=self._text("label_suffix", empty=True),
            splits=self._splits(),
        )

    def _error(self, key: str, problem: str) -> DataError:
        pattern = re.compile(rf"\s*(\[\s*)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
        lines = (number for number, line in enumerate(self.text.splitlines(), 1) if pattern.match(line))
        number = next(lines, None)
        return DataError(f"{self.file}{'' if number is None else f', line {number}'}: {problem}")

    def _classes(self) -> Classes:
        names, palette = self.table["classes"], None
        if not isinstance(names, list) or not names:
            raise self._error("classes", f'classes is {names!r:.60}; it must be a list of names, ["sky", "road"]')
        if len(names) > MAX_CLASSES:
            raise self._error(
                "classes",
                f"{len(names)} classes; a label is one byte, with {VOID} for void, so at most {MAX_CLASSES} can be "
                "trained; merge or leave out some",
            )
        if "palette" in self.table:
            palette = self._colours("palette")
            if len(palette) != len(names):
                raise self._error("palette", f"palette has {len(palette)} colours for {len(names)} classes")
            twice = [index for index, colour in enumerate(palette) if colour in palette[:index]]
            if twice:
                first = palette.index(palette[twice[0]])
                raise self._error(
                    "palette", f"{names[first]!r} and {names[twice[0]]!r} both have the colour {list(palette[first])}"
                )
        try:
            return own_classes(names, palette)
        except ValueError as error:
            raise self._error("classes", str(error)) from None

    def _colours(self, key: str) -> tuple[Colour, ...]:
        value = self.table[key]
        if key == "void_colour" and isinstance(value, list) and value and not isinstance(value[0], list):
            value = [value]
        if not isinstance(value, list) or not all(map(_is_colour, value)):
            raise self._error(key, f"{key} is {value!r:.80}; a colour is [red, green, blue] from 0 to 255")
        return tuple((red, green, blue) for red, green, blue in value)

    def _void_colours(self, classes: Classes) -> tuple[Colour, ...]:
        if "void_colour" not in self.table:
            return ()
        if "palette" not in self.table:
            raise self._error("void_colour", "void_colour is of labels in colour, which need `palette` as well")
        colours = self._colours("void_colour")
        for colour in colours:
            if colour in classes.palette:
                name = classes.names[classes.palette.index(colour)]
                raise self._error("void_colour", f"the colour {list(colour)} is both void and the class {name!r}")
        return colours

    def _values(self, count: int) -> tuple[int, ...]:
        if "values" not in self.table:
            return tuple(range(count))
        values = self._numbers("values")
        if len(values) != count or len(set(values)) != count:
            raise self._error("values", f"values {list(values)} must be {count} different ones, one for each class")
        return values

    def _void(self, values: tuple[int, ...], classes: Classes) -> tuple[int, ...]:
        if "void" not in self.table:
            return tuple(value for value in (VOID,) if value not in values)
        void = self._numbers("void")
        for value in void:
            if value in values:
                name = classes.names[values.index(value)]
                free = [other for other in range(len(classes) + len(void)) if other not in void][: len(classes)]
                example = ", ".join(map(str, free[:3])) + (", ..." if len(free) > 3 else "")
                raise self._error(
                    "void",
                    f"the label value {value} is both void and the class {name!r}; say which values the classes have, "
                    f"for example values = [{example}]",
                )
        return void

    def _numbers(self, key: str) -> tuple[int, ...]:
        value = self.table[key]
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= _MAX_VALUE for n in numbers):
            raise self._error(key, f"{key} is {value!r:.60}; it must be whole numbers from 0 to {_MAX_VALUE}")
        return tuple(numbers)

    def _label_kind(self) -> LabelKind | None:
        value = self._text("label_kind")
        if value is not None and value not in {kind.value for kind in LabelKind}:
            known = " or ".join(f'"{kind.value}"' for kind in LabelKind)
            raise self._error("label_kind", f"label_kind is {value!r}; it must be {known}")
        return None if value is None else LabelKind(value)

    def _text(self, key: str, empty: bool = False) -> str | None:
        if key not in self.table:
            return None
        value = self.table[key]
        if not isinstance(value, str) or not (value.strip() or empty):
            raise self._error(key, f"{key} is {value!r:.60}; it must be text")
        return value

    def _path(self, key: str) -> str | None:
        value = self._text(key)
        if value is not None:
            self._check_path(key, value)
        return value

    def _check_path(self, key: str, value: str) -> None:
        """Whether the system can look for such a file or folder, which need not be there."""
        if not is_plain(value):
            raise self._error(key, f"{key} is {value!r:.60}, which has a line break or another control character")
        try:
            (self.file.parent / Path(value).expanduser()).exists()
        except (OSError, RuntimeError) as error:  # RuntimeError: the home of a user that does not exist
            reason = getattr(error, "strerror", None) or str(error).rstrip(".")
            raise self._error(key, f"{key} is {value!r:.60}, which cannot be looked for: {reason}") from None

    def _splits(self) -> dict[str, tuple[str, ...]]:
        table = self.table.get("splits", {})
        if not isinstance(table, Mapping):
            raise self._error("splits", 'splits is no table; write [splits] and below it train = "train"')
        splits = {}
        for name, value in table.items():
            sources: Sequence[Any] = value if isinstance(value, list) else [value]
            if not sources or not all(isinstance(source, str) and source.strip() for source in sources):
                raise self._error(name, f"the split {name} is {value!r:.60}; it must be a sub-folder or a text file")
            if not name.strip() or not is_plain(name):
                raise self._error(name, f"a split cannot be named {name!r:.60}; use letters")
            if "+" in name:
                raise self._error(name, f"a split cannot be named {name!r:.60}: + joins splits on the command line")
            for source in sources:
                self._check_path(name, source)
            splits[name] = tuple(sources)
        return splits


def _is_colour(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in value)
    )


_KEYS = (
    "classes", "palette", "void", "void_colour", "values", "label_kind", "images", "labels", "image_suffix",
    "label_suffix", "splits",
)  # fmt: skip
