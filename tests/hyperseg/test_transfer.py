"""Transfer to other classes: what comes before the last level computes the same, and the line says what was taken."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

import hyperseg
from hyperseg import decoder
from hyperseg.checkpoint.transfer import Transfer, adapted, transfer
from hyperseg.classes import own_classes

PRESETS = [name for name in hyperseg.presets() if "pspnet50" not in name]  # half a gigabyte, and no other rule


def random_network(config: hyperseg.Config | str, seed: int) -> hyperseg.HyperSeg:
    """A network whose BatchNorms differ between channels, too."""
    torch.manual_seed(seed)
    model = hyperseg.create(config).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.running_var):
                assert value is not None
                nn.init.uniform_(value, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return model


def to_classes(source: hyperseg.HyperSeg, names: Sequence[str]) -> tuple[hyperseg.HyperSeg, Transfer]:
    target = random_network(adapted(source.config, own_classes(names)), seed=1)
    found = transfer(source, target)
    return target.eval(), found


def level_outputs(model: hyperseg.HyperSeg, image: Tensor, patch: pytest.MonkeyPatch) -> list[Tensor]:
    """Outputs of every decoder level, of one image."""
    outputs: list[Tensor] = []
    if isinstance(model.decoder, decoder.Decoder):
        run = decoder.run_level

        def noting(*arguments: object) -> Tensor:
            outputs.append(run(*arguments))  # type: ignore[arg-type]
            return outputs[-1]

        with torch.no_grad(), patch.context() as patched:
            patched.setattr(decoder, "run_level", noting)
            model.forward_low(image)
        return outputs
    hooks = [level.register_forward_hook(lambda *given: outputs.append(given[2])) for level in model.decoder.levels]
    with torch.no_grad():
        model.forward_low(image)
    for hook in hooks:
        hook.remove()
    return outputs


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 30])
@pytest.mark.parametrize("name", PRESETS)
def test_all_before_the_last_level_computes_the_same(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = random_network(name, seed=0)
    target, found = to_classes(source, [f"kind {index}" for index in range(count)])
    assert len(found.new) == count == target.config.num_classes and not found.kept
    unit = source.config.unit
    image = torch.randn(1, 3, unit, 2 * unit)
    before, after = (level_outputs(model, image, monkeypatch) for model in (source, target))
    assert len(before) == len(after) == len(found.levels) + 1
    for index, (one, other) in enumerate(zip(before[:-1], after[:-1], strict=True)):
        assert torch.equal(one, other), f"level {index}"
    assert after[-1].shape[1] == count


@pytest.mark.parametrize("name", ["camvid-lite", "cityscapes-m", "voc-l", "camvid-s-no-dpwconv"])
def test_classes_of_the_same_names_keep_their_logits(name: str) -> None:
    source = random_network(name, seed=0)
    names = [*source.config.classes.names]
    names[2] = "unknown before"
    target, found = to_classes(source, names)
    assert found.new == ("unknown before",) and len(found.kept) == len(names) - 1
    image = torch.randn(1, 3, source.config.unit, source.config.unit)
    with torch.no_grad():
        one, other = source(image), target(image)
    same = [torch.equal(one[:, index], other[:, index]) for index in range(len(names))]
    assert same == [index != 2 for index in range(len(names))]


def test_all_classes_the_same_is_the_same_network() -> None:
    source = random_network("camvid-lite", seed=0)
    target, found = to_classes(source, source.config.classes.names)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(source(image), target(image))
    assert found.describe("a.pth").endswith("tensors whole); nothing starts anew")
    assert len(found.taken) == found.total


def test_a_class_whose_rows_belong_to_another_group_starts_anew() -> None:
    """Rows of another group read other channels of the signal: there, a class would compute something else."""
    source = random_network("camvid-lite", seed=0)
    names = source.config.classes.names
    _, found = to_classes(source, [names[-1], *names[1:-1], names[0]])
    assert found.kept == names[1:-1] and found.new == (names[-1], names[0])


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (
            ("cup", "plate", "table"),
            "from camvid-lite: backbone, context head, levels 1-4 and hidden layers of the last level taken ({} of "
            "{} tensors whole); anew: its outputs for 3 classes (cup, plate, table)",
        ),
        (
            tuple(f"x{index}" for index in range(21)),
            "from camvid-lite: backbone, context head and levels 1-4 taken ({} of {} tensors whole); anew: the last "
            "level and its rows of the mapper for 21 classes (x0, x1, x2, x3, x4, x5 and 15 more)",
        ),
    ],
)
def test_the_line(names: tuple[str, ...], line: str) -> None:
    _, found = to_classes(random_network("camvid-lite", seed=0), names)
    assert found.describe("camvid-lite") == line.format(len(found.taken), found.total)


def test_a_taken_tensor_is_the_sources_and_no_other_is_counted() -> None:
    source = random_network("camvid-lite", seed=0)
    target, found = to_classes(source, ("cup", "plate", "table"))
    theirs = source.state_dict()
    for name, value in target.state_dict().items():
        if name in found.taken:
            assert torch.equal(value, theirs[name]), name
    assert "decoder.mappers.3.weight" not in found.taken and "decoder.mappers.2.weight" in found.taken


def test_another_backbone_is_refused() -> None:
    source = hyperseg.create("camvid-lite")
    target = hyperseg.create(source.config.replace(backbone="efficientnet-lite0"))
    with pytest.raises(
        hyperseg.CheckpointError, match="has the backbone efficientnet-lite1, and the network to train "
    ):
        transfer(source, target)


def test_another_network_takes_what_fits() -> None:
    source = random_network("cityscapes-s", seed=0)
    target = random_network("cityscapes-m", seed=1)
    found = transfer(source, target)
    assert found.levels == (False,) * 4 and found.context_head and not found.hidden
    assert found.new == target.config.classes.names
    assert torch.equal(source.context_head.inner.conv.weight, target.context_head.inner.conv.weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signal_channels": (448, 256)}, "signal_channels has 2 entries, expected 4"),
        ({"signal_channels": (448, 256, 64, 1024)}, "need 1792 channels; φ has 1280"),
        ({"signal_channels": (449, 256, 64, 256)}, "must be multiples of weight_groups"),
        ({"mapper_rows": (5248, 3008, 704, 16)}, "mapper_rows 16 must be a multiple of 16, and at least 6024"),
        ({"mapper_rows": (5248, 3008, 704, 6030)}, "mapper_rows 6030 must be a multiple of 16"),
    ],
)
def test_a_division_that_no_network_can_have_is_named(changes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hyperseg.preset("camvid-lite").replace(**changes)


def test_the_configuration_survives_a_round_trip_and_old_ones_have_no_new_keys() -> None:
    config = adapted(hyperseg.preset("camvid-lite"), own_classes(["cup", "plate", "table"]))
    assert hyperseg.Config.from_dict(config.to_dict()) == config
    assert "mapper_rows" not in hyperseg.preset("camvid-lite").to_dict()
