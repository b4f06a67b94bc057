"""Shared parts of the command lines: common options, one-line errors, exit codes."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from hyperseg_runtime import extras
from hyperseg_runtime.backends.protocol import AUTO, BACKEND_CHOICES
from hyperseg_runtime.errors import HyperSegError
from hyperseg_runtime.interrupt import ending_signals
from hyperseg_runtime.names import shown

if TYPE_CHECKING:
    from hyperseg_runtime.discovery import FoundModel

Value = TypeVar("Value")
Function = TypeVar("Function", bound=Callable[..., object])

FAILURE, USAGE, INTERRUPTED = 1, 2, 130


def only_once(context: click.Context, parameter: click.Parameter, values: tuple[Value, ...]) -> Value | None:
    """The single value of an option that is declared as `multiple`, so that none replaces another unsaid."""
    if len(values) > 1:
        names = ", ".join(map(str, values))
        raise click.UsageError(f"{parameter.opts[0]} is given {len(values)} times ({names}); give one", context)
    return values[0] if values else None


class ModelPath(click.Path):
    """A model's path. "./m" stays a file, which `Path` shortens to "m", the name of a shipped model."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        shortened = isinstance(value, str) and os.sep in value and path.name == str(path) and not path.suffix
        return Path.cwd() / path if shortened else path


model_option = click.option(
    "--model",
    multiple=True,
    callback=only_once,
    type=ModelPath(),
    metavar="FILE",
    help="ONNX file, engine, or the name of a shipped model (camvid-lite). Default: the model in the working folder; "
    "the shipped one if there is none of any kind.",
)
models_option = click.option(
    "--model",
    "named_models",
    multiple=True,
    type=ModelPath(),
    metavar="FILE",
    help="The same as MODEL; repeatable.",
)
backend_option = click.option(
    "--backend",
    type=click.Choice(BACKEND_CHOICES),
    default=AUTO,
    show_default=True,
    help="Backend that runs the model. auto: TensorRT for engines; for ONNX files CUDA if it is available and the file "
    "was not exported for the CPU (hyperseg-export --target), else the CPU.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), help="CPU threads of one inference. Default: one per physical core."
)
host_code_option = click.option(
    "--allow-host-code",
    is_flag=True,
    help="Accept an engine that carries executables of the host. Only if you know why it does.",
)
fit_option = click.option(
    "--fit",
    type=click.Choice(["stretch", "letterbox", "tile"]),
    default="stretch",
    show_default=True,
    help="How a frame fits the network's input. stretch: resized to it. letterbox: resized with its aspect ratio. "
    "tile: not resized, but covered with overlapping windows of the input's size, for big images.",
)
force_option = click.option("--force", is_flag=True, help="Replace an existing output.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
_DEBUG = "hyperseg.debug"


def _remember_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    del parameter
    context.meta[_DEBUG] = value


def _show_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    del parameter
    if value and not context.resilient_parsing:
        from hyperseg_runtime import machine

        click.echo(f"{context.find_root().info_name} {machine.own_version()}")
        context.exit()


version_option = click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Show the version."
)
debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_remember_debug,
    help="Show the traceback of an error.",
)


class FilePath(click.Path):
    """A path that is not empty, which would be the working folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name is empty", param, ctx)
        return super().convert(value, param, ctx)


def output_option(text: str) -> Callable[[Function], Function]:
    """-o/--output with the command's own help text."""
    return click.option("-o", "--output", type=click.Path(path_type=Path), help=text)


def execute(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits the process with its code: 0 on success, 1 on failure, 2 on wrong usage, 130 on Ctrl-C.

    Errors are one line on stderr; --debug shows their traceback.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # it reports damaged images in lines of its own
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be in any encoding
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_exit_code(command, name, given))


def _exit_code(command: click.Command, name: str, arguments: list[str]) -> int:
    code = 0
    try:
        result = command.main(args=arguments, prog_name=name, standalone_mode=False)
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except click.UsageError as error:
        complain(name, f"{error.format_message()} (see {name} --help)")
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        complain(name, "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe; without this, Python would report it again when it flushes at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except Exception as error:
        if _was_interrupted(error):
            complain(name, "interrupted")
            return INTERRUPTED
        if "--debug" in arguments:
            traceback.print_exc()
        elif isinstance(error, (HyperSegError, click.ClickException)):
            complain(name, str(error))
        elif isinstance(error, FileNotFoundError) and _working_folder_is_gone():
            complain(name, "the working folder does not exist any more; change to another folder")
        elif isinstance(error, MemoryError):
            complain(name, "there is not enough memory; use smaller images, or a smaller --resolution")
        elif isinstance(error, ImportError):
            complain(name, extras.explain(error))
        else:
            complain(name, f"{type(error).__name__}: {error}; this is a bug; --debug shows the traceback")
        return FAILURE
    return code


def _working_folder_is_gone() -> bool:
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether the cause is Ctrl-C, which compiled modules turn into an ImportError while they are imported."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def interrupt_on_signals() -> None:
    """Makes SIGTERM and SIGHUP raise KeyboardInterrupt as Ctrl-C does, so that no draft of an output stays behind.

    Ctrl-C is set too: a shell's background job inherits an ignored SIGINT. SIGHUP stays ignored under nohup.
    """
    for number in ending_signals():
        signal.signal(number, signal.default_int_handler)


def announce(name: str, found: FoundModel, quiet: bool, label: str = "model   ") -> None:
    """Says which model a command takes and why, on stdout unless `quiet`.

    A warning goes to stderr; so does a shipped model that replaces a missing one, where stdout is quiet.
    """
    warning = found.warning
    if warning is not None:
        click.echo(f"{name}: warning: {warning}", err=True)
    line = f"{label} {found.path} ({found.reason})"
    if not quiet:
        say(line)
    elif found.fallback:
        click.echo(f"{name}: {line}", err=True)


def complain(name: str, text: str) -> None:
    """Prints an error as one line on stderr."""
    click.echo(f"{name}: error: {shown(text.strip())}", err=True)


def note(name: str, text: str) -> None:
    """Prints what the user should know although nothing failed, as one line on stderr."""
    click.echo(f"{name}: note: {shown(text.strip())}", err=True)


def report(name: str, error: Exception) -> None:
    """Prints an error that does not end the command: one line, and with --debug its traceback before it."""
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(_DEBUG):
        traceback.print_exception(error)
    complain(name, str(error))


def say(text: str) -> None:
    """Prints a line on stdout."""
    click.echo(text)


def parse_resolution(text: str) -> tuple[int, int]:
    """Height and width from "HxW". Raises click.UsageError."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and 0 < int(part) <= 1 << 16 for part in parts):
        raise click.UsageError(f"resolution {text!r} is not HEIGHTxWIDTH, as in 576x768")
    return int(parts[0]), int(parts[1])
