"""The runtime cache of engines of TensorRT for RTX: loaded where it is ours and fits, never else, and written whole."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime import signing, trusted_keys
from hyperseg_runtime.backends import rtx_cache
from hyperseg_runtime.backends.rtx_cache import CacheKey, RuntimeCacheFile
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import ModelError

from .graphs import HEIGHT, WIDTH, miniature
from .sessions import PROFILE, RTX_VERSION, Machine, labels_of, needs_operators, random_images

LIMIT = 60.0

pytestmark = needs_operators


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine's path; the sessions of these tests get its plan as bytes."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder / "m.engine"


_NOTED: list[str] = []


@pytest.fixture
def notes() -> Callable[[], list[str]]:
    """What the sessions of a test noted so far."""
    _NOTED.clear()
    return lambda: list(_NOTED)


def _machine(version: str = RTX_VERSION) -> Machine:
    return Machine(version, Flavour.RTX, note=_NOTED.append)


def _start(machine: Machine, engine: Path, *, runs: int = 1) -> list[str]:
    """Opens, runs and closes a session; returns the kernels that were compiled."""
    model = miniature()
    before = len(machine.module.compiled)
    session = machine.open(model, machine.plan(model), path=engine)
    for seed in range(runs):
        images = random_images(HEIGHT, WIDTH, seed=seed)
        np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    session.close()
    machine.assert_all_released()
    return machine.module.compiled[before:]


def _cache(engine: Path) -> Path:
    return engine.with_name("m.engine.cache")


def test_the_second_start_compiles_nothing(engine: Path, notes: Callable[[], list[str]]) -> None:
    assert _start(_machine(), engine) != []
    written = _cache(engine).read_bytes()
    assert _start(_machine(), engine) == []
    assert _cache(engine).read_bytes() == written
    assert notes() == []
    assert [path.name for path in engine.parent.iterdir()] == ["m.engine.cache"]


def test_the_first_run_keeps_it_and_closing_adds_later_kernels(engine: Path) -> None:
    machine = _machine()
    model = miniature(dynamic=True)
    session = machine.open(model, machine.plan(model, PROFILE), path=engine)
    assert not _cache(engine).exists()
    session.run(random_images(HEIGHT, WIDTH))
    first = _cache(engine).stat().st_size
    session.run(random_images(32, 64))
    session.close()
    assert _cache(engine).stat().st_size > first
    again = _machine()
    session = again.open(model, again.plan(model, PROFILE), path=engine)
    session.run(random_images(32, 64))
    session.close()
    assert again.module.compiled == []


def test_a_session_that_failed_writes_nothing(engine: Path) -> None:
    machine = _machine()
    model = miniature(dynamic=True)
    session = machine.open(model, machine.plan(model, PROFILE), path=engine)
    machine.module.failures.add("execute")
    with pytest.raises(ModelError, match="did not execute"):
        session.run(random_images(HEIGHT, WIDTH))
    session.close()
    machine.assert_all_released()
    assert not _cache(engine).exists()


def test_a_session_that_was_only_opened_writes_nothing(engine: Path) -> None:
    machine = _machine()
    model = miniature()
    machine.open(model, machine.plan(model), path=engine).close()
    assert not _cache(engine).exists()


DAMAGE = {
    "empty": lambda _: b"",
    "cut": lambda content: content[:-1],
    "header only": lambda content: content[: content.index(b"\n") + 1],
    "flipped": lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
    "other facts": lambda content: content.replace(b"Double", b"Triple"),
    "no signature": lambda content: content.replace(b'"signature"', b'"signatura"'),
    "wrong signature": lambda content: content.replace(b'"value": "', b'"value": "AAAA'),
    "no JSON": lambda content: content.replace(b'{"facts"', b'["facts"'),
    "deep JSON": lambda content: content[: content.index(b"\n") + 1] + b"[" * 10000 + b"\n",
    "endless header": lambda content: content[: content.index(b"\n") + 1] + b" " * 100_000,
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_cache_is_never_loaded_and_written_anew(
    damage: str, engine: Path, notes: Callable[[], list[str]]
) -> None:
    _start(_machine(), engine)
    good = _cache(engine).read_bytes()
    _cache(engine).write_bytes(DAMAGE[damage](good))
    machine = _machine()
    assert _start(machine, engine) != []
    assert machine.module.loaded_caches == []
    assert len(notes()) == 1 and "m.engine.cache" in notes()[0] and "compiled again" in notes()[0]
    assert _start(_machine(), engine) == []


def test_a_cache_of_another_machine_is_not_loaded(
    engine: Path, notes: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where engines of that machine are trusted."""
    _start(_machine(), engine)
    other = signing.machine_key().public
    monkeypatch.setenv(trusted_keys.HOME_VARIABLE, str(tmp_path / "other-machine"))
    signing.machine_key()
    trusted_keys.key_folder().joinpath("trusted_keys").write_text(other.line + "\n", encoding="utf-8")
    trusted_keys.key_folder().joinpath("trusted_keys").chmod(0o600)
    machine = _machine()
    assert _start(machine, engine) != []
    assert machine.module.loaded_caches == []
    assert any("another machine wrote it" in note for note in notes())
    assert _start(_machine(), engine) == []


def test_a_cache_by_an_unknown_key_is_not_loaded(
    engine: Path, notes: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _start(_machine(), engine)
    monkeypatch.setenv(trusted_keys.HOME_VARIABLE, str(tmp_path / "other-machine"))
    machine = _machine()
    assert _start(machine, engine) != []
    assert machine.module.loaded_caches == [] and len(notes()) == 1


def test_a_signature_of_something_else_is_none(engine: Path) -> None:
    """The key signs engines too: their statements have another purpose."""
    _start(_machine(), engine)
    magic, header, blob = _cache(engine).read_bytes().split(b"\n", 2)
    content = json.loads(header)
    statement = signing.statement(signing.Purpose.ENGINE, content["facts"])
    content["signature"] = signing.sign(statement).to_dict()
    _cache(engine).write_bytes(b"\n".join((magic, json.dumps(content).encode(), blob)))
    machine = _machine()
    assert _start(machine, engine) != [] and machine.module.loaded_caches == []


def test_a_cache_is_used_for_the_same_plan_and_machine_only(engine: Path, notes: Callable[[], list[str]]) -> None:
    key = CacheKey("0" * 64, RTX_VERSION, "Double", "580.65.06, CUDA 13000")
    RuntimeCacheFile(engine, key, _NOTED.append).write(b"kernels")
    assert RuntimeCacheFile(engine, key, _NOTED.append).read() == b"kernels" and notes() == []
    for number, field in enumerate(fields(CacheKey), 1):
        other = RuntimeCacheFile(engine, replace(key, **{field.name: "another"}), _NOTED.append)
        assert other.read() is None and len(notes()) == number
        assert "it is of another " in notes()[-1]


def test_a_new_driver_compiles_anew(engine: Path, notes: Callable[[], list[str]]) -> None:
    _start(_machine(), engine)
    machine = _machine()
    machine.driver.version += 10
    assert _start(machine, engine) != [] and machine.module.loaded_caches == []
    assert any("it is of another NVIDIA driver" in note for note in notes())


def test_a_cache_that_tensorrt_refuses(engine: Path, notes: Callable[[], list[str]]) -> None:
    _start(_machine(), engine)
    machine = _machine()
    machine.module.failures.add("cache")
    assert _start(machine, engine) != []
    assert any("TensorRT did not accept it" in note for note in notes())


def test_a_cache_that_tensorrt_does_not_give(engine: Path) -> None:
    machine = _machine()
    machine.module.failures.add("serialize")
    _start(machine, engine)
    assert not _cache(engine).exists()


def test_the_home_folder_where_the_engines_folder_cannot_be_written(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: Callable[[], list[str]]
) -> None:
    real = rtx_cache.write_bytes

    def refuse(path: Path, content: bytes, *, sync: bool, through_link: bool) -> None:
        from hyperseg_runtime.errors import OutputError

        if path.parent == engine.parent:
            raise OutputError(f"{path}: no permission to write in {path.parent}; choose another folder")
        real(path, content, sync=sync, through_link=through_link)

    monkeypatch.setattr(rtx_cache, "write_bytes", refuse)
    assert _start(_machine(), engine) != []
    (kept,) = (tmp_path / "home-cache" / "hyperseg").iterdir()
    assert kept.suffix == ".cache" and stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert _start(_machine(), engine) == [] and notes() == []


def test_nowhere_to_write(engine: Path, tmp_path: Path, notes: Callable[[], list[str]]) -> None:
    (tmp_path / "home-cache").write_text("a file, not a folder", encoding="utf-8")
    engine = tmp_path / "home-cache" / "m.engine"
    assert _start(_machine(), engine) != []
    assert any("was not written" in note for note in notes())


def test_a_file_of_somebody_elses_is_kept(engine: Path, notes: Callable[[], list[str]]) -> None:
    _cache(engine).write_bytes(b"holiday pictures")
    assert _start(_machine(), engine) != []
    assert _cache(engine).read_bytes() == b"holiday pictures"
    assert _start(_machine(), engine) == []  # there is a second place
    assert len(notes()) > 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_a_link_in_its_place_is_not_written_through(
    engine: Path,
    tmp_path: Path,
    exists: bool,
    late: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody named the file: whoever can write to the engines' folder could lead it to any name in the user's home."""
    elsewhere = tmp_path / "trusted_keys"
    if exists:
        elsewhere.write_bytes(b"")
    write = rtx_cache.write_bytes

    def exchanged(path: Path, content: bytes, **options: bool) -> None:
        if path == _cache(engine):
            path.symlink_to(elsewhere)
        write(path, content, **options)

    if late:
        monkeypatch.setattr(rtx_cache, "write_bytes", exchanged)
    else:
        _cache(engine).symlink_to(elsewhere)
    assert _start(_machine(), engine) != []
    assert (elsewhere.read_bytes() == b"") if exists else not elsewhere.exists()
    if late:
        assert not _cache(engine).is_symlink() and _cache(engine).stat().st_size > 0
    else:
        assert _start(_machine(), engine) == []  # kept in the home instead


def test_a_pipe_in_its_place_is_not_waited_for(engine: Path) -> None:
    os.mkfifo(_cache(engine))
    compiled: list[list[str]] = []
    thread = threading.Thread(target=lambda: compiled.append(_start(_machine(), engine)), daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert len(compiled) == 1 and compiled[0] != []


def test_a_cache_beyond_the_limit_is_neither_written_nor_read(
    engine: Path, monkeypatch: pytest.MonkeyPatch, notes: Callable[[], list[str]]
) -> None:
    _start(_machine(), engine)
    monkeypatch.setattr(rtx_cache, "LIMIT", 8)
    monkeypatch.setattr(rtx_cache, "_HEADER_LIMIT", 8)
    machine = _machine()
    assert _start(machine, engine) != []
    assert machine.module.loaded_caches == []
    assert sum("exceed the limit" in note for note in notes()) >= 1


def test_sessions_at_once(engine: Path, notes: Callable[[], list[str]]) -> None:
    compiled: list[list[str]] = []
    threads = [threading.Thread(target=lambda: compiled.append(_start(_machine(), engine))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert len(compiled) == len(threads) and notes() == []
    assert _start(_machine(), engine) == []
    assert [path.name for path in engine.parent.iterdir()] == ["m.engine.cache"]


def test_without_cryptography_there_is_no_cache(
    engine: Path, monkeypatch: pytest.MonkeyPatch, notes: Callable[[], list[str]]
) -> None:
    from hyperseg_runtime.errors import LibraryMissingError

    def missing(*_: object) -> object:
        raise LibraryMissingError("engines are signed, which needs cryptography; pip install cryptography")

    monkeypatch.setattr(signing, "sign", missing)
    _start(_machine(), engine)
    assert not _cache(engine).exists()
    assert any("pip install cryptography" in note for note in notes())


def test_a_trial_run_keeps_no_cache(engine: Path) -> None:
    machine = _machine()
    model = miniature()
    session = replace(machine, keeps_cache=False).open(model, machine.plan(model), path=engine)
    session.run(random_images(HEIGHT, WIDTH))
    session.close()
    assert list(engine.parent.iterdir()) == []
