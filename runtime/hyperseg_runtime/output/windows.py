"""Whether OpenCV can show a window here."""

from __future__ import annotations

import os
import sys


def missing_for_windows() -> tuple[str, ...]:
    """What is missing to show a window: one line each, with its remedy. Raises ImportError without OpenCV."""
    import cv2

    missing = []
    if any(line.split() == ["GUI:", "NONE"] for line in cv2.getBuildInformation().splitlines()):
        missing.append(
            "opencv-python-headless has no windows: pip uninstall opencv-python-headless, pip install opencv-python"
        )
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        missing.append("no display (neither DISPLAY nor WAYLAND_DISPLAY is set): use a desktop, or ssh -X")
    return tuple(missing)
