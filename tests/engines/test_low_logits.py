"""Engines with their low-resolution logits as an output: labels of frames' sizes, on test doubles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.engine.verify_engine import compare, trial_shapes
from hyperseg_export.errors import EngineError
from hyperseg_export.passes.low_logits import give_low_logits
from hyperseg_runtime.backends.device_memory import DeviceMemory
from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import InputError, MetadataError, ModelError
from hyperseg_runtime.graph_end import LOW_LOGITS
from hyperseg_runtime.metadata import KEY, Metadata, Precision
from hyperseg_runtime.upsampling import Placement, Window, labels_at

from .doubles.kernels import FakeKernels
from .graphs import CLASSES, HEIGHT, WIDTH, edited, halved, miniature, save
from .sessions import PROFILE, RTX_VERSION, VERSION, Machine, labels_of, needs_operators, random_images

pytestmark = needs_operators

FRAMES = (
    Placement((108, 192)),
    Placement((37, 41)),
    Placement((64, 96)),
    Placement((50, 40), Window(4.5, 3, 20, 31.5)),
)


def with_low_logits(model: onnx.ModelProto) -> onnx.ModelProto:
    return edited(model, give_low_logits)


def with_kernels(machine: Machine, refusal: str | None = None) -> Machine:
    machine.kernels = FakeKernels(machine.device, refusal)
    return machine


def low_logits_of(model: onnx.ModelProto, images: Images) -> Any:
    """ONNX Runtime's."""
    import onnxruntime as ort
    from hyperseg_runtime import libraries

    options = ort.SessionOptions()
    options.register_custom_ops_library(str(libraries.require(libraries.Library.ONNXRUNTIME)))
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run([LOW_LOGITS], {"image": images})[0]


@pytest.mark.parametrize("flavour", list(Flavour))
@pytest.mark.parametrize("records_graphs", [True, False])
@pytest.mark.parametrize("half", [False, True])
def test_labels_of_frames_are_those_of_the_logits(flavour: Flavour, records_graphs: bool, half: bool) -> None:
    version = VERSION if flavour is Flavour.TENSORRT else RTX_VERSION
    machine = with_kernels(Machine(version, flavour, records_graphs=records_graphs, keeps_cache=False))
    model = with_low_logits(halved(miniature())[0] if half else miniature())
    session = machine.open(model, machine.plan(model))
    assert session.gives_low_logits
    for seed, placement in enumerate(FRAMES):
        images = random_images(HEIGHT, WIDTH, seed=seed)
        expected = low_logits_of(model, images)
        low = session.run_low(images)
        assert low.dtype == (np.float16 if half else np.float32)
        np.testing.assert_array_equal(low, expected)
        (labels,) = session.run_labels(images, [placement])
        np.testing.assert_array_equal(labels, labels_at(expected[0], placement))
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    assert machine.kernels.sizes == [placement.size for placement in FRAMES]
    session.close()
    machine.assert_all_released()


def test_only_what_is_asked_for_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = with_kernels(Machine())
    model = with_low_logits(miniature())
    session = machine.open(model, machine.plan(model))
    downloaded: list[int] = []
    download = DeviceMemory.download

    def record(memory: DeviceMemory, cuda: Any, host: Any, stream: Any) -> None:
        downloaded.append(host.nbytes)
        download(memory, cuda, host, stream)

    monkeypatch.setattr(DeviceMemory, "download", record)
    images = random_images(HEIGHT, WIDTH)
    session.run(images)
    session.run_timed(images)
    session.run_labels(images, [Placement((100, 150))])
    session.run_low(images)
    pixels = HEIGHT * WIDTH
    low = CLASSES * pixels // 4 * 4  # a half of each side, in float32
    assert downloaded == [pixels, pixels, -(-15_000 // 256) * 256, low]
    session.close()


def test_images_of_a_batch_have_sizes_of_their_own() -> None:
    machine = with_kernels(Machine())
    model = with_low_logits(miniature(dynamic=True))
    session = machine.open(model, machine.plan(model, PROFILE))
    for height, width in ((96, 128), (32, 64)):
        images = random_images(height, width, batch=2)
        placements = [Placement((45, 80)), Placement((200, 311), Window(1, 2, 8.25, 9))]
        expected = low_logits_of(model, images)
        found = session.run_labels(images, placements)
        for labels, logits, placement in zip(found, expected, placements, strict=True):
            np.testing.assert_array_equal(labels, labels_at(logits, placement))
    session.close()
    machine.assert_all_released()


def test_memory_grows_to_the_largest_frame_and_is_freed() -> None:
    machine = with_kernels(Machine())
    model = with_low_logits(miniature())
    session = machine.open(model, machine.plan(model))
    images, device = random_images(HEIGHT, WIDTH), machine.device
    opened = len(device.memory), len(device.pinned), device.allocations
    counts = []
    for size in ((100, 100), (100, 100), (30, 50), (200, 300), (100, 100)):
        session.run_labels(images, [Placement(size)])
        counts.append(device.allocations)
    two = 2  # on the device and on the host
    assert [count - opened[2] for count in counts] == [two, two, two, 2 * two, 2 * two]
    assert (len(device.memory), len(device.pinned)) == (opened[0] + 1, opened[1] + 1)
    session.close()
    machine.assert_all_released()


def test_a_frame_without_room_is_refused_and_the_session_goes_on() -> None:
    machine = with_kernels(Machine())
    model = with_low_logits(miniature())
    session = machine.open(model, machine.plan(model))
    images = random_images(HEIGHT, WIDTH)
    session.run_labels(images, [Placement((10, 10))])
    allocate = machine.device.allocate

    def full(size: int) -> int:
        machine.device.fail_next = "cuMemAlloc failed: out of memory"
        return allocate(size)

    machine.device.allocate = full  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"no memory for 1 MB of labels \(cuMemAlloc failed: out of memory\); segment"):
        session.run_labels(images, [Placement((1000, 1000))])
    machine.device.allocate = allocate  # type: ignore[method-assign]
    np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    assert session.run_labels(images, [Placement((20, 20))])[0].shape == (20, 20)
    session.close()
    machine.assert_all_released()


@pytest.mark.parametrize("refused", [False, True], ids=["no kernels", "kernels for other GPUs"])
def test_without_kernels_the_cpu_computes_them(refused: bool) -> None:
    notes: list[str] = []
    machine = Machine(note=notes.append)
    if refused:
        with_kernels(machine, "there is no code for this device")
    model = with_low_logits(miniature())
    session = machine.open(model, machine.plan(model))
    for seed in range(2):
        images = random_images(HEIGHT, WIDTH, seed=seed)
        expected = labels_at(low_logits_of(model, images)[0], FRAMES[0])
        np.testing.assert_array_equal(session.run_labels(images, FRAMES[:1])[0], expected)
    said = "m.engine: labels of frames are computed on the CPU, from logits that are downloaded: there is no code for"
    assert [note.startswith(said) for note in notes] == [True] * refused
    session.close()
    machine.assert_all_released()


@pytest.mark.parametrize(
    ("placements", "message"),
    [
        ([], "1 images have 0 placements; give one for each"),
        ([Placement((4, 4))] * 2, "1 images have 2 placements"),
        ([Placement((0, 4))], "a result of 0 x 4 pixels is empty"),
        ([Placement((1, 1 << 22))], "4194304 columns from logits with 48 are not computed; give 1 to 4194303"),
        ([Placement((4, 4), Window(0, 90, 8, 8))], "the window's columns, 90 to 98, are none of the logits' 48"),
    ],
)
@pytest.mark.parametrize("kernels", [True, False])
def test_impossible_placements_are_refused(placements: list[Placement], message: str, kernels: bool) -> None:
    machine = with_kernels(Machine()) if kernels else Machine()
    model = with_low_logits(miniature())
    session = machine.open(model, machine.plan(model))
    images = random_images(HEIGHT, WIDTH)
    with pytest.raises(InputError, match=message):
        session.run_labels(images, placements)
    np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    session.close()
    machine.assert_all_released()


def test_an_engine_without_them_says_so() -> None:
    machine = with_kernels(Machine())
    model = miniature()
    session = machine.open(model, machine.plan(model))
    assert not session.gives_low_logits
    images = random_images(HEIGHT, WIDTH)
    for ask in (lambda: session.run_low(images), lambda: session.run_labels(images, FRAMES[:1])):
        with pytest.raises(ModelError, match=r"m\.engine: the engine gives labels alone; build it again"):
            ask()
    np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    session.close()


def test_a_failed_kernel_closes_the_session() -> None:
    """Its error shows when the stream is synchronised (labels.h)."""
    machine = with_kernels(Machine())
    model = with_low_logits(miniature())
    session = machine.open(model, machine.plan(model))

    class Faulty(FakeKernels):
        def launch(self, request: Any, stream: int) -> None:
            del request
            machine.device.streams[stream].put(fault)

    def fault() -> None:
        raise machine.cuda.LogicError("cuStreamSynchronize failed: an illegal memory access was encountered")

    session._labels._kernels = Faulty(machine.device)  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"the GPU failed .*illegal memory access"):
        session.run_labels(random_images(HEIGHT, WIDTH), FRAMES[:1])
    with pytest.raises(ModelError, match="closed"):
        session.run_labels(random_images(HEIGHT, WIDTH), FRAMES[:1])
    machine.assert_all_released()


def test_an_error_at_any_call_of_cuda_leaves_nothing_behind() -> None:
    """Of a run with labels of a frame: an error of cuMemAlloc leaves the session open, any other one closes it."""
    model = with_low_logits(miniature())
    outcomes = []
    for call in range(100):
        machine = with_kernels(Machine())
        session = machine.open(model, machine.plan(model))
        machine.device.fail_at = call
        try:
            session.run_labels(random_images(HEIGHT, WIDTH), FRAMES[:1])
        except (InputError, ModelError) as error:
            outcomes.append(type(error))
        else:
            outcomes.append(type(None))
        machine.device.fail_at = machine.device.fail_next = None
        session.close()
        machine.assert_all_released()
        if outcomes[-1] is type(None):
            break
    assert outcomes[0] is InputError and ModelError in outcomes and outcomes[-1] is type(None)


def _other_logits(change: Any) -> onnx.ModelProto:
    """The miniature with another tensor by the logits' name: `change` of them."""

    def edit(graph: gs.Graph) -> None:
        logits = next(node for node in graph.nodes if node.op == "UpsampleArgmax").inputs[0]
        change(graph, logits)

    return edited(miniature(), edit)


def _scaled(graph: gs.Graph, logits: gs.Variable) -> None:
    output = gs.Variable(LOW_LOGITS, np.float32, logits.shape)
    graph.nodes.append(gs.Node("Mul", "scale", {}, [logits, gs.Constant("two", np.float32([2]))], [output]))
    graph.outputs.append(output)


def _of_fewer_classes(graph: gs.Graph, logits: gs.Variable) -> None:
    output = gs.Variable(LOW_LOGITS, np.float32, None)
    constants = [gs.Constant(name, np.array([value], np.int64)) for name, value in (("b", 0), ("e", 3), ("a", 1))]
    graph.nodes.append(gs.Node("Slice", "fewer", {}, [logits, *constants], [output]))
    graph.outputs.append(output)


def _of_rank_3(graph: gs.Graph, logits: gs.Variable) -> None:
    output = gs.Variable(LOW_LOGITS, np.float32, None)
    axes = gs.Constant("axes", np.array([0], np.int64))
    graph.nodes.append(gs.Node("Squeeze", "squeezed", {}, [logits, axes], [output]))
    graph.outputs.append(output)


@pytest.mark.parametrize("change", [_of_fewer_classes, _of_rank_3])
def test_an_output_of_that_name_has_to_be_the_logits(change: Any) -> None:
    machine = Machine()
    model = _other_logits(change)
    with pytest.raises(MetadataError, match="its sidecar declares low_logits of 5 classes, it has float32"):
        machine.open(model, machine.plan(model))
    machine.assert_all_released()


def test_what_the_sidecar_does_not_declare_is_refused() -> None:
    machine = Machine()
    given, plain = with_low_logits(miniature()), miniature()
    with pytest.raises(MetadataError, match="its sidecar declares low_logits of 5 classes, it has none"):
        machine.open(given, machine.plan(plain))
    with pytest.raises(MetadataError, match=r"its outputs are .*low_logits.*, its metadata declare"):
        machine.open(plain, machine.plan(given))
    machine.assert_all_released()


@pytest.mark.parametrize("right", [True, False])
def test_verification_compares_them(right: bool, tmp_path: Path) -> None:
    """Logits that are twice as large have the same labels."""
    source = read_model(save(miniature(), tmp_path / "m.onnx"))
    machine = Machine()
    built = with_low_logits(miniature()) if right else _other_logits(_scaled)
    session = machine.open(built, machine.plan(built))
    shapes = trial_shapes(*session.input_shapes)
    try:
        if right:
            compare(source.proto, source.metadata.input, session, Precision.FLOAT32, shapes)
        else:
            with pytest.raises(EngineError, match="the engine's logits disagree with ONNX Runtime on an input of"):
                compare(source.proto, source.metadata.input, session, Precision.FLOAT16, shapes)
    finally:
        session.close()


def test_the_name_is_freed_where_another_tensor_has_it() -> None:
    def rename(graph: gs.Graph) -> None:
        graph.tensors()["stem"].name = LOW_LOGITS

    model = edited(miniature(), rename, give_low_logits)
    images = random_images(HEIGHT, WIDTH)
    np.testing.assert_array_equal(labels_of(model, images), labels_of(miniature(), images))
    assert low_logits_of(model, images).shape == (1, CLASSES, HEIGHT // 2, WIDTH // 2)
    assert Metadata.from_json({entry.key: entry.value for entry in model.metadata_props}[KEY]).num_classes == CLASSES
