"""Reading recipes: TOML files into `Recipe`, checked entry by entry against its types."""

from __future__ import annotations

import dataclasses
import importlib.resources
import sys
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from hyperseg.training.recipe import Recipe, RecipeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    folder = importlib.resources.files("hyperseg") / "recipes"
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml")))


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by name or from a file, with overrides such as `optimiser.iterations=100` (TOML values)."""
    path = Path(name_or_path)
    if name_or_path in recipes():
        text = (importlib.resources.files("hyperseg") / "recipes" / f"{name_or_path}.toml").read_text(encoding="utf-8")
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        raise RecipeError(f"there is no recipe {name_or_path!r}; name one of {', '.join(recipes())}, or a .toml file")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the recipe {name_or_path} is not TOML: {error}") from None
    for override in overrides:
        _override(table, override)
    return parse_recipe(table)


def parse_recipe(table: Mapping[str, Any]) -> Recipe:
    """Build a recipe from nested tables; unknown keys and wrong types are `RecipeError`s."""
    built = _build(Recipe, table, "")
    assert isinstance(built, Recipe)
    return built


def recipe_table(recipe: Recipe) -> dict[str, Any]:
    """The inverse of `parse_recipe`, of plain JSON-able values."""
    return dataclasses.asdict(recipe, dict_factory=lambda items: {key: _plain(value) for key, value in items})


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
            raise RecipeError(f"the override {override!r} goes into {name}, which is no table")
    try:
        table[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = value.strip()


def _build(kind: type, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping):
        raise RecipeError(f"{where or 'the recipe'} must be a table, not {table!r}")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    for key in table:
        if key not in fields:
            raise RecipeError(f"the recipe has the unknown key {prefix}{key}; known are {', '.join(fields)}")
    for name, field in fields.items():
        if name not in table and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
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
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
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
