"""The name under which TensorRT for RTX looks for itself.

With a plugin in the graph its parser opens `libtensorrt_rtx.so`, but the wheel has `libtensorrt_rtx.so.1` only, and the
process then dies with SIGABRT. A folder with a symbolic link, on the worker's LD_LIBRARY_PATH, gives it the name.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_PACKAGE = "tensorrt_rtx_libs"
_NAMES = ("libtensorrt_rtx.so", "libtensorrt_onnxparser_rtx.so")


def make_alias(folder: Path) -> list[Path]:
    """Links the wheel's libraries under their plain names in `folder`. Empty where no wheel is installed: a system-wide
    installation has the plain names already."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return []
    home = Path(next(iter(spec.submodule_search_locations)))
    for name in _NAMES:
        versioned = sorted(home.glob(f"{name}.*"))
        if versioned and not (home / name).exists():
            (folder / name).symlink_to(versioned[-1])
    return [folder, home]
