"""hyperseg-export: exports a checkpoint to ONNX and verifies the file."""

from __future__ import annotations

import os
from pathlib import Path

import click
from hyperseg_runtime.cli import common

_EXAMPLES = """
\b
Examples:
  hyperseg-export --ckpt m.pt --onnx              # writes m.onnx, and compares it with PyTorch
  hyperseg-export                                 # the one checkpoint of this folder
  hyperseg-export --ckpt m.pth --onnx small.onnx --resolution 384x512
  hyperseg-export --ckpt m.pth --onnx --fp16 -o m16.onnx
  hyperseg-export --ckpt m.pth --onnx --dynamic --output-type both
  hyperseg-export --ckpt m.pth --target cuda      # for ONNX Runtime on a GPU
  hyperseg-export --ckpt m.pth --target tensorrt  # for trtexec, DeepStream and Triton with our plugins
  hyperseg-export --ckpt m.pth --onnx --portable  # for runtimes without our operators
  hyperseg-export --ckpt m.pth --onnx --int8 --calibrate images/
  hyperseg-export --ckpt run.ckpt --state student # one of several networks in a file
"""

_SAME_PLACE = "-"


@click.command(epilog=_EXAMPLES, help="Export a checkpoint to ONNX, and compare the file with PyTorch.")
@click.option(
    "--ckpt",
    "checkpoint",
    type=click.Path(path_type=Path),
    help="Checkpoint, published or our own (.pt, .pth, .ckpt, .safetensors). Default: the one in the working folder.",
)
@click.option("--preset", metavar="NAME", help="Instead of a checkpoint: a preset with random weights, for benchmarks.")
@click.option(
    "--onnx",
    is_flag=False,
    flag_value=_SAME_PLACE,
    metavar="[FILE]",
    help="Write ONNX to FILE. Without FILE, and without --onnx, which is the only format: the checkpoint's name with "
    ".onnx, in its folder.",
)
@common.output_option("The same as --onnx FILE.")
@click.option("--state", metavar="NAME", help="State dict to export, of a checkpoint with several, e.g. ema, student.")
@click.option("--resolution", metavar="HxW", help="Height and width of the input. Default: the network's own.")
@click.option("--batch", type=int, default=1, show_default=True, metavar="N", help="Images per run.")
@click.option("--dynamic", is_flag=True, help="Export with dynamic batch, height and width.")
@click.option(
    "--input-type",
    type=click.Choice(["uint8", "float"]),
    default="uint8",
    show_default=True,
    help="uint8: RGB images [N, H, W, 3], normalised in the graph. float: normalised [N, 3, H, W].",
)
@click.option(
    "--output-type",
    type=click.Choice(["labels", "logits", "both"]),
    default="labels",
    show_default=True,
    help="labels: uint8 [N, H, W]. logits: float32 [N, C, H, W].",
)
@click.option(
    "--fp16",
    "half",
    is_flag=True,
    help="Weights and arithmetic in half precision; inputs and outputs keep their types.",
)
@click.option("--int8", "quantised", is_flag=True, help="Quantise the encoder; needs --calibrate.")
@click.option("--calibrate", type=click.Path(path_type=Path), metavar="DIR", help="Calibration images for --int8.")
@click.option(
    "--target",
    multiple=True,
    callback=common.only_once,
    type=click.Choice(["cpu", "cuda", "tensorrt", "portable"]),
    help="What the file is for. cpu (default): ONNX Runtime on the CPU, with operators that only the CPU has. cuda: "
    "ONNX Runtime's CUDA provider. tensorrt: TensorRT's parser with libhyperseg_trt.so, as in trtexec, DeepStream or "
    "Triton. portable: any runtime, with standard operators only; slower. hyperseg-build-engine takes each of them.",
)
@click.option("--portable", is_flag=True, help="The same as --target portable.")
@click.option(
    "--opset", type=int, default=18, show_default=True, metavar="N", help="Version of the standard operators."
)
@click.option("--no-verify", is_flag=True, help="Do not compare the file with PyTorch.")
@common.force_option
@common.json_option
@common.version_option
@common.debug_option
def export(
    *,
    checkpoint: Path | None,
    preset: str | None,
    onnx: str | None,
    output: Path | None,
    state: str | None,
    resolution: str | None,
    batch: int,
    dynamic: bool,
    input_type: str,
    output_type: str,
    half: bool,
    quantised: bool,
    calibrate: Path | None,
    target: str | None,
    portable: bool,
    opset: int,
    no_verify: bool,
    force: bool,
    as_json: bool,
) -> None:
    # Imported here, so that --help and usage errors are fast.
    from hyperseg_runtime.metadata import InputType, OutputKind, Precision, Target

    from hyperseg_export.cli.export_session import ExportSession
    from hyperseg_export.errors import OptionError
    from hyperseg_export.options import ExportOptions, Resolution

    if checkpoint is not None and preset is not None:
        raise click.UsageError("--ckpt and --preset cannot be combined")
    if state is not None and preset is not None:
        raise click.UsageError("--state and --preset cannot be combined; a preset has random weights")
    if half and quantised:
        raise click.UsageError("--fp16 and --int8 cannot be combined")
    if portable and target not in (None, "portable"):
        raise click.UsageError(f"--portable is --target portable, which --target {target} contradicts; give one")
    named = None if onnx in (None, _SAME_PLACE) else Path(str(onnx))
    if named is not None and output is not None:
        raise click.UsageError(f"--onnx {named} and --output {output} name two files; give one")
    try:
        options = ExportOptions(
            resolution=None if resolution is None else Resolution.parse(resolution),
            batch=batch,
            dynamic=dynamic,
            input_type=InputType.UINT8 if input_type == "uint8" else InputType.FLOAT,
            output=OutputKind(output_type),
            precision=Precision.FLOAT16 if half else Precision.INT8 if quantised else Precision.FLOAT32,
            target=Target.PORTABLE if portable else Target(target or "cpu"),
            opset=opset,
            verify=not no_verify,
            force=force,
            calibration=calibrate,
        )
        ExportSession(options, as_json=as_json, state=state).run(checkpoint, preset, named or output)
    except OptionError as error:
        raise click.UsageError(str(error)) from error


def main() -> None:
    # PyTorch's idle threads spin, which slows an export on a busy machine by a factor of two. The variable is read when
    # PyTorch is loaded, so it is set before.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    common.execute(export, "hyperseg-export")


if __name__ == "__main__":
    main()
