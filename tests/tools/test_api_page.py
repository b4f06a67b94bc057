"""The page docs/api.md is current, and docstrings become Markdown."""

from __future__ import annotations

import importlib

import pytest
from api_page.docstrings import markdown


def test_the_page_is_current() -> None:
    for package in ("torch", "onnx"):
        pytest.importorskip(package)
    from api_page import page

    assert page.PAGE.read_text(encoding="utf-8") == page.page(), "run `python -m api_page.page` in tools/"


def test_every_public_name_is_described() -> None:
    for package in ("torch", "onnx"):
        pytest.importorskip(package)

    from api_page.page import PACKAGES, page

    written = page()
    for package in PACKAGES:
        for name in importlib.import_module(package).__all__:
            _, _, entry = written.partition(f"\n### {package}.{name}\n")
            text = entry.partition("\n### ")[0].replace("```", "").strip()
            assert len(text.split()) > 3, f"{package}.{name} has no docstring"


def test_entries_become_a_list_and_examples_code() -> None:
    text = markdown(
        """Does it.

            result = does(1)

        frame: uint8 [h, w],
            of any size.
        other: none.

        Raises InputError: never.
        """,
        frozenset({"frame", "other"}),
    )
    assert text == (
        "Does it.\n\n```py\nresult = does(1)\n```\n\n"
        "- `frame`: uint8 [h, w],\n  of any size.\n- `other`: none.\n\nRaises InputError: never."
    )


def test_sections_become_titled_lists() -> None:
    text = markdown(
        """Loads.

        Args:
            path: the file,
                or its folder.

        Returns:
            A model.
        """,
        frozenset({"path"}),
    )
    assert text == "Loads.\n\n**Args**\n\n- `path`: the file,\n  or its folder.\n\n**Returns**\n\nA model."
