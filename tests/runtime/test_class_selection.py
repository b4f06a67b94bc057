"""Selection of classes by name or number."""

from __future__ import annotations

import pytest
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.output.class_selection import select_classes

NAMES = ("road", "Traffic Light", "car", "car", "2", "sky, clear", "Straße", "Car")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("road", {0}),
        (" ROAD ,0", {0}),
        ("traffic  light", {1}),
        ("car", {2, 3}),
        ("CAR", {2, 3, 7}),
        ("Car", {7}),
        ("2", {4}),
        ("3", {3}),
        ("sky, clear", {5}),
        ("road,Sky,  clear,1", {0, 5, 1}),
        ("sky, clear,sky, clear", {5}),
        ("sky, clear, road", {5, 0}),
        ('"sky, clear",road', {5, 0}),
        ('"road","car"', {0, 2, 3}),
        ('"', None),
        ("STRASSE,1", {6, 1}),
        ("road,,sky", None),
        ("8", None),
        ("1.0", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_names_and_numbers(text: str, labels: set[int] | None) -> None:
    if labels is None:
        with pytest.raises(InputError, match=r"road, Traffic Light, car"):
            select_classes(text, NAMES)
    else:
        assert select_classes(text, NAMES) == labels


def test_a_name_with_a_comma_is_listed_in_quotes() -> None:
    with pytest.raises(InputError, match=r'car, car, 2, "sky, clear", Straße, Car$'):
        select_classes("sky,road", NAMES)


def test_nothing_close_proposes_nothing() -> None:
    with pytest.raises(InputError) as raised:
        select_classes("zzzzzz", NAMES)
    assert "did you mean" not in str(raised.value)
