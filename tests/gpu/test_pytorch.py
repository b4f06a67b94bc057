"""`torch.ops.hyperseg.*` on CUDA tensors: our kernels on the device, in networks and in CUDA graphs."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from vectors import CASES, Case, assert_matches, on_cuda

torch = pytest.importorskip("torch")

from hyperseg.operators import composite, cuda  # noqa: E402

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True, scope="module")
def kernels() -> None:
    if not torch.cuda.is_available():
        pytest.skip(f"PyTorch {torch.__version__} finds no GPU")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if cuda.library() is None:
            pytest.skip("libhyperseg_cuda.so is not built")


def _run(case: Case) -> Any:
    inputs = [None if value is None else torch.from_numpy(value).cuda() for value in case.inputs().values()]
    if case.operator == "UpsampleArgmax":
        return torch.ops.hyperseg.upsample_argmax(*inputs, case.attributes["scale"])
    name = {"DPWConv": "dpw_conv", "DPWInvertedResidual": "dpw_inverted_residual"}[case.operator]
    return getattr(torch.ops.hyperseg, name)(*inputs, **case.attributes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operators_match_the_reference(case: Case) -> None:
    assert_matches(case, _run(case).cpu().numpy(), on_cuda(case))


def test_the_current_stream_and_graphs() -> None:
    """On a stream of one's own and captured in a CUDA graph, whose replay sees new inputs."""
    case = next(case for case in CASES if case.name == "DPWInvertedResidual-camvid-s-level4-float16")
    x, theta, *rest = (None if value is None else torch.from_numpy(value).cuda() for value in case.inputs().values())
    arguments = {key: value for key, value in case.attributes.items() if key != "kernel_shape"}
    run = torch.ops.hyperseg.dpw_inverted_residual
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        expected = run(x, theta, *rest, **arguments)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run(x, theta, *rest, **arguments)
    graph.replay()
    assert torch.equal(captured, expected)
    x.mul_(0.5)
    graph.replay()
    assert torch.equal(captured, run(x, theta, *rest, **arguments))
    assert not torch.equal(captured, expected)


def test_autograd() -> None:
    case = next(case for case in CASES if case.name == "DPWInvertedResidual-residual-glue-float32")
    gradients = []
    for run in (torch.ops.hyperseg.dpw_inverted_residual, composite.dpw_inverted_residual):
        inputs = [
            torch.from_numpy(value).cuda().requires_grad_() for value in case.inputs().values() if value is not None
        ]
        run(*inputs, offset=0, coordinates=1).square().sum().backward()
        gradients.append([value.grad for value in inputs])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
