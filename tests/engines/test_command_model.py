"""The model that hyperseg-build-engine takes: the one that was meant, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hyperseg_export.cli.build_engine import build
from hyperseg_runtime.cli.common import execute


@pytest.mark.parametrize(
    ("files", "arguments", "code", "message"),
    [
        (["m.pt"], [], 1, "hyperseg-export --ckpt m.pt --onnx"),
        (["m.pt"], ["m.pt"], 1, "m.pt is a checkpoint"),
        (["m.engine"], [], 1, "has no ONNX file, only m.engine"),
        (["m.onnx"], [], 1, "m.onnx is not an ONNX file, or it is damaged"),
        ([], ["--model", "nope"], 1, "no file nope, and no model of that name ships with the package (camvid-lite)"),
        ([], ["--model", "a.onnx", "--model", "b.onnx"], 2, "--model is given 2 times (a.onnx, b.onnx); give one"),
        ([], ["a.onnx", "--model", "b.onnx"], 2, "a.onnx and --model b.onnx name two models"),
    ],
)
def test_the_command_never_takes_another_model(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    files: list[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in files:
        (tmp_path / name).write_bytes(b"PK\x03\x04" if name.endswith(".pt") else b"\xff")
    with pytest.raises(SystemExit) as ended:
        execute(build, "hyperseg-build-engine", arguments)
    written = capfd.readouterr().err
    assert len(written.splitlines()) == 1, written
    line = written.rstrip()
    assert (ended.value.code, message in line) == (code, True), line
    assert sorted(path.name for path in tmp_path.iterdir()) == files
