"""Training recipes: TOML files with all hyperparameters of a run, except the data folder, as typed dataclasses."""

from __future__ import annotations

import copy
import dataclasses
import importlib.resources
import math
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from hyperseg.data.augment import Augmentation
from hyperseg.data.batches import Crop
from hyperseg.data.layouts import Layout

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


INITIAL = "initial"
"""Value of `network`: the network of the checkpoint that `--init` names."""

AUTO = "auto"
"""Value of the entries of `AUTOMATIC` that `hyperseg.training.fit` chooses for the data."""

AUTOMATIC: Mapping[str, Any] = {
    "resolution": [],
    "crops": [],
    "average": 0.0,
    "validate_every": 1,
    "checkpoint_every": 1,
    "optimiser.iterations": 1,
    "optimiser.warmup": 0,
}
"""Entries that may be "auto", with what stands for them until they are chosen."""


class RecipeError(ValueError):
    """A recipe cannot be used; the message names the entry."""


class Precision(str, Enum):
    """Compute type of the network; weights, loss and optimiser are always float32."""

    AUTO = "auto"
    """bfloat16 where the device has fast instructions for it, else float32."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Algorithm(str, Enum):
    """Optimisation algorithms."""

    ADAM = "adam"
    ADAMW = "adamw"


@dataclass(frozen=True)
class Data:
    """Dataset layout and splits."""

    layout: Layout
    train: tuple[str, ...] = ("train",)
    validate: str = "val"
    late: tuple[str, ...] = ()
    """Splits to train on after a share `late_from` of the run; until then they are unseen and can validate it."""
    late_from: float = 0.5
    hold_out: float = 0.0
    """Share of the training images that validate instead where the data have no split `validate`; 0: an error then."""

    def fitted(self, known: Sequence[str]) -> Data:
        """For data with the splits `known`: with `hold_out`, a single split is trained on, whatever its name."""
        alone = self.hold_out > 0 and len(known) == 1 and known[0] not in self.train
        return replace(self, train=tuple(known)) if alone else self

    def holds_out(self, known: Sequence[str]) -> bool:
        """Whether some of the training images validate: with `hold_out`, where there are no others."""
        return self.hold_out > 0 and (self.validate not in known or tuple(known) == (self.validate,))

    def needed(self, known: Sequence[str]) -> tuple[str, ...]:
        """The splits that a run opens of data with the splits `known`; those that are not among these are missing."""
        data = self.fitted(known)
        return (*data.train, *data.late, *(() if data.holds_out(known) else (data.validate,)))


@dataclass(frozen=True)
class Loss:
    """Bootstrapped cross-entropy with optional class weights and a soft Jaccard term."""

    threshold: float = 0.3
    minimum: int = 4096
    class_weight_exponent: float = 0.0
    """Classes weigh (median frequency / frequency) ** exponent; 0 is no weighting."""
    jaccard: float = 0.0
    """Factor of the soft Jaccard loss that is added."""


@dataclass(frozen=True)
class Optimiser:
    """Adam or AdamW with polynomial decay."""

    learning_rate: float
    """Of layers that start anew, and of all where `taken_learning_rate` is 0."""
    backbone_learning_rate: float
    iterations: int
    taken_learning_rate: float = 0.0
    """Of the layers after the backbone that `--init` took; 0 for `learning_rate`."""
    algorithm: Algorithm = Algorithm.ADAM
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    warmup: int = 0
    power: float = 0.9
    clip: float = 0.0
    """Largest norm of the gradient; 0 is no limit."""


@dataclass(frozen=True)
class Recipe:
    """Recipe of a training run."""

    network: str
    """A preset of `hyperseg.presets()`, a JSON file of a `hyperseg.Config`, or "initial": that of `--init`."""
    data: Data
    optimiser: Optimiser
    crops: tuple[Crop, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: Loss = field(default_factory=Loss)
    resolution: tuple[int, ...] = ()
    """(height, width) for validation and export; empty for the preset's own."""
    batch: int = 16
    """Samples per iteration over all processes."""
    seed: int = 1
    precision: Precision = Precision.AUTO
    freeze_backbone_norm: bool = False
    """Keep the pre-trained layers' BatchNorm statistics as they were loaded."""
    freeze_taken_norm: bool = False
    """Keep the BatchNorm statistics of all layers that `--init` took."""
    minutes: float = 0.0
    """Time for the whole run, from which automatic `optimiser.iterations` follow; 0: they follow from the images."""
    average: float = 0.0
    """Decay of the exponential moving average (EMA) of the weights; 0 for none."""
    validate_every: int = 1000
    checkpoint_every: int = 500
    log_every: int = 20
    automatic: tuple[str, ...] = ()
    """Entries that are still to be chosen: those that a recipe gives as "auto"."""

    def __post_init__(self) -> None:
        if not self.crops and "crops" not in self.automatic:
            raise RecipeError("crops is empty; give at least one [[crops]] with height and width")
        counts = {
            "batch": self.batch,
            "optimiser.iterations": self.optimiser.iterations,
            "validate_every": self.validate_every,
            "checkpoint_every": self.checkpoint_every,
            "log_every": self.log_every,
        }
        for name, value in counts.items():
            if value < 1:
                raise RecipeError(f"{name} is {value}; it must be at least 1")
        shares = [crop.share for crop in self.crops]
        if self.crops and not (min(shares) >= 0 and sum(shares) > 0):
            raise RecipeError(f"the shares of crops are {shares}; none may be negative, and one has to be above 0")
        if len(self.resolution) not in (0, 2):
            raise RecipeError(f"resolution is {list(self.resolution)}; it must be [height, width]")
        if not 0 <= self.average < 1:
            raise RecipeError(f"average is {self.average}; it must be at least 0 and below 1")
        if not 0 <= self.data.hold_out < 1:
            raise RecipeError(f"data.hold_out is {self.data.hold_out}; it must be at least 0 and below 1")
        rates = ("learning_rate", "backbone_learning_rate", "taken_learning_rate", "weight_decay")
        least = {"minutes": self.minutes, **{f"optimiser.{name}": getattr(self.optimiser, name) for name in rates}}
        for name, value in least.items():
            if value < 0:
                raise RecipeError(f"{name} is {value}; it must be at least 0")
        if not 0 <= self.data.late_from <= 1:
            raise RecipeError(f"data.late_from is {self.data.late_from}; it must be between 0 and 1")
        if not 0 < self.augmentation.scale[0] <= self.augmentation.scale[1]:
            raise RecipeError(f"augmentation.scale is {list(self.augmentation.scale)}; it must rise from above 0")

    @property
    def late_iteration(self) -> int:
        """The first iteration that also draws from the late splits."""
        return round(self.data.late_from * self.optimiser.iterations) if self.data.late else self.optimiser.iterations


def recipes() -> tuple[str, ...]:
    """List the names of the recipes in the package."""
    folder = importlib.resources.files("hyperseg") / "recipes"
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml")))


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe by name or from a file, with overrides such as `optimiser.iterations=100` (TOML values)."""
    path = Path(name_or_path)
    if name_or_path in recipes():
        text = (importlib.resources.files("hyperseg") / "recipes" / f"{name_or_path}.toml").read_text(encoding="utf-8")
    elif path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = "it is not a text file in UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
            raise RecipeError(f"cannot read the recipe {name_or_path}: {reason}; name a .toml file") from None
    else:
        raise RecipeError(f"there is no recipe {name_or_path!r}; name one of {', '.join(recipes())}, or a .toml file")
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"the recipe {name_or_path} is not TOML: {error}") from None
    for override in overrides:
        _override(table, override)
    return parse_recipe(table)


def parse_recipe(table: Mapping[str, Any]) -> Recipe:
    """Parse a recipe from nested tables; unknown keys and wrong types raise `RecipeError`."""
    if "automatic" in table:
        raise RecipeError(f'the recipe has the unknown key automatic; write "{AUTO}" as the value of an entry')
    copied = copy.deepcopy(dict(table))
    automatic = tuple(key for key in AUTOMATIC if _entry(copied, key) == AUTO)
    for key in automatic:
        _set_entry(copied, key, AUTOMATIC[key])
    built = _build(Recipe, {**copied, "automatic": automatic}, "")
    assert isinstance(built, Recipe)
    return built


def recipe_table(recipe: Recipe) -> dict[str, Any]:
    """Convert a recipe to nested tables of plain JSON values; the inverse of `parse_recipe`."""
    table = dataclasses.asdict(recipe, dict_factory=lambda items: {key: _plain(value) for key, value in items})
    for key in table.pop("automatic"):
        _set_entry(table, key, AUTO)
    return table


def _entry(table: Mapping[str, Any], key: str) -> Any:
    value: Any = table
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _set_entry(table: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for name in tables:
        table = table[name]
    table[last] = value


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise RecipeError(f"the override {override!r} has no '='; write key=value, for example batch=8")
    *tables, last = key.strip().split(".")
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise RecipeError(f"the override {override!r} goes into {name}, which is not a table")
    try:
        table[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = value.strip()


def _build(kind: type, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping):
        raise RecipeError(f"{where or 'the recipe'} must be a table, not {table!r}")
    hints = typing.get_type_hints(kind)
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    for key in table:
        if key not in fields:
            raise RecipeError(f"the recipe has the unknown key {prefix}{key}; known are {', '.join(fields)}")
    for name, entry in fields.items():
        if name not in table and entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise RecipeError(f"the recipe lacks {prefix}{name}")
    return kind(**{key: _convert(hints[key], value, prefix + key) for key, value in table.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        return _convert_tuple(typing.get_args(hint), value, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            raise RecipeError(f"{where} is {value!r}; it must be one of {', '.join(e.value for e in hint)}") from None
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):  # TOML has nan and inf
            raise RecipeError(f"{where} is {value}; it must be a finite number")
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise RecipeError(f"{where} is {value!r}; it must be {_NAMES.get(hint, hint.__name__)}")
    return value


def _convert_tuple(items: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise RecipeError(f"{where} is {value!r}; it must be a list")
    if items[-1] is ...:
        return tuple(_convert(items[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if len(value) != len(items):
        raise RecipeError(f"{where} has {len(value)} values; it must have {len(items)}")
    return tuple(_convert(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(zip(items, value, strict=True)))


_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
