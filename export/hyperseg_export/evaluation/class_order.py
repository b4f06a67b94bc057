"""A model's classes against a data set's, by name: a model is scored on the classes that it was trained for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.preprocess import Frame, Labels

from hyperseg.classes import VOID
from hyperseg_export.evaluation.predictors import Facts, Predictor

_LISTED = 8
_NUMBERED = re.compile(r"class \d+")


class ReorderedPredictor:
    """A predictor whose labels are turned into another order of classes: label k becomes `order[k]`."""

    facts: Facts

    def __init__(self, predictor: Predictor, order: Sequence[int]) -> None:
        self.facts = predictor.facts
        self._predictor = predictor
        self._table = reordering(order)

    def __call__(self, frame: Frame) -> Labels:
        return np.asarray(self._table[self._predictor(frame)], np.uint8)

    def close(self) -> None:
        self._predictor.close()


def reordering(order: Sequence[int]) -> Labels:
    """uint8 [256]: the index of each class in another order; `VOID` for what has none there."""
    table = np.full(256, VOID, np.uint8)
    table[: len(order)] = order
    return table


def in_order(
    model: Path, predictor: Predictor, names: Sequence[str], labels: str, note: Callable[[str], None]
) -> Predictor:
    """The predictor with its labels in the order of the data set's classes `names`; see `order_of`."""
    order = order_of(model, predictor.facts.class_names, names, labels, note)
    return predictor if order is None else ReorderedPredictor(predictor, order)


def order_of(
    model: Path, classes: Sequence[str], names: Sequence[str], labels: str, note: Callable[[str], None]
) -> list[int] | None:
    """Where each of the model's `classes` is among the data set's classes `names`; None: they have one order.

    A model may have the class "void" in addition, which counts as a miss. Classes without names are taken in their
    order. `labels` says whose labels they are, for errors; `note` receives a sentence where the order is another.

    Raises:
        ModelError: the model's classes are others; the message lists the differences.
    """
    given, wanted = [_folded(n) for n in classes], [_folded(n) for n in names]
    if given in (wanted, [*wanted, "void"]):
        return None
    if len(given) not in (len(wanted), len(wanted) + 1):
        raise ModelError(_counts_differ(model, given, wanted, labels))
    known = set(wanted) <= set(given) <= {*wanted, "void"}
    if not known and all(map(_NUMBERED.fullmatch, given)):
        note(f"{model}: its classes have no names; they are taken in the order of {labels}")
        return None
    if not known:
        raise ModelError(_names_differ(model, given, wanted, labels))
    twice = [name for name in dict.fromkeys(given) if given.count(name) > 1]
    if twice:
        raise ModelError(f"{model} has several classes named {_listed(twice)}: which of them is meant is not known")
    order = [wanted.index(name) if name in wanted else VOID for name in given]
    note(f"{model}: its classes are in another order than those of {labels}, and are scored by name")
    return order


def _counts_differ(model: Path, given: Sequence[str], wanted: Sequence[str], labels: str) -> str:
    return (
        f"{model} has {len(given)} classes, the labels of {labels} have {len(wanted)}: "
        f"{_difference(given, wanted)}; see --layout"
    )


def _names_differ(model: Path, given: Sequence[str], wanted: Sequence[str], labels: str) -> str:
    return (
        f"{model} was trained for other classes than the labels of {labels} have: {_difference(given, wanted)}; "
        "name a model of this data set, or correct the names in dataset.toml"
    )


def _difference(given: Sequence[str], wanted: Sequence[str]) -> str:
    only_model = [name for name in given if name not in wanted and name != "void"]
    only_data = [name for name in wanted if name not in given]
    parts = [("only the model has", only_model), ("only the data set has", only_data)]
    return ", ".join(f"{what} {_listed(names)}" for what, names in parts if names)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())
