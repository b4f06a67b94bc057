"""Starts the check, or one of its stages, with the modules of this checkout only.

python3 launch.py ARGUMENT...                     the check
python3 launch.py --stage NAME CONTEXT_FILE FD    a stage, which writes its messages to the file descriptor
"""
# Old releases of Python 3 must be able to parse this file, to report that they are too old.

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("tools", "benchmarks", "", "export", "runtime", "street")


def interrupt(*_: object) -> None:
    """Handles an external time limit or a lost terminal as Ctrl-C; further signals do not interrupt the cleanup."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt


def prepare() -> None:
    """Puts this checkout's modules first, before those of an editable installation or the working folder."""
    os.environ.pop("PYTHONOPTIMIZE", None)
    if not __debug__:  # the tests judge with assertions
        os.execv(sys.executable, [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:]])
    sys.path[0:1] = [str(ROOT / folder) for folder in FOLDERS]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not editable(finder)]


def editable(finder: object) -> bool:
    name = getattr(finder, "__name__", type(finder).__name__)
    return "Editable" in name or "Redirect" in name


def main() -> None:
    if sys.version_info < (3, 10):  # noqa: UP036
        found = "{}.{}".format(*sys.version_info)
        sys.exit(
            f"gpu_check: Python 3.10 or newer is needed, this is {found}; name one: PYTHON=... scripts/gpu_check.sh"
        )
    prepare()
    if sys.argv[1:2] == ["--stage"]:
        from gpu_check.stage_process import run_stage

        sys.exit(run_stage(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    from gpu_check.command import main as check

    sys.exit(check())


if __name__ == "__main__":
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, interrupt)
        main()
    except KeyboardInterrupt:
        sys.stderr.write("gpu_check: interrupted\n")
        sys.exit(130)
