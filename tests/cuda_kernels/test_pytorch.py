"""`torch.ops.hyperseg.*` on the code path of CUDA tensors, with the CUDA kernels compiled for the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from vectors import CASES, Case, assert_matches, by_operator, check_each, on_cuda

torch = pytest.importorskip("torch")

from cuda_on_cpu.torch_operators import kernels_for_cpu_tensors  # noqa: E402
from explained import assert_explained  # noqa: E402
from hyperseg_export.samples import random_network  # noqa: E402
from torch_vectors import gradients, run, tensors  # noqa: E402

from hyperseg.cuda_library import FILE_NAME, CudaLibraryError, open_library  # noqa: E402
from hyperseg.operators import composite, cuda  # noqa: E402

_OPERATORS = by_operator(CASES)
PRESETS = ("camvid-s", "camvid-l", "cityscapes-m", "cityscapes-s", "voc-l")


@pytest.fixture(scope="session")
def library_folder(kernel_library: Path) -> Path:
    return kernel_library.parent


@pytest.fixture
def on_kernels(library_folder: Path) -> Iterator[None]:
    with kernels_for_cpu_tensors(library_folder), warnings.catch_warnings():
        warnings.simplefilter("error")  # no fallback goes unnoticed
        yield


@pytest.mark.usefixtures("on_kernels")
@pytest.mark.parametrize("operator", _OPERATORS)
def test_operators_match_the_reference(operator: str) -> None:
    check_each(_OPERATORS[operator], lambda case: assert_matches(case, run(case, tensors(case)).numpy(), on_cuda(case)))


_SHAPES = [case for case in CASES if any(f"-{name}-float" in case.name for name in ("glue", "residual-glue", "scale2"))]


def _elsewhere(value: Any) -> Any:
    """The same values at an odd address."""
    storage = torch.empty(value.numel() + 1, dtype=value.dtype)
    moved = storage[1:].view(value.shape)
    return moved.copy_(value)


@pytest.mark.usefixtures("on_kernels")
@pytest.mark.parametrize("case", _SHAPES, ids=lambda case: case.name)
def test_any_strides_and_addresses(case: Case) -> None:
    """Channels last is read without a copy; other unsupported layouts are copied."""
    inputs = tensors(case)
    expected = run(case, inputs)
    moved = [None if value is None else _elsewhere(value) for value in inputs]
    assert all(value is None or value.data_ptr() % 16 for value in moved)
    assert torch.equal(run(case, moved), expected)
    strided = [
        None if value is None else torch.stack([value, value], dim=-1).select(-1, 0) for value in inputs
    ]  # every other value
    assert torch.equal(run(case, strided), expected)
    # Another layout may take other instructions, but sums in the same order.
    last = [inputs[0].contiguous(memory_format=torch.channels_last), *inputs[1:]]
    assert_matches(case, run(case, last).numpy(), on_cuda(case))


def _case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@pytest.mark.usefixtures("on_kernels")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types_run_as_pytorch_functions(dtype: Any) -> None:
    case = _case("DPWInvertedResidual-glue-float32")
    inputs = [None if value is None else value.to(dtype) for value in tensors(case)]
    assert torch.equal(run(case, inputs), composite.dpw_inverted_residual(*inputs, offset=0, coordinates=1))


@pytest.mark.usefixtures("on_kernels")
def test_biases_of_another_type() -> None:
    """As under autocast, where maps and weights are half and parameters are not."""
    case = _case("DPWConv-glue-float16")
    x, theta, bias, previous = tensors(case)
    assert torch.equal(run(case, [x, theta, bias.float(), previous]), run(case, [x, theta, bias, previous]))


@pytest.mark.usefixtures("on_kernels")
def test_wrong_inputs_are_refused_as_by_pytorch_functions() -> None:
    x, theta, bias, previous = tensors(_case("DPWConv-glue-float32"))
    with pytest.raises(ValueError, match="dtypes differ"):
        torch.ops.hyperseg.dpw_conv(x, theta.half(), bias, previous, coordinates=1)
    with pytest.raises(ValueError, match="X of 7x7 has no half size for previous"):
        torch.ops.hyperseg.dpw_conv(torch.ones(1, 2, 7, 7), torch.ones(1, 1, 1, 1, 8), previous=torch.ones(1, 2, 3, 3))
    with pytest.raises(ValueError, match="does not divide into a grid"):
        torch.ops.hyperseg.dpw_conv(x[:, :, 1:], theta, bias)
    with pytest.raises(ValueError, match=r"several devices: cpu, meta; move them to one"):
        cuda.dpw_conv(x, theta.to("meta"), bias, previous, coordinates=1)
    with pytest.raises(ValueError, match=r"several devices: cpu, meta; move them to one"):
        cuda.dpw_conv(x, theta, bias.to("meta"), previous, coordinates=1)


@pytest.mark.parametrize("on_our_kernels", [False, True])
def test_shapes_that_no_operator_takes(on_our_kernels: bool, library_folder: Path) -> None:
    """The same messages on every device."""
    ones = torch.ones
    conv, block = torch.ops.hyperseg.dpw_conv, torch.ops.hyperseg.dpw_inverted_residual
    x, theta = ones(1, 2, 4, 4), ones(1, 1, 2, 2, 40)
    with kernels_for_cpu_tensors(library_folder) if on_our_kernels else nullcontext():
        for kernel in ([-1, -1], [0, 0], [2, 2], [1, 3]):
            with pytest.raises(ValueError, match="is not an odd square"):
                conv(x, theta, kernel_shape=kernel)
        with pytest.raises(ValueError, match="previous has 3 dimensions"):
            conv(x, theta, previous=ones(1, 2, 2))
        with pytest.raises(ValueError, match="there are no input channels"):
            conv(x[:, :0], theta)
        with pytest.raises(ValueError, match="empty grid of 0x2 patches"):
            conv(x, theta[:, :, :0])
        with pytest.raises(ValueError, match="at least one channel"):
            conv(x, theta, ones(0))
        with pytest.raises(ValueError, match="at least one channel each"):
            block(x, theta, ones(0), ones(0), ones(2))


@pytest.mark.usefixtures("on_kernels")
def test_empty_batches() -> None:
    x, theta, bias, previous = tensors(_case("DPWConv-glue-float32"))
    y = torch.ops.hyperseg.dpw_conv(x[:0], theta[:0], bias, previous[:0], coordinates=1)
    assert y.shape == (0, len(bias), *x.shape[2:])


@pytest.mark.usefixtures("on_kernels")
def test_gradients_are_those_of_pytorch_functions() -> None:
    case = _case("DPWInvertedResidual-residual-glue-float32")
    operators = (torch.ops.hyperseg.dpw_inverted_residual, composite.dpw_inverted_residual)
    for ours, theirs in zip(*(gradients(case, operator) for operator in operators), strict=True):
        # The output's gradient, 2 y, carries the kernels' rounding; the way back is the same code.
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_channels_beyond_the_shared_memory(library_folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 600, 8, 8, generator=generator)
    theta = torch.randn(1, 1, 1, 1, 8 * (600 + 9 + 4), generator=generator) / 25
    biases = [torch.zeros(8), torch.zeros(8), torch.zeros(4)]
    expected = torch.ops.hyperseg.dpw_inverted_residual(x, theta, *biases)
    cuda._warn_of_refusal.cache_clear()
    with kernels_for_cpu_tensors(library_folder), pytest.warns(RuntimeWarning, match="bytes of shared memory"):
        found = torch.ops.hyperseg.dpw_inverted_residual(x, theta, *biases)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("kernel", [65])
def test_what_the_kernels_refuse_runs_as_pytorch_functions(kernel: int, library_folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 66, 66, generator=generator)
    theta = torch.randn(1, 1, 1, 1, kernel**2, generator=generator) / kernel
    expected = torch.ops.hyperseg.dpw_conv(x, theta, kernel_shape=[kernel, kernel])
    cuda._warn_of_refusal.cache_clear()
    with kernels_for_cpu_tensors(library_folder), pytest.warns(RuntimeWarning, match="runs as PyTorch functions"):
        found = torch.ops.hyperseg.dpw_conv(x, theta, kernel_shape=[kernel, kernel])
    assert torch.equal(found, expected)


def test_a_missing_library_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperseg.cuda_library.find_spec", lambda _: None)
    case = _case("DPWConv-glue-float32")
    expected = run(case, tensors(case))
    with kernels_for_cpu_tensors(tmp_path), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert torch.equal(run(case, tensors(case)), expected)
    assert [str(warning.message) for warning in caught] == [
        f"libhyperseg_cuda.so was not found in {tmp_path}; build it (pip install . with nvcc on PATH), or set "
        "HYPERSEG_LIBRARY_DIR to its folder. Until then dynamic convolutions on CUDA run as PyTorch functions, which "
        "is slower."
    ]


def test_a_library_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no library")
    monkeypatch.setenv("HYPERSEG_LIBRARY_DIR", str(tmp_path))
    with pytest.raises(CudaLibraryError, match=r"does not load: .*; build it again"):
        open_library()


@pytest.mark.parametrize("preset", PRESETS)
def test_networks(preset: str, library_folder: Path) -> None:
    """Every level of every preset, as the network calls it: logits of the kernels and of PyTorch's functions."""
    model = random_network(preset)  # freshly drawn weights would let the values fade out into denormal numbers
    unit = model.config.unit
    images = torch.rand(1, 3, 2 * unit, 2 * unit, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model(images)
        with kernels_for_cpu_tensors(library_folder), warnings.catch_warnings():
            warnings.simplefilter("error")
            found = model(images)
    assert not torch.equal(found, expected), "the kernels did not run: their sums have another order"
    assert_explained("CUDA kernels in networks", found, expected, model, lambda network: network(images))
