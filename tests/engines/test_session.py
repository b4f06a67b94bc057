"""The TensorRT session, on test doubles of tensorrt and pycuda that compute with ONNX Runtime."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hyperseg_runtime.errors import InputError, MetadataError, ModelError
from hyperseg_runtime.metadata import InputType, OutputKind

from .doubles.tensorrt import TensorFormat, make_plan
from .graphs import HEIGHT, WIDTH, metadata, miniature
from .sessions import PROFILE, Machine, labels_of, needs_operators, random_images

LIMIT = 60.0
"""Seconds for a thread to end."""

pytestmark = needs_operators


@pytest.mark.parametrize("version", ["10.0.1.6", "10.16.1.11", "11.4.0.2"])
@pytest.mark.parametrize("input_type", list(InputType))
def test_labels_are_those_of_onnxruntime(version: str, input_type: InputType) -> None:
    machine = Machine(version)
    model = miniature(input_type=input_type)
    session = machine.open(model, machine.plan(model))
    for seed in range(3):
        images = random_images(HEIGHT, WIDTH, seed=seed)
        if input_type is InputType.FLOAT:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2) / 127.5 - 1, np.float32)
        outputs = session.run(images)
        assert outputs.labels is not None and outputs.labels.dtype == np.uint8 and outputs.logits is None
        np.testing.assert_array_equal(outputs.labels, labels_of(model, images))
    session.close()
    machine.assert_all_released()


def test_shapes_may_change_within_the_profile_and_nothing_is_allocated() -> None:
    machine = Machine()
    model = miniature(dynamic=True)
    session = machine.open(model, machine.plan(model, PROFILE))
    allocations = machine.device.allocations
    for batch, height, width in ((1, 64, 96), (2, 96, 128), (1, 32, 64), (2, 64, 64)):
        images = random_images(height, width, batch)
        labels = session.run(images).labels
        np.testing.assert_array_equal(labels, labels_of(model, images))
    assert machine.device.allocations == allocations
    session.close()


def test_a_resolution_outside_the_profile_is_refused_and_the_session_goes_on() -> None:
    machine = Machine()
    model = miniature(dynamic=True)
    session = machine.open(model, machine.plan(model, PROFILE))
    with pytest.raises(InputError, match=r"from \[1, 32, 64, 3\] to \[2, 96, 128, 3\], not \[1, 128, 128, 3\]"):
        session.run(random_images(128, 128))
    images = random_images(HEIGHT, WIDTH)
    np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    session.close()


def test_results_belong_to_the_caller() -> None:
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    first, second = random_images(HEIGHT, WIDTH, seed=1), random_images(HEIGHT, WIDTH, seed=2)
    kept = session.run(first).labels
    session.run(second)
    np.testing.assert_array_equal(kept, labels_of(model, first))
    session.close()


@pytest.mark.parametrize("records_graphs", [True, False])
def test_fixed_shapes_are_recorded_where_the_driver_can(records_graphs: bool) -> None:
    machine = Machine(records_graphs=records_graphs)
    model = miniature()
    session = machine.open(model, machine.plan(model))
    assert ("CUDA graph" in session.description) is records_graphs
    images = random_images(HEIGHT, WIDTH)
    np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    session.close()
    machine.assert_all_released()


def test_device_time_is_between_upload_and_download() -> None:
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    timed = session.run_timed(random_images(HEIGHT, WIDTH))
    assert timed.device_seconds == pytest.approx(1e-3)  # the double's clock ticks once an event
    session.close()


@pytest.mark.parametrize("graph", [True, False], ids=["as a graph", "by TensorRT"])
def test_several_threads_and_other_users_of_the_gpu(graph: bool) -> None:
    machine = Machine(records_graphs=graph)
    model = miniature()
    session = machine.open(model, machine.plan(model))
    right: list[int] = []

    def work(seed: int) -> None:
        images = random_images(HEIGHT, WIDTH, seed=seed)
        expected = labels_of(model, images)
        for _ in range(5):
            np.testing.assert_array_equal(session.run(images).labels, expected)
            assert machine.device.stack == []
        right.append(seed)  # not where the double found two threads in one context

    threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert sorted(right) == [0, 1, 2, 3]
    session.close()
    machine.assert_all_released()


def test_a_failed_run_says_why_and_releases_everything() -> None:
    machine = Machine(records_graphs=False)
    model = miniature()
    session = machine.open(model, machine.plan(model))
    machine.module.failures.add("execute")
    with pytest.raises(ModelError, match=r"TensorRT did not execute it.*illegal memory access"):
        session.run(random_images(HEIGHT, WIDTH))
    machine.assert_all_released()
    with pytest.raises(ModelError, match="closed"):
        session.run(random_images(HEIGHT, WIDTH))


def test_an_error_of_cuda_says_why_and_releases_everything() -> None:
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    machine.device.fail_next = "cuMemcpyHtoDAsync failed: an illegal memory access was encountered"
    with pytest.raises(ModelError, match=r"the GPU failed \(cuMemcpyHtoDAsync failed: an illegal"):
        session.run(random_images(HEIGHT, WIDTH))
    machine.assert_all_released()


def test_closing_twice_is_allowed_and_use_afterwards_is_not() -> None:
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    session.close()
    session.close()
    machine.assert_all_released()
    with pytest.raises(ModelError, match="the session is closed; open the engine again"):
        session.run(random_images(HEIGHT, WIDTH))


def test_wrong_images_are_refused_before_the_gpu_hears_of_them() -> None:
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    for images in (
        random_images(32, 32),
        random_images(HEIGHT, WIDTH, batch=2),
        random_images(HEIGHT, WIDTH).astype(np.float32),
    ):
        with pytest.raises(InputError):
            session.run(images)
    session.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda plan: b"X" + plan[1:], "created no engine.*Magic tag does not match"),
        (lambda plan: plan[:-5] + bytes([plan[-5] ^ 1]) + plan[-4:], "created no engine.*corrupted"),
        (lambda plan: plan.replace(b"10.16.1.11", b"10.16.1.12"), "not compatible with this version"),
    ],
)
def test_a_plan_that_tensorrt_does_not_take(damage: object, message: str) -> None:
    machine = Machine()
    model = miniature()
    with pytest.raises(ModelError, match=message):
        machine.open(model, damage(machine.plan(model)))  # type: ignore[operator]
    machine.assert_all_released()


def test_a_plugin_library_that_does_not_load() -> None:
    machine = Machine(loads_plugins=False)
    model = miniature()
    with pytest.raises(ModelError, match=r"did not load the plugin library libhyperseg_trt\.so; pip"):
        machine.open(model, machine.plan(model))
    machine.assert_all_released()


def test_no_execution_context() -> None:
    machine = Machine()
    machine.module.failures.add("context")
    model = miniature()
    with pytest.raises(ModelError, match=r"created no execution context.*out of memory"):
        machine.open(model, machine.plan(model))
    machine.assert_all_released()


def test_an_engine_that_is_not_what_its_sidecar_says() -> None:
    machine = Machine()
    model = miniature()
    with pytest.raises(MetadataError, match="declare"):
        machine.open(model, machine.plan(model), replace(metadata(), output=OutputKind.LOGITS))
    machine.assert_all_released()


def test_an_engine_whose_tensors_are_not_contiguous_is_refused() -> None:
    machine = Machine()
    model = miniature()
    plan = make_plan(machine.version, model.SerializeToString(), formats={"labels": TensorFormat.HWC8})
    with pytest.raises(ModelError, match=r"labels has the format .*, not contiguous memory; build the engine again"):
        machine.open(model, plan)
    machine.assert_all_released()


def test_layers_come_from_the_inspector() -> None:
    machine = Machine()
    model = miniature()
    session = machine.open(model, machine.plan(model))
    assert "PluginV3" in session.layers()
    session.close()
