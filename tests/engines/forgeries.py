"""What an attacker who can write to the folders of engines does to one, and what an accident does."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hyperseg_runtime import Segmenter, sidecar, signing, trusted_keys
from hyperseg_runtime.signing import Purpose

from .graphs import miniature, save
from .sessions import Machine
from .signed_engines import become, describe, on_machine


@dataclass(frozen=True)
class Place:
    """An engine that loads here, in a folder that the attacker can write to."""

    engine: Path
    plugins: Path
    machine: Machine
    elsewhere: Path
    """A folder of the attacker: n.engine of this machine there is another network's."""
    foreign: Path
    """Home of the keys of another machine."""

    @property
    def sidecar(self) -> Path:
        return sidecar.path_of(self.engine)

    @property
    def other(self) -> Path:
        return self.elsewhere / "n.engine"

    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.sidecar.read_text(encoding="utf-8"))
        return found

    def write(self, content: dict[str, Any]) -> None:
        self.sidecar.write_text(json.dumps(content), encoding="utf-8")

    def replant(self, plan: bytes) -> None:
        """Another plan, which this machine signs."""
        self.engine.write_bytes(plan)
        describe(self.engine, self.plugins, self.engine.with_name("m.onnx"))

    def sign_elsewhere(self, *, trusted: bool) -> None:
        """The engine as another machine signs it."""
        with on_machine(self.foreign):
            describe(self.engine, self.plugins, self.engine.with_name("m.onnx"))
            key = trusted_keys.own_key()
        assert key is not None
        if trusted:
            trusted_keys.add(key)


def make_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Two engines, as this machine built them, and a machine that runs them."""
    monkeypatch.setenv(trusted_keys.HOME_VARIABLE, str(tmp_path / "config"))
    plugins = tmp_path / "libhyperseg_trt.so"
    plugins.write_bytes(b"the plugin library")
    machine = become(monkeypatch, plugins)
    made = Place(tmp_path / "models" / "m.engine", plugins, machine, tmp_path / "elsewhere", tmp_path / "foreign")
    for engine, seed in ((made.engine, 0), (made.other, 1)):
        engine.parent.mkdir()
        model = miniature(seed=seed)
        save(model, engine.with_suffix(".onnx"))
        engine.write_bytes(machine.plan(model))
        describe(engine, plugins, engine.with_suffix(".onnx"))
    return made


def elf(machine: int, size: int = 2, order: int = 1) -> bytes:
    """The header of an ELF file."""
    return (
        b"\x7fELF" + bytes([size, order, 1]) + bytes(9) + struct.pack("<HHI" if order == 1 else ">HHI", 3, machine, 1)
    )


def pe() -> bytes:
    """The headers of a PE file."""
    return b"MZ" + bytes(58) + struct.pack("<I", 128) + bytes(64) + b"PE\0\0" + b"\x64\x86"


def swapped_plan(place: Place) -> None:
    shutil.copy(place.other, place.engine)


def swapped_sidecar(place: Place) -> None:
    shutil.copy(sidecar.path_of(place.other), place.sidecar)


def foreign_pair(place: Place) -> None:
    shutil.copy(place.other, place.engine)
    place.sign_elsewhere(trusted=False)


def edited_metadata(place: Place) -> None:
    content = place.content()
    content["class_names"][0] = "road"
    place.write(content)


def without_trust(place: Place) -> None:
    place.sign_elsewhere(trusted=True)
    Segmenter(place.engine).close()
    place.machine.module.deserialized.clear()
    trusted_keys.list_path().write_text("# nobody any more\n", encoding="utf-8")


def truncated_plan(place: Place) -> None:
    place.engine.write_bytes(place.engine.read_bytes()[:-1])


def longer_plan(place: Place) -> None:
    place.engine.write_bytes(place.engine.read_bytes() + b"\0")


def huge_plan(place: Place) -> None:
    with place.engine.open("r+b") as file:
        file.truncate(1 << 42)  # sparse: takes no room on the disk, but would in memory


def empty_plan(place: Place) -> None:
    place.engine.write_bytes(b"")


def truncated_sidecar(place: Place) -> None:
    text = place.sidecar.read_text(encoding="utf-8")
    place.sidecar.write_text(text[: len(text) // 2], encoding="utf-8")


def huge_sidecar(place: Place) -> None:
    with place.sidecar.open("ab") as file:
        file.truncate(1 << 42)


def deep_sidecar(place: Place) -> None:
    place.sidecar.write_text('{"signature": {}, "a": ' + "[" * 100_000, encoding="utf-8")


def sidecar_of(text: str) -> Callable[[Place], None]:
    return lambda place: place.sidecar.write_text(text, encoding="utf-8") and None


def text_replaced(old: str, new: str) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        text = place.sidecar.read_text(encoding="utf-8")
        assert text.count(old) == 1
        place.sidecar.write_text(text.replace(old, new), encoding="utf-8")

    return change


def link_to(name: str) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        place.engine.unlink()
        place.engine.symlink_to(place.other if name == "other" else name)

    return change


def replaced_by(make: Callable[[Path], object], *, plan: bool) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        path = place.engine if plan else place.sidecar
        path.unlink()
        make(path)

    return change


def with_code(code: bytes) -> Callable[[Place], None]:
    return lambda place: place.replant(place.engine.read_bytes() + bytes(3) + code)


def another_plugin_library(place: Place) -> None:
    place.plugins.write_bytes(b"the plugin library!")


def signature(**changes: Any) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        content = place.content()
        content["signature"].update(changes)
        place.write(content)

    return change


def no_signature(value: Any) -> Callable[[Place], None]:
    return lambda place: place.write({**place.content(), "signature": value})


def as_the_version_before(place: Place) -> None:
    content = {key: value for key, value in place.content().items() if key != "signature"}
    place.write({**content, "sidecar_sha256": "0" * 64})


def for_another_purpose(place: Place) -> None:
    content = place.content()
    del content["signature"]
    signed = signing.sign(signing.statement(Purpose.RUNTIME_CACHE, content))
    place.write({**content, "signature": signed.to_dict()})


def signed_by_the_attacker_in_my_name(place: Place) -> None:
    own = trusted_keys.own_key()
    assert own is not None
    place.sign_elsewhere(trusted=False)
    signature(key=own.fingerprint)(place)


def list_for_all_to_write(place: Place) -> None:
    place.sign_elsewhere(trusted=True)
    trusted_keys.list_path().chmod(0o666)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


FORGED: dict[str, tuple[Callable[[Place], object], str]] = {
    "another plan": (swapped_plan, r"m\.engine is not the plan that its sidecar m\.engine\.json describes"),
    "another sidecar": (swapped_sidecar, r"is not the plan that its sidecar"),
    "plan and sidecar of another machine": (foreign_pair, r"signed with key 'SHA256:.*--trust KEY.*or build"),
    "edited metadata": (edited_metadata, r"its signature .* is not of this content, so it was changed"),
    "a key that is not trusted any more": (without_trust, r"which is neither this machine's nor a trusted one"),
    "a truncated plan": (truncated_plan, r"is not the plan"),
    "a longer plan": (longer_plan, r"is not the plan"),
    "a huge plan": (huge_plan, r"is not the plan"),
    "an empty plan": (empty_plan, r"is not the plan"),
    "a truncated sidecar": (truncated_sidecar, r"m\.engine\.json cannot be read as JSON"),
    "an empty sidecar": (sidecar_of(""), r"m\.engine\.json cannot be read as JSON"),
    "a sidecar without anything": (sidecar_of("{}"), r"has no signature"),
    "a list": (sidecar_of("[]"), r"is not a JSON object"),
    "a huge sidecar": (huge_sidecar, r"cannot be read as JSON \(it is larger than"),
    "a deep sidecar": (deep_sidecar, r"m\.engine\.json cannot be read as JSON"),
    "a key twice": (text_replaced('"engine": {', '"engine": {"layers": 1,'), r"a key is there twice"),
    "no number": (text_replaced('"half_share": 0.9', '"half_share": NaN'), r"NaN is no finite number"),
    "a number without end": (text_replaced('"half_share": 0.9', '"half_share": 1e999'), r"1e999 is no finite number"),
    "a long number": (text_replaced('"half_share": 0.9', f'"half_share": {"9" * 9999}'), r"cannot be read as JSON"),
    "a link to another plan": (link_to("other"), r"is not the plan that its sidecar"),
    "a link to nothing": (link_to("gone"), r"m\.engine does not exist"),
    "a link to itself": (link_to("m.engine"), r"m\.engine"),
    "a pipe as plan": (replaced_by(os.mkfifo, plan=True), r"m\.engine .*it is not a regular file"),
    "a pipe as sidecar": (replaced_by(os.mkfifo, plan=False), r"m\.engine\.json .*it is not a regular file"),
    "a device as plan": (replaced_by(device, plan=True), r"m\.engine .*it is not a regular file"),
    "a device as sidecar": (replaced_by(device, plan=False), r"m\.engine\.json .*it is not a regular file"),
    "a folder as sidecar": (replaced_by(Path.mkdir, plan=False), r"m\.engine\.json .*it is a folder"),
    "an ELF file in the plan": (with_code(elf(62)), r"carries code .*ELF file of machine 62.*--allow-host-code"),
    "a PE file in the plan": (with_code(pe()), r"carries code .*a PE file.*--allow-host-code"),
    "another plugin library": (another_plugin_library, r"built with another plugin library than .*build the engine"),
    "no signature": (no_signature(None), r"has no signature, as engines of earlier versions.*--trust KEY"),
    "an engine of the version before": (as_the_version_before, r"has no signature, as engines of earlier versions"),
    "a signature that is a text": (no_signature("AAAA"), r"its signature is not a JSON object"),
    "a signature that is a list": (no_signature([1]), r"its signature is not a JSON object"),
    "a signature without value": (signature(value=None), r"signature\.value is missing"),
    "a signature of numbers": (signature(value=[0] * 64), r"signature\.value is \[0, 0.*, not a text"),
    "a short signature": (signature(value="AAAA"), r"signature\.value has 3 bytes, not 64"),
    "a signature that is not base64": (signature(value="\u00e4" * 86), r"signature\.value is not base64"),
    "a signature of zeros": (signature(value="A" * 86 + "=="), r"is not of this content"),
    "another algorithm": (signature(algorithm="none"), r"signature\.algorithm is 'none', not one of ed25519"),
    "another key": (signature(key="SHA256:" + "A" * 43), r"signed with key 'SHA256:AAAA"),
    "a key that is no text": (signature(key=7), r"signature\.key is 7, not a text"),
    "a signature of another purpose": (for_another_purpose, r"is not of this content"),
    "a signature in my name": (signed_by_the_attacker_in_my_name, r"is not of this content"),
    "a list that all may write": (list_for_all_to_write, r"other users may change .*trusted_keys .*chmod 600"),
}  # fmt: skip
