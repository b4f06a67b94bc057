"""Writes docs/api.md, or with --check says whether it is current."""

from __future__ import annotations

import argparse
import ast
import enum
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from api_page.docstrings import markdown

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
PACKAGES = ("hyperseg_runtime", "hyperseg_export", "hyperseg")
_HEAD = """# Python API

The public names of the packages, from their docstrings. Everything else may change between releases.

In signatures, `Frame` is a NumPy array uint8 [h, w, 3] in BGR order, as OpenCV reads images, `Labels` one of uint8
[h, w], `Probabilities` one of float16, and `Size` is a height and a width. `Images` are the network's inputs: uint8
[N, H, W, 3] in RGB order, or normalised float32 [N, 3, H, W], as the model's metadata say. `LowLogits` are the
network's logits before they are enlarged: float32 or float16 [C, h, w].

<!-- Written by `python -m api_page.page` in tools/. Edit the docstrings instead. -->
"""
_WIDTH = 100


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for package in map(importlib.import_module, PACKAGES):
        parts += [f"## {package.__name__}", _about(package)]
        for name in package.__all__:
            parts += _entry(package, name)
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _about(package: ModuleType) -> str:
    """A package's docstring, whose examples may stand without an indent."""
    return markdown(package.__doc__, frozenset())


def _entry(package: ModuleType, name: str) -> list[str]:
    value = getattr(package, name)
    node = _definition(value)
    parts = [f"### {package.__name__}.{name}"]
    if isinstance(node, ast.FunctionDef):
        return [*parts, _code(f"{name}{_signature(node)}"), markdown(value.__doc__, _names(node))]
    constructor = next((one for one in _functions(node) if one.name == "__init__"), None)
    if constructor is not None:
        parts.append(_code(f"{name}{_signature(constructor, bound=True, returns=False)}"))
    names = frozenset(field for field, _, _ in _fields(node))
    parts.append(markdown(ast.get_docstring(node), names))
    if constructor is not None:
        parts.append(markdown(ast.get_docstring(constructor), _names(constructor)))
    if issubclass(value, enum.Enum):
        parts.append("\n".join(f"- `{name}.{member.name}`: `{member.value!r}`" for member in value))
    elif fields := list(_fields(node)):
        parts.append("\n".join(_field(*field) for field in fields))
    properties = [one for one in _functions(node) if _is_property(one) and not one.name.startswith("_")]
    parts.append("\n".join(map(_property, properties)))
    for method in _functions(node):
        if method in properties:
            continue
        if not method.name.startswith("_") or (method.name == "__call__" and ast.get_docstring(method)):
            parts += _method(name, method)
    return parts


def _method(owner: str, method: ast.FunctionDef) -> list[str]:
    text = markdown(ast.get_docstring(method), _names(method))
    if not text:
        return []
    title = f"#### {owner}" if method.name == "__call__" else f"#### {owner}.{method.name}"
    called = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", owner).lower() if method.name == "__call__" else method.name
    static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in method.decorator_list)
    title = f"{title}, called" if method.name == "__call__" else title
    return [title, _code(f"{called}{_signature(method, bound=not static)}"), text]


def _is_property(node: ast.FunctionDef) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "property" for one in node.decorator_list)


def _property(node: ast.FunctionDef) -> str:
    kind = ast.unparse(node.returns) if node.returns is not None else "object"
    return _field(node.name, kind, " ".join((ast.get_docstring(node) or "").split()))


def _definition(value: object) -> ast.ClassDef | ast.FunctionDef:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body  # type: ignore[arg-type]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    return node


def _functions(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [one for one in node.body if isinstance(one, ast.FunctionDef)]


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    """Name, type with default, and text of each public attribute that the class declares."""
    for index, one in enumerate(node.body):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and not one.target.id.startswith("_"):
            default = f" = {ast.unparse(one.value)}" if one.value is not None else ""
            following = node.body[index + 1] if index + 1 < len(node.body) else None
            text = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                text = " ".join(inspect.cleandoc(str(following.value.value)).split())
            yield one.target.id, f"{ast.unparse(one.annotation)}{default}", text


def _field(name: str, kind: str, text: str) -> str:
    return f"- `{name}: {kind}`" + (f": {text}" if text else "")


def _names(node: ast.FunctionDef) -> frozenset[str]:
    arguments = node.args
    found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return frozenset(one.arg for one in found)


def _signature(node: ast.FunctionDef, bound: bool = False, returns: bool = True) -> str:
    """As in the source, on one line if that is short enough. bound: without its first argument."""
    arguments = _arguments(node.args)[1 if bound else 0 :]
    result = f" -> {ast.unparse(node.returns)}".replace("'", "") if returns and node.returns is not None else ""
    line = f"({', '.join(arguments)}){result}"
    if len(line) <= _WIDTH - 20:
        return line
    return "(\n" + "".join(f"    {one},\n" for one in arguments) + f"){result}"


def _arguments(given: ast.arguments) -> list[str]:
    missing = len(given.args) - len(given.defaults)
    found = [_argument(one, ([None] * missing + given.defaults)[at]) for at, one in enumerate(given.args)]
    if given.vararg is not None:
        found.append(f"*{ast.unparse(given.vararg)}")
    elif given.kwonlyargs:
        found.append("*")
    keywords = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    found += [_argument(one, default) for one, default in keywords]
    return found if given.kwarg is None else [*found, f"**{ast.unparse(given.kwarg)}"]


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    equals = " = " if one.annotation is not None else "="
    return ast.unparse(one) + (f"{equals}{ast.unparse(default)}" if default is not None else "")


def _code(text: str) -> str:
    """As "py": the documentation's examples in "python" are run."""
    return f"```py\n{text}\n```"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 unless the page is current")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE} is not current; run python -m api_page.page in tools/", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
