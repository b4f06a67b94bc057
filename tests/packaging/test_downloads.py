"""What CMake downloads has a known SHA-256; a release of the user's choice needs its hashes too."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path

import pytest
from cmake_projects import ROOT, run_script, unwrapped

LISTS = ROOT / "cmake" / "tensorrt_headers"
_HASH = re.compile(r"[0-9a-f]{64}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A release with one header."""
    (tmp_path / "release-1.0").mkdir()
    (tmp_path / "release-1.0" / "header.h").write_text("#pragma once\n", encoding="utf-8")
    path = tmp_path / "release.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(tmp_path / "release-1.0", "release-1.0")
    return path


def _download(folder: Path, url: str, sha256: str) -> tuple[int, str]:
    done = run_script(
        folder,
        f'set(CMAKE_BINARY_DIR "{folder}/build")',
        "include(HypersegDownload)",
        f'hyperseg_download(part "{url}" "{sha256}" source)',
        'message("source: ${source}")',
    )
    return done.returncode, unwrapped(done.stderr)


def test_an_archive_with_its_hash(archive: Path, tmp_path: Path) -> None:
    for _ in range(2):  # the second time from the build folder
        code, said = _download(tmp_path, archive.as_uri(), _sha256(archive))
        assert code == 0 and said.endswith("unpacked/release-1.0")
        archive.write_bytes(archive.read_bytes())
    assert (Path(said.split(": ")[1]) / "header.h").is_file()


@pytest.mark.parametrize(
    ("sha256", "message"),
    [
        ("", "no SHA-256 is known for file:"),
        ("abc", "it has 3 digits instead of 64"),
        (64 * "0", "expected " + 64 * "0"),
    ],
)
def test_an_archive_with_none_or_another_hash_is_refused(
    sha256: str, message: str, archive: Path, tmp_path: Path
) -> None:
    code, said = _download(tmp_path, archive.as_uri(), sha256)
    assert code != 0 and message in said
    assert not [path for path in tmp_path.glob("build/**/*") if path.is_file()]


def test_what_cannot_be_fetched_is_no_error(tmp_path: Path) -> None:
    assert _download(tmp_path, (tmp_path / "nowhere.tar.gz").as_uri(), 64 * "0") == (0, "source:")


_MODULES = [path for path in sorted((ROOT / "cmake").glob("*.cmake")) if path.name != "HypersegDownload.cmake"]


@pytest.mark.parametrize("module", _MODULES, ids=lambda path: path.stem)
def test_every_download_of_a_module_has_a_hash(module: Path) -> None:
    """Also those that are not reached where the tests run."""
    text = module.read_text(encoding="utf-8")
    calls = re.findall(r'hyperseg_download\(\w+\s+"([^"]*)"\s+(\S+) \w+\)', text)
    assert len(calls) == text.count("hyperseg_download(")
    assert "file(DOWNLOAD" not in text
    for url, sha256 in calls:
        variable = re.fullmatch(r"\$\{(\w+)\}", sha256)
        value = re.findall(rf"set\({variable[1]} (\S+)\)", text)[0] if variable else sha256
        assert _HASH.fullmatch(value), url


@pytest.mark.parametrize("path", sorted(LISTS.glob("*.sha256")), ids=lambda path: path.stem)
def test_the_lists_of_tensorrts_headers(path: Path) -> None:
    entries = [line.split("  ") for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(_HASH.fullmatch(sha256) and re.fullmatch(r"NvInfer\w*\.h", name) for sha256, name in entries)
    assert {"NvInferRuntime.h", "NvInferRuntimeBase.h", "NvInferVersion.h"} <= {name for _, name in entries}
    fetched = ROOT / "build" / "headers" / f"tensorrt-{path.stem}" / "include"
    for sha256, name in entries:
        assert not fetched.exists() or _sha256(fetched / name) == sha256, name


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A copy of a release's include folder, with its list."""
    folder = tmp_path / "include"
    folder.mkdir()
    for name in ("NvInferRuntime.h", "NvInferVersion.h"):
        (folder / name).write_text(f"// {name}\n", encoding="utf-8")
    lines = [f"{_sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (tmp_path / "list").write_text("".join(lines), encoding="utf-8")
    return folder


def _headers(folder: Path, release: str, sha256: Path | str, url: str = "") -> tuple[int, str]:
    done = run_script(
        folder,
        "include(HypersegTensorRTHeaders)",
        f'hyperseg_tensorrt_headers({release} "{sha256}" "{url}" "{folder}/fetched" found)',
        'message("found: ${found}")',
    )
    return done.returncode, unwrapped(done.stderr)


def test_a_release_of_ones_own_with_its_hashes(release: Path, tmp_path: Path) -> None:
    assert _headers(tmp_path, "99.9", tmp_path / "list", release.as_uri()) == (0, f"found: {tmp_path}/fetched")
    assert (tmp_path / "fetched" / "NvInferRuntime.h").read_text(encoding="utf-8") == "// NvInferRuntime.h\n"


def test_a_release_without_hashes_is_refused(tmp_path: Path) -> None:
    code, said = _headers(tmp_path, "99.9", "")
    assert code != 0 and "HYPERSEG_TENSORRT_TAG=99.9: no SHA-256 is known for the headers of this release" in said
    for path in LISTS.glob("*.sha256"):
        assert path.stem in said
    code, said = _headers(tmp_path, "99.9", tmp_path / "nowhere")
    assert code != 0 and f"HYPERSEG_TENSORRT_SHA256={tmp_path}/nowhere does not exist" in said


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "lists no files"),
        ("NvInferRuntime.h\n", "'NvInferRuntime.h' is no line of sha256sum"),
        (f"{64 * '0'}  ../NvInferRuntime.h\n", "is no line of sha256sum"),
        (f"{64 * '0'}  NvInferRuntime.h\n", "nothing of it is used"),
    ],
)
def test_a_list_that_is_none_or_does_not_fit(lines: str, message: str, release: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(lines, encoding="utf-8")
    code, said = _headers(tmp_path, "99.9", tmp_path / "list", release.as_uri())
    assert code != 0 and message in said
    assert not (tmp_path / "fetched" / "NvInferRuntime.h").exists()


def test_headers_that_cannot_be_fetched_are_no_error(release: Path, tmp_path: Path) -> None:
    (release / "NvInferVersion.h").unlink()
    assert _headers(tmp_path, "99.9", tmp_path / "list", release.as_uri()) == (0, "found:")
