"""Validated access to the fields of a JSON object, with errors that name the file and the field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from hyperseg_runtime.errors import MetadataError

Choice = TypeVar("Choice", bound=Enum)


@dataclass(frozen=True)
class Fields:
    """A JSON object, its file, and its place in that file (for error messages)."""

    content: Mapping[str, Any]
    source: str
    place: str = ""

    @staticmethod
    def of(content: object, source: str, place: str = "") -> Fields:
        if not isinstance(content, dict):
            name = place.rstrip(".") or "metadata"
            raise MetadataError(f"{source}: its {name} is not a JSON object; export the model again")
        return Fields(content, source, place)

    def error(self, key: str, problem: str) -> MetadataError:
        return MetadataError(f"{self.source}: metadata field {self.place}{key} {problem}; export the model again")

    def absent(self, key: str) -> bool:
        return self.content.get(key) is None

    def _get(self, key: str) -> Any:
        if self.absent(key):
            raise self.error(key, "is missing")
        return self.content[key]

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise self.error(key, f"is {value!r:.40}, not a text")
        return value

    def optional_text(self, key: str) -> str | None:
        return None if self.absent(key) else self.text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, "is not a list of texts")
        return tuple(value)

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        if default is not None and self.absent(key):
            return default
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(key, f"is {value!r:.40}, not a whole number from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float = math.inf) -> float:
        value = self._get(key)
        if not _is_number(value) or not low <= value <= high:
            raise self.error(key, f"is {value!r:.40}, not a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = default if self.absent(key) else self.content[key]
        if not isinstance(value, bool):
            raise self.error(key, f"is {value!r:.40}, not true or false")
        return value

    def three_floats(self, key: str) -> tuple[float, float, float]:
        value = self._get(key)
        if not isinstance(value, list) or len(value) != 3 or not all(_is_number(item) for item in value):
            raise self.error(key, f"is {value!r:.40}, not three numbers")
        red, green, blue = value
        return float(red), float(green), float(blue)

    def colours(self, key: str) -> tuple[tuple[int, int, int], ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(_is_colour(item) for item in value):
            raise self.error(key, "is not a list of [red, green, blue] from 0 to 255")
        return tuple((red, green, blue) for red, green, blue in value)

    def choice(self, key: str, choices: type[Choice]) -> Choice:
        value = self.text(key)
        try:
            return choices(value)
        except ValueError:
            known = ", ".join(str(item.value) for item in choices)
            raise self.error(key, f"is {value!r:.40}, not one of {known}") from None

    def nested(self, key: str) -> Fields:
        return Fields.of(self._get(key), self.source, f"{self.place}{key}.")

    def optional_object(self, key: str) -> Fields | None:
        return None if self.absent(key) else self.nested(key)

    def text_map(self, key: str) -> dict[str, str]:
        value = {} if self.absent(key) else self.nested(key).content
        if not all(isinstance(item, str) for item in value.values()):
            raise self.error(key, "is not a map of texts")
        return dict(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_colour(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= 255 for item in value)
    )
