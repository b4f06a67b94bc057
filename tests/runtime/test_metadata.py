"""Metadata of a model: round trip, and errors that name the invalid field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from hyperseg_runtime.errors import HyperSegError, MetadataError, ModelError
from hyperseg_runtime.metadata import KEY, InputType, Metadata, OutputKind, Verification
from hyperseg_runtime.onnx_file import read_node_names, read_properties
from hypothesis import given, settings
from hypothesis import strategies as st

from .stand_in import SIZE, metadata, write_model

GOOD = metadata(OutputKind.LABELS, InputType.UINT8, SIZE)


def test_round_trip() -> None:
    verified = GOOD.verified(Verification(3, 1e-5, 1e-6, 0.99999))
    assert Metadata.from_json(verified.to_json()) == verified
    assert Metadata.from_json(GOOD.to_json()) == GOOD


def changed(path: str, value: object) -> str:
    """GOOD as JSON with one field set; a value of ... removes it."""
    content: dict[str, Any] = GOOD.to_dict()
    *folders, name = path.split(".")
    place = content
    for folder in folders:
        place = place[folder]
    if value is ...:
        del place[name]
    else:
        place[name] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format_version", 2, "update hyperseg"),
        ("format_version", "1", "format_version"),
        ("class_names", ["road"], "12 colours for 1 classes"),
        ("class_names", ..., "class_names is missing"),
        ("palette", [[0, 0, 256]], "palette"),
        ("palette", None, "palette is missing"),
        ("input", [], "input"),
        ("input.height", 0, "input.height"),
        ("input.height", True, "input.height"),
        ("input.height", 65, "multiple"),
        ("input.width", "768", "input.width"),
        ("input.std", [0.2, 0, 0.2], "input.std"),
        ("input.mean", [0.5], "input.mean"),
        ("input.dtype", "int8", "uint8, float32"),
        ("input.colour_order", "BGR", "colour_order"),
        ("output", "boxes", "labels, logits, both"),
        ("precision", 32, "precision"),
        ("config", ..., "preset"),
        ("checkpoint_sha256", "abc", "64 hexadecimal"),
        ("versions", {"torch": 2}, "versions"),
        ("verification", {"inputs": 1, "max_abs_error": -1}, "verification.max_abs_error"),
    ],
)
def test_every_field_is_checked(path: str, value: object, said: str) -> None:
    with pytest.raises(MetadataError, match=r"m\.onnx") as caught:
        Metadata.from_json(changed(path, value), "m.onnx")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", "NaN", "[" * 100_000])
def test_text_that_is_no_metadata(text: str) -> None:
    with pytest.raises(MetadataError):
        Metadata.from_json(text)


@settings(deadline=None)  # other work on the machine is not the test's
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_subnormal=False) | st.text(),
        lambda inner: st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_or_refused(content: object) -> None:
    with pytest.raises(MetadataError):
        Metadata.from_json(json.dumps(content))


def test_properties_are_read_without_onnx(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    assert Metadata.from_properties(read_properties(path)) == GOOD
    graph = onnx.load(path).graph
    assert read_node_names(path) == {output: node.name for node in graph.node for output in node.output}


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2000))
def test_no_damage_to_a_file_is_more_than_an_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    good = folder / "good.onnx"
    if not good.exists():
        write_model(good)
    content = good.read_bytes()
    at %= len(content)
    bad = folder / "bad.onnx"
    bad.write_bytes(content[:at] + noise + content[at + len(noise) :])
    for read in (read_properties, read_node_names):
        try:
            read(bad)
        except HyperSegError as error:
            assert isinstance(error, ModelError)


def test_foreign_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="not written by hyperseg-export"):
        Metadata.from_properties({"other": "{}"}, "m.onnx")
    assert KEY == "hyperseg"
