"""hyperseg-build-engine: builds a TensorRT engine and its sidecar from an ONNX file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click
from hyperseg_runtime.cli import common

_EXAMPLES = """
\b
Examples:
  hyperseg-build-engine --fp16                    # m.onnx -> m.fp16.engine + m.fp16.engine.json
  hyperseg-build-engine m.onnx -o edge.engine
  hyperseg-build-engine m.onnx --fp16 --keep-fp32 # ... and list the nodes in float32
  hyperseg-build-engine m.onnx --fp16 --keep-fp32 Resize Sigmoid
  hyperseg-build-engine m.onnx --flavour tensorrt-rtx --compute-capability 8.6 8.9
  hyperseg-build-engine dynamic.onnx --min 256x512 --opt 512x1024 --max 1024x2048
  hyperseg-build-engine m.onnx --fp16 --triton models/      # ... and models/m.fp16/ for Triton
  hyperseg-build-engine m.onnx --fp16 --deepstream apps/    # ... and apps/m.fp16/ for DeepStream
  hyperseg-build-engine --trust builder.pub       # accept the engines of another machine
"""

_CAPABILITY, _KEEP = "--compute-capability", "--keep-fp32"


class _Command(click.Command):
    """Takes several values after one --compute-capability, and none or several after --keep-fp32."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_spread(args)))


def _spread(args: list[str]) -> Iterable[str]:
    index = 0
    while index < len(args):
        option = args[index]
        index += 1
        if option not in (_CAPABILITY, _KEEP):
            yield option
            continue
        first = index
        while index < len(args) and _belongs(option, args[index]):
            yield f"{option}={args[index]}"
            index += 1
        if index == first:
            yield f"{option}=" if option == _KEEP else option


def _belongs(option: str, word: str) -> bool:
    if option == _CAPABILITY:
        return re.match(r"\d", word) is not None
    return not word.startswith("-") and not word.endswith(".onnx")


@click.command(cls=_Command, epilog=_EXAMPLES, help="Build a TensorRT engine from an ONNX file of hyperseg-export.")
@click.argument("model", type=common.ModelPath(), required=False)
@click.option(
    "--model",
    "named",
    multiple=True,
    callback=common.only_once,
    type=common.ModelPath(),
    metavar="FILE",
    help="The same as MODEL.",
)
@common.output_option("Engine file. Default: MODEL.engine, or MODEL.fp16.engine with --fp16, in the model's folder.")
@click.option("--fp16", "half", is_flag=True, help="Convert the graph to half precision.")
@click.option(
    _KEEP,
    "keep",
    multiple=True,
    metavar="[NAME...]",
    help="Operators or nodes to keep in float32, besides the sensitive ones; without a name, list all kept.",
)
@click.option(
    "--flavour", type=click.Choice(["tensorrt", "tensorrt-rtx"]), help="TensorRT flavour. Default: the installed one."
)
@click.option(
    _CAPABILITY,
    "capabilities",
    multiple=True,
    metavar="X.Y...",
    help="GPUs to build for, need not be present (TensorRT for RTX). Default: this GPU, else RTX 30, 40 and 50.",
)
@click.option(
    "--min", "least", metavar="HxW", help="Smallest input of a model exported with --dynamic. Default: --opt."
)
@click.option(
    "--opt",
    "best",
    metavar="HxW",
    help="Input size to optimise for. Default: the model's, as far as it is between the others.",
)
@click.option("--max", "most", metavar="HxW", help="Largest input. Default: --opt.")
@click.option("--batch", type=int, metavar="N", help="Largest batch of a model exported with --dynamic. Default: 1.")
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to reuse and store kernel timings (TensorRT).",
)
@click.option("--workspace", type=int, metavar="MIB", help="Limit of a layer's scratch memory.")
@click.option("--optimization-level", type=int, metavar="0..5", help="0: fast build, 5: fast engine.")
@click.option("--no-tf32", is_flag=True, help="Multiply float32 in full precision (slower on GPUs from Ampere on).")
@click.option(
    "--triton", type=common.FilePath(), metavar="DIR", help="Also add the engine to a model repository of Triton."
)
@click.option(
    "--deepstream",
    type=common.FilePath(),
    metavar="DIR",
    help="Also build a plan for DeepStream, with nvinfer's files.",
)
@click.option("--no-verify", is_flag=True, help="Do not compare the engine with ONNX Runtime on a GPU.")
@click.option("--verbose", is_flag=True, help="Print TensorRT's messages on stderr.")
@click.option(
    "--trust",
    metavar="KEY",
    help="Build nothing, but accept another machine's engines. KEY: its signing_key.pub, or the line in it.",
)
@common.host_code_option
@common.force_option
@common.json_option
@common.version_option
@common.debug_option
@click.pass_context
def build(
    context: click.Context,
    *,
    model: Path | None,
    named: Path | None,
    output: Path | None,
    half: bool,
    keep: tuple[str, ...],
    flavour: str | None,
    capabilities: tuple[str, ...],
    least: str | None,
    best: str | None,
    most: str | None,
    batch: int | None,
    timing_cache: Path | None,
    workspace: int | None,
    optimization_level: int | None,
    no_tf32: bool,
    triton: Path | None,
    deepstream: Path | None,
    no_verify: bool,
    verbose: bool,
    trust: str | None,
    allow_host_code: bool,
    force: bool,
    as_json: bool,
) -> int:
    if trust is not None:
        from hyperseg_export.cli.trust import trust_key

        _refuse_other_options(context)
        return trust_key(trust, as_json)
    if model is not None and named is not None:
        raise click.UsageError(f"{model} and --model {named} name two models; give one")
    # Imported here, so that --help and usage errors are fast.
    from hyperseg_runtime.backends.tensorrt_flavour import Flavour

    from hyperseg_export.engine import require_graph_tools

    require_graph_tools()

    from hyperseg_export.cli.build_engine_session import BuildEngineSession
    from hyperseg_export.engine.options import EngineOptions
    from hyperseg_export.errors import OptionError
    from hyperseg_export.hosts.selection import HostFolders
    from hyperseg_export.options import Resolution

    try:
        options = EngineOptions(
            half=half,
            keep_float32=tuple(name for name in keep if name),
            flavour=None if flavour is None else Flavour(flavour),
            compute_capabilities=tuple(dict.fromkeys(part for word in capabilities for part in word.split(","))),
            least=None if least is None else Resolution.parse(least),
            best=None if best is None else Resolution.parse(best),
            most=None if most is None else Resolution.parse(most),
            batch=batch,
            timing_cache=timing_cache,
            workspace=workspace,
            optimization_level=optimization_level,
            tf32=not no_tf32,
            verify=not no_verify,
            force=force,
            allow_host_code=allow_host_code,
        )
    except OptionError as error:
        raise click.UsageError(str(error)) from error
    session = BuildEngineSession(
        options, HostFolders(triton, deepstream), as_json=as_json, verbose=verbose, list_kept="" in keep
    )
    return session.run(model or named, output)


def _refuse_other_options(context: click.Context) -> None:
    """Raises click.UsageError for what --trust ignores."""
    default = click.core.ParameterSource.DEFAULT
    given = {name for name in context.params if context.get_parameter_source(name) is not default}
    if others := given - {"trust", "as_json"}:
        names = ", ".join(option.opts[0] for option in context.command.params if option.name in others)
        raise click.UsageError(f"--trust KEY builds nothing, so it takes no {names}; give two commands")


def main() -> None:
    common.execute(build, "hyperseg-build-engine")


if __name__ == "__main__":
    main()
