"""Consistency of the repository: versions agree, links resolve, imports point in the allowed directions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<(?:img|source)[^>]+src(?:set)?=\"([^\"]+)\"")


def markdown_files(root: Path) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [root / name for name in listed.stdout.splitlines()]


def test_links_between_files_resolve(root: Path) -> None:
    broken = []
    for file in markdown_files(root):
        for groups in LINK.findall(file.read_text()):
            target = (groups[0] or groups[1]).split("#")[0]
            if target and "://" not in target and not (file.parent / target).exists():
                broken.append(f"{file.relative_to(root)} -> {target}")
    assert broken == []


def test_versions_agree(root: Path) -> None:
    version = re.search(r'^version = "(.+)"', (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert f"version: {version[1]}" in (root / "CITATION.cff").read_text()
    assert f"VERSION {version[1]} " in (root / "CMakeLists.txt").read_text()


def test_the_oldest_python_is_the_one_that_is_checked(root: Path) -> None:
    """mypy and ruff check for the oldest Python that pip installs for: JetPack 6 has it."""
    metadata = (root / "pyproject.toml").read_text()
    found = re.search(r'^requires-python = ">=3\.(\d+)"', metadata, re.MULTILINE)
    assert found is not None
    assert f'\npython_version = "3.{found[1]}"\n' in metadata
    assert f'\ntarget-version = "py3{found[1]}"\n' in metadata
    assert f"(3, {found[1]}) <= sys.version_info" in (root / "scripts/common.sh").read_text()


def test_pinned_versions_lie_in_the_ranges_of_the_package(root: Path) -> None:
    from packaging.requirements import Requirement

    metadata = (root / "pyproject.toml").read_text()
    base = re.search(r"^dependencies = \[(.*?)^\]", metadata, re.MULTILINE | re.DOTALL)
    assert base is not None
    ranges = {r.name: r.specifier for r in map(Requirement, re.findall(r'"(.+?)"', base[1]))}
    for name in ("pinned.txt", "lowest.txt"):
        lines = (root / "requirements" / name).read_text().splitlines()
        pins = {r.name: r for r in (Requirement(line) for line in lines if line and not line.startswith("#"))}
        for package, specifier in ranges.items():
            (pin,) = pins[package].specifier
            assert specifier.contains(pin.version), f"{name}: {package}=={pin.version} is outside {specifier}"


def test_import_directions(root: Path) -> None:
    """hyperseg_export -> hyperseg, hyperseg_runtime and hyperseg_street, which do not import each other."""
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed (requirements/pinned.txt)")
    done = subprocess.run([linter, "--no-cache"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
