"""The images that int8 export calibrates on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hyperseg_export.errors import ExportError
from hyperseg_export.quantisation import calibration_images


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    """macOS writes ._NAME beside each file on foreign file systems."""
    (tmp_path / "._a.jpg").write_bytes(b"\0\5\x16\7")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ExportError, match="has no images"):
        calibration_images(tmp_path)
    (tmp_path / "a.jpg").touch()
    assert calibration_images(tmp_path) == [tmp_path / "a.jpg"]
