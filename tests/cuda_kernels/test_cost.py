"""Bytes and multiply-adds of the kernels, counted while they run on the CPU, against the compulsory ones."""

import pytest
from cuda_on_cpu.kernels import Kernels
from kernel_cost.cost import (
    GRIDS,
    cast_costs,
    compulsory,
    end_cost,
    executed,
    execution,
    frame_costs,
    level_costs,
    level_of,
    mapper_costs,
    preset_cases,
    preset_of,
    products_on_tensor_cores,
    theta_bytes,
    without_glue,
)
from kernel_cost.gpus import GPUS, Multiprocessors, Occupancy, latency_floor, occupancy, waiting, waves
from kernel_cost.resources import committed
from vectors import (
    DPWConvCase,
    DPWInvertedResidualCase,
    MapLayout,
    Placement,
    UpsampleArgmaxCase,
    by_vector,
    labelled,
)

import hyperseg

_LARGE_LEVELS = by_vector([*preset_cases("float32", first_level=3), *preset_cases("float16", first_level=3)])
_LAYOUTS = {"NCHW": Placement(), "NHWC": Placement(MapLayout.NHWC, behind=1)}


@pytest.mark.parametrize("level", _LARGE_LEVELS)
def test_kernels_do_little_more_than_necessary(level: str, kernels: Kernels) -> None:
    for whole in _LARGE_LEVELS[level]:
        for glue, case in {"glue": whole, "no glue": without_glue(whole)}.items():
            necessary = compulsory(case)
            for layout, placement in _LAYOUTS.items():
                with labelled(f"{case.dtype}, {glue}, {layout}"):
                    done = executed(case, kernels, placement)
                    assert done.bytes <= 1.3 * necessary.bytes
                    on_tensor_cores = products_on_tensor_cores(case) if done.tensor_multiply_adds else 0
                    assert done.multiply_adds <= 1.15 * (necessary.multiply_adds - on_tensor_cores)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_channels_last_moves_no_more(dtype: str, kernels: Kernels) -> None:
    pixels = Placement(MapLayout.NHWC)
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
    """A thread block may have 64 KiB on sm_75, and more on all later architectures."""
    for case in preset_cases(dtype):
        for one in (case, without_glue(case)):
            kernels.run(one)
            assert 0 < kernels.last_launch().shared_bytes <= 64 << 10, one.name


_COMPILED: dict[int, Multiprocessors] = {
    gpu.multiprocessors.architecture: gpu.multiprocessors for gpu in GPUS if gpu.multiprocessors
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("preset", GRIDS)
def test_mappers_write_the_theta_that_the_levels_read(preset: str, dtype: str) -> None:
    config = hyperseg.preset(preset)
    assert GRIDS[preset] == tuple(extent // 32 for extent in config.resolution)
    patches = GRIDS[preset][0] * GRIDS[preset][1]
    sizes = {}
    for case in preset_cases(dtype):
        if preset_of(case) == preset:
            theta = case.inputs()["theta"]
            assert theta is not None
            sizes[config.levels[level_of(case)].mapper] = theta.nbytes // (case.grid[0] * case.grid[1]) * patches
    assert theta_bytes(preset, dtype) == tuple(sizes[index] for index in range(config.mapper_count))
    for part, size in zip(mapper_costs(preset, dtype), theta_bytes(preset, dtype), strict=True):
        assert size < part.necessary.bytes < 1.5 * size, "theta is most of what a mapper moves"


def test_an_end_of_few_tiles_stands_for_a_whole_one(kernels: Kernels) -> None:
    scaled = end_cost("camvid-s", "float16", kernels)
    whole = execution(UpsampleArgmaxCase("whole", 12, 288, 384, 2, dtype="float16"), kernels, 1)
    assert scaled.execution == whole
    assert scaled.necessary.bytes < scaled.done.bytes < 1.3 * scaled.necessary.bytes
    assert scaled.necessary.multiply_adds == scaled.done.multiply_adds


def test_casts_move_whole_images() -> None:
    image, labels = cast_costs("camvid-s", "float16")
    assert image.done.bytes == 576 * 768 * (3 + 3 * 2)
    assert labels.done.bytes == 576 * 768 * (4 + 1)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("preset", GRIDS)
def test_every_kernel_of_a_frame_is_in_the_table_of_resources(preset: str, dtype: str, kernels: Kernels) -> None:
    parts = frame_costs(preset, dtype, kernels)
    ours = [part.execution for part in parts if part.execution]
    assert len(ours) == len(level_costs(preset, dtype, kernels)) + 1
    for done in ours:
        for gpu in _COMPILED.values():
            assert (done.kernel, gpu.compiled_for) in committed(), done.kernel
            found = waiting(gpu, done)
            assert 0 < found.occupancy.share <= 1 and found.microseconds > 0, done.kernel


def test_clocks_and_multiprocessors_make_the_datasheet_rates() -> None:
    for gpu in GPUS:
        if found := gpu.multiprocessors:
            lanes = 128  # of a multiprocessor; each makes a multiply-add a cycle
            assert found.count * lanes * 2 * found.gigahertz / 1e3 == pytest.approx(gpu.float_tflops, rel=0.01)


# Worked out by hand from NVIDIA's rules; the limit comes first.
_OCCUPANCIES = {
    # 12 warps of 40 * 32 = 1280 registers in each of 4 partitions of 16384: all 48 warps, 4 a block.
    "threads": (86, 40, 128, 0, Occupancy(12, 1.0)),
    # 4 warps of 128 * 32 = 4096 in each partition: 16 warps, 8 a block.
    "registers": (89, 128, 256, 0, Occupancy(2, 16 / 48)),
    # 136 * 32 = 4352: 3 warps in each partition, 12 in all (15 would fit one file of 65536), 3 a block.
    "partitions": (90, 136, 96, 0, Occupancy(4, 12 / 64)),
    # 33 * 32 = 1056 is rounded up to 1280: 12 warps in each partition (15 without), 1 a block.
    "register unit": (90, 33, 64, 0, Occupancy(24, 48 / 64)),
    # 47 KiB and 1 KiB reserved: 4 of 48 KiB in 228 KiB.
    "shared memory": (90, 32, 128, 47 << 10, Occupancy(4, 16 / 64)),
    # 49 KiB and 1 KiB reserved: 2 in 100 KiB; a byte more is rounded up to 128 bytes more.
    "shared memory that just fits": (86, 32, 128, 49 << 10, Occupancy(2, 8 / 48)),
    "shared memory that just does not": (86, 32, 128, (49 << 10) + 1, Occupancy(1, 4 / 48)),
    "blocks of sm_86": (86, 16, 32, 0, Occupancy(16, 16 / 48)),
    "blocks of sm_89": (89, 16, 32, 0, Occupancy(24, 24 / 48)),
}


@pytest.mark.parametrize("limit", _OCCUPANCIES)
def test_occupancy_follows_the_rules(limit: str) -> None:
    architecture, registers, threads, shared_bytes, expected = _OCCUPANCIES[limit]
    assert occupancy(_COMPILED[architecture], registers, threads, shared_bytes) == expected


def test_a_block_that_no_multiprocessor_holds_has_no_waves() -> None:
    gpu = _COMPILED[86]
    with pytest.raises(ValueError, match="more than a multiprocessor has"):
        waves(gpu, 1, occupancy(gpu, 32, 128, 100 << 10))


def test_latency_grows_with_waves() -> None:
    h100, resident = _COMPILED[90], Occupancy(2, 0.5)
    assert waves(h100, 396, resident) == 1.5
    one_wave = latency_floor(h100, 264, resident, load_phases=2, barriers=1)
    assert one_wave == pytest.approx((2 * 263 + 30) / 1980)
    assert latency_floor(h100, 1, resident, load_phases=2, barriers=1) == one_wave
    assert latency_floor(h100, 265, resident, load_phases=2, barriers=1) == 2 * one_wave
    assert latency_floor(h100, 264, resident, load_phases=3, barriers=1) > one_wave
    assert latency_floor(h100, 264, resident, load_phases=2, barriers=2) > one_wave
