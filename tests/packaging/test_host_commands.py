"""The documentation's commands for programs of NVIDIA's that are not here: trtexec and tritonserver."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "foreign-hosts.md"
OPTIONS = Path(__file__).with_name("trtexec_options.txt")


def known(release: str) -> set[str]:
    """The options that trtexec's help names."""
    sections = re.split(r"^\[(.+)\]$", OPTIONS.read_text(), flags=re.MULTILINE)
    return set(dict(zip(sections[1::2], sections[2::2], strict=True))[release].split())


def commands(program: str) -> list[list[str]]:
    """The arguments of each command of the page."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{program} ")]


def names(arguments: list[str]) -> set[str]:
    return {argument.partition("=")[0] for argument in arguments}


@pytest.mark.parametrize("arguments", commands("trtexec"), ids=" ".join)
def test_trtexec_has_the_options(arguments: list[str]) -> None:
    assert names(arguments) <= known("10.0.0")
    assert names(arguments) <= known("11.1.0")


@pytest.mark.parametrize("arguments", commands("trtexec"), ids=" ".join)
def test_trtexec_loads_the_plugins_and_never_stores_them(arguments: list[str]) -> None:
    """--staticPlugins is dlopen (trtexec.cpp: loadLibrary), --dynamicPlugins is IPluginRegistry::loadLibrary
    (sampleEngines.cpp), TensorRT 10.0 to 11.1."""
    assert "--dynamicPlugins=$plugins" in arguments
    assert not names(arguments) & {"--setPluginsToSerialize", "--staticPlugins", "--fp16", "--best"}


def test_both_ways_of_typing_are_there() -> None:
    """TensorRT 10 types weakly without --stronglyTyped; in 11 the option is deprecated and does nothing."""
    building = [names(arguments) for arguments in commands("trtexec") if "--onnx" in names(arguments)]
    assert {"--stronglyTyped" in options for options in building} == {True, False}
    assert all("--saveEngine" in options for options in building)


def test_shapes_are_of_our_input() -> None:
    """uint8 [N, H, W, 3], height and width multiples of 64: every network's are."""
    (dynamic,) = [arguments for arguments in commands("trtexec") if "--minShapes" in names(arguments)]
    shapes = dict(argument.split("=") for argument in dynamic if "Shapes=" in argument)
    extents = {}
    for option, text in shapes.items():
        tensor, _, sizes = text.partition(":")
        extents[option] = [int(size) for size in sizes.split("x")]
        assert tensor == "image" and len(extents[option]) == 4 and extents[option][3] == 3
        assert extents[option][1] % 64 == 0 and extents[option][2] % 64 == 0
    ordered = zip(extents["--minShapes"], extents["--optShapes"], extents["--maxShapes"], strict=True)
    assert all(least <= best <= most for least, best, most in ordered)


def test_triton_opens_the_library_that_registers() -> None:
    """tensorrt_backend, release 2.73: --backend-config=tensorrt,plugins="/path/plugin1.so;/path2/plugin2.so"."""
    (arguments,) = commands("tritonserver")
    assert arguments[1] == "--backend-config=tensorrt,plugins=$folder/libhyperseg_trt_register.so"
