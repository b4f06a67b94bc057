"""--stabilise [SECONDS], of hyperseg-run and hyperseg-evaluate: an option that may stand without its value."""

from __future__ import annotations

import math

import click

_BY_DEFAULT = "default"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def with_default(arguments: list[str]) -> list[str]:
    """The arguments of a command, with a value for a --stabilise that has none: click would take the word after it."""
    options = arguments[: arguments.index("--")] if "--" in arguments else list(arguments)
    for place, (option, following) in enumerate(zip(options, [*options, ""][1:], strict=True)):
        if option == "--stabilise" and not _is_number(following):
            options[place] = f"--stabilise={_BY_DEFAULT}"
    return options + arguments[len(options) :]


def _valid(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    del context, parameter
    if text in (None, _BY_DEFAULT) or (_is_number(text) and 0 < float(text) < math.inf):
        return text
    raise click.BadParameter(f"{text} is not a time constant; give seconds, more than 0, or --stabilise alone")


def check_fit(text: str | None, fit: str) -> None:
    """Raises click.UsageError where the options exclude each other."""
    if text is not None and fit == "tile":
        raise click.UsageError(
            "--stabilise and --fit tile exclude each other: tiles have no logits of the whole frame to average; use "
            "--fit stretch or letterbox"
        )


def seconds_of(text: str | None) -> float | None:
    """The time constant that the option's value means; None where the option is not given."""
    from hyperseg_runtime.stabiliser import DEFAULT_SECONDS  # imported late, since it loads OpenCV

    if text is None:
        return None
    return DEFAULT_SECONDS if text == _BY_DEFAULT else float(text)


stabilise_option = click.option(
    "--stabilise",
    metavar="[SECONDS]",
    callback=_valid,
    help="Videos: average over time, along the motion, so that labels flicker less. SECONDS: the time constant, 0.5 if "
    "omitted; frames three times as far apart are not averaged.",
)
