"""Helpers that run `hyperseg-train` as a subprocess."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry), "OMP_NUM_THREADS": "1"}


def command(recipe: Path, data: Path, out: Path, *options: str) -> list[str]:
    place = ["--data", str(data), "--out", str(out), "--device", "cpu", "--threads", "1", "--json"]
    return ["-m", "hyperseg.cli.train", str(recipe), *place, *options]


def train(arguments: Sequence[str], launcher: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *launcher, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=300,
    )


def records(stdout: str) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]


def losses(stdout: str) -> list[float]:
    return [record["loss"] for record in records(stdout) if "loss" in record]
