"""What the commands of this package share: errors as one line, and a traceback only when asked for."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import click


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the errors that users can mend into one line on stderr and exit code 1; `--debug` shows where they arose."""

    @functools.wraps(command)
    def wrapped(*args: Any, debug: bool, **options: Any) -> None:
        try:
            command(*args, **options)
        except click.ClickException:
            raise
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            sys.exit(130)
        except (ValueError, RuntimeError, OSError, ImportError) as error:
            if debug:
                raise
            name = click.get_current_context().info_name
            click.echo(f"{name}: error: {' '.join(str(error).split()) or type(error).__name__}", err=True)
            sys.exit(1)

    return click.option("--debug", is_flag=True, help="Show the traceback of an error.")(wrapped)
