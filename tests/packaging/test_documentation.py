"""Every command line and Python example of the documentation runs, or states why it is not run.

A fenced block in bash or python is run unchanged, in a folder with a checkpoint `m.pt` and a clip `video.mp4`;
the blocks of one document share the folder, in their order. A block that cannot run here is preceded by

    <!-- not run: the reason -->

and is reported as a skipped test with that reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hyperseg_runtime.backends import cuda

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n+)?^```(?P<language>bash|python)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SECONDS = 600  # for one block, on a busy machine


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: Path
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def name(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks() -> list[Block]:
    found = []
    for document in DOCUMENTS:
        text = document.read_text()
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("code")) + 1
            reason = match["reason"]
            found.append(Block(document, line, match["language"], match["code"], reason))
    return found


def code_here(block: Block) -> str:
    """The block, without the engine that it would run where there is no GPU: as the README says, that line is omitted
    there."""
    if block.language != "bash" or "hyperseg-run" not in block.code or cuda.find_gpus().gpus:
        return block.code
    return "".join(line for line in block.code.splitlines(True) if not line.startswith("hyperseg-build-engine"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> dict[Path, Path]:
    """A working folder per document."""
    pytest.importorskip("torch", reason="the documentation's checkpoint is made with PyTorch")
    from hyperseg_export.samples import random_network

    import hyperseg

    source = tmp_path_factory.mktemp("source")
    hyperseg.save(random_network("camvid-lite"), source / "m.pt")
    clip = ["hyperseg-street", str(source / "video.mp4"), "--seconds", "0.5"]
    subprocess.run(clip, env=environment, check=True, capture_output=True, timeout=SECONDS)

    made = {}
    for document in DOCUMENTS:
        folder = made[document] = tmp_path_factory.mktemp(document.stem)
        for file in ("m.pt", "video.mp4"):
            (folder / file).hardlink_to(source / file)
        for name in ("benchmarks", "examples", "scripts", "tests"):
            (folder / name).symlink_to(ROOT / name)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.name)
def test_block_runs_as_it_stands(block: Block, folders: dict[Path, Path], environment: dict[str, str]) -> None:
    if block.reason is not None:
        pytest.skip(block.reason)
    command = ["bash", "-euo", "pipefail", "-c", code_here(block)]
    if block.language == "python":
        command = [sys.executable, "-c", block.code]
    done = subprocess.run(
        command,
        cwd=folders[block.document],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"


def test_commands_in_the_documentation_stand_in_blocks_that_are_run(commands: dict[str, str]) -> None:
    """A fence without a language, or with another one, would slip past the test above."""
    pattern = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    hidden = [
        f"{document.relative_to(ROOT)}: {line}"
        for document in DOCUMENTS
        for language, code in pattern.findall(document.read_text())
        if language not in ("bash", "python")
        for line in code.splitlines()
        if line.lstrip("$ ").split(" ")[0] in commands
    ]
    assert hidden == []


def test_every_example_is_run_by_the_documentation() -> None:
    run = "".join(block.code for block in blocks() if block.reason is None)
    examples = [path.name for path in (ROOT / "examples").glob("*.py")]
    assert examples
    assert [name for name in examples if f"examples/{name}" not in run] == []
