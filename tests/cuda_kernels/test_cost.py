"""What the kernels move and multiply, counted while they run on the CPU, against what the operators make necessary."""

import pytest
from vectors import DPWConvCase, DPWInvertedResidualCase, MapLayout, Placement

from .cost import compulsory, executed, level_of, preset_cases, products_on_tensor_cores, without_glue
from .kernels import Kernels

_LARGE_LEVELS = [*preset_cases("float32", first_level=3), *preset_cases("float16", first_level=3)]


@pytest.mark.parametrize(
    "placement",
    [pytest.param(Placement(), id="planes"), pytest.param(Placement(MapLayout.PIXELS, behind=1), id="pixels")],
)
@pytest.mark.parametrize("glue", [True, False], ids=["glue", "plain"])
@pytest.mark.parametrize("case", _LARGE_LEVELS, ids=lambda case: case.name)
def test_kernels_do_little_more_than_necessary(
    case: DPWConvCase | DPWInvertedResidualCase, glue: bool, placement: Placement, kernels: Kernels
) -> None:
    if not glue:
        case = without_glue(case)
    necessary = compulsory(case)
    done = executed(case, kernels, placement)
    assert done.bytes <= 1.3 * necessary.bytes
    on_tensor_cores = products_on_tensor_cores(case) if done.tensor_multiply_adds else 0
    assert done.multiply_adds <= 1.15 * (necessary.multiply_adds - on_tensor_cores)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_channels_last_moves_no_more(dtype: str, kernels: Kernels) -> None:
    pixels = Placement(MapLayout.PIXELS)
    for case in preset_cases(dtype):
        assert executed(case, kernels, pixels) == executed(case, kernels), case.name


@pytest.mark.parametrize("case", preset_cases("float16"), ids=lambda case: case.name)
def test_halves_use_tensor_cores_where_they_pay(case: DPWConvCase | DPWInvertedResidualCase, kernels: Kernels) -> None:
    """On 1x1 products of patches beyond 4x4, where 16 pixels and more share a weight; padding stays below 3."""
    depthwise = isinstance(case, DPWConvCase) and case.kernel > 1
    done = executed(case, kernels).tensor_multiply_adds
    if depthwise or case.patch[0] <= 4:
        assert done == 0
    else:
        assert products_on_tensor_cores(case) <= done <= 3 * products_on_tensor_cores(case)


# Of the compulsory bytes, per level. What is beyond them is halo: a 4x4 patch upsamples 4x4 pixels of `previous` where
# its share is 2x2, and filters 6x6 pixels. Reading the weights twice would show as 1.8 and more on levels 0 and 1.
_SMALL_LEVELS = {0: 1.15, 1: 1.35, 2: 1.6}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("level", _SMALL_LEVELS)
def test_small_levels_read_their_weights_once(level: int, dtype: str, kernels: Kernels) -> None:
    for case in preset_cases(dtype):
        if level_of(case) == level:
            assert executed(case, kernels).bytes <= _SMALL_LEVELS[level] * compulsory(case).bytes, case.name


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_presets_fit_the_shared_memory_of_every_architecture(dtype: str, kernels: Kernels) -> None:
    """64 KiB is what a thread block may have on sm_75, and less than on all that came after it."""
    for case in preset_cases(dtype):
        for one in (case, without_glue(case)):
            kernels.run(one)
            assert 0 < kernels.last_launch().shared_bytes <= 64 << 10, one.name
