"""`torch.ops.hyperseg.*` on CUDA tensors: our kernels on the device, in networks and in CUDA graphs."""

from __future__ import annotations

import warnings

import pytest
from vectors import CASES, Case, assert_matches, by_operator, check_each, on_cuda

torch = pytest.importorskip("torch")

from torch_vectors import gradients, run, tensors  # noqa: E402

from hyperseg.operators import composite, cuda  # noqa: E402

# Calls that the kernels refuse would run as PyTorch functions, which tests nothing.
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("error:.*runs as PyTorch functions:RuntimeWarning")]

_OPERATORS = by_operator(CASES)


@pytest.fixture(autouse=True, scope="module")
def kernels() -> None:
    if not torch.cuda.is_available():
        pytest.skip(f"PyTorch {torch.__version__} finds no GPU")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if cuda.library() is None:
            pytest.skip("libhyperseg_cuda.so is not built")


@pytest.mark.parametrize("operator", _OPERATORS)
def test_operators_match_the_reference(operator: str) -> None:
    def check(case: Case) -> None:
        assert_matches(case, run(case, tensors(case, "cuda")).cpu().numpy(), on_cuda(case))

    check_each(_OPERATORS[operator], check)


def test_the_current_stream_and_graphs() -> None:
    """On a separate stream, and captured in a CUDA graph that is replayed with new inputs."""
    case = next(case for case in CASES if case.name == "DPWInvertedResidual-camvid-s-level4-float16")
    x, theta, *rest = tensors(case, "cuda")
    arguments = {key: value for key, value in case.attributes.items() if key != "kernel_shape"}
    block = torch.ops.hyperseg.dpw_inverted_residual
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        expected = block(x, theta, *rest, **arguments)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = block(x, theta, *rest, **arguments)
    graph.replay()
    assert torch.equal(captured, expected)
    x.mul_(0.5)
    graph.replay()
    assert torch.equal(captured, block(x, theta, *rest, **arguments))
    assert not torch.equal(captured, expected)


def test_autograd() -> None:
    case = next(case for case in CASES if case.name == "DPWInvertedResidual-residual-glue-float32")
    operators = (torch.ops.hyperseg.dpw_inverted_residual, composite.dpw_inverted_residual)
    for ours, theirs in zip(*(gradients(case, operator, "cuda") for operator in operators), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
