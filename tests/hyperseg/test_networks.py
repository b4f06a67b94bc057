"""Networks: sizes, parameters, costs, folding, training, backbones."""

import pytest
import torch
from explained import assert_explained
from hyperseg_runtime.metadata import Precision
from torch import nn
from torch.nn import functional as F

import hyperseg
from hyperseg import CheckpointError
from hyperseg.backbones.efficientnet import EfficientNet
from hyperseg.checkpoint.names import published_names, resnet_name
from hyperseg.layers import same_padding

# parameters; MMAC in total, backbone, context head, w_i, DPWConv
COSTS = {
    "camvid-s": (9_949_064, 6_039, 5_033, 619, 54, 333),
    "camvid-l": (9_969_104, 12_261, 8_946, 1_101, 111, 2_103),
    "cityscapes-m": (10_311_214, 7_685, 5_956, 734, 249, 746),
    "cityscapes-s": (10_041_398, 16_324, 13_412, 1_652, 233, 1_028),
    "voc-l": (39_680_458, 7_830, 5_044, 2_265, 158, 364),
    "camvid-lite": (7_766_846, 5_769, 4_442, 619, 138, 569),
}
# Millions, paper Tab. 4. Two are out of reach of the text. L with PSPNet50 is printed 10 M above S, yet L adds a level
# on the three channels of the image: its hyperparameters are not given. L without DPWConv is printed 0.4 M above S; the
# level that L adds has 2,140 parameters.
VARIANTS = {
    "camvid-s-resnet18": (16.2, 0.03),
    "camvid-l-resnet18": (16.7, 0.03),
    "camvid-s-pspnet18": (17.2, 0.03),
    "camvid-l-pspnet18": (17.6, 0.03),
    "camvid-s-pspnet50": (57.6, 0.03),
    "camvid-l-pspnet50": (67.9, 0.18),
    "camvid-s-no-dpwconv": (9.9, 0.03),
    "camvid-l-no-dpwconv": (10.3, 0.04),
}


def tiny(**changes):
    """A network that runs in milliseconds, with all kinds of levels."""
    config = hyperseg.preset("camvid-lite").replace(
        backbone="efficientnet-lite0", level_channels=(16, 8, 8, 8, 8), weight_groups=(16, 8, 8, 8, 8), **changes
    )
    return hyperseg.create(config)


@pytest.mark.parametrize("name", COSTS)
def test_published_costs(name):
    """Parameters to the last digit, multiply-adds to 1 % (the small ones are printed to the million)."""
    parameters, *mmacs = COSTS[name]
    model = hyperseg.create(name)
    summary = hyperseg.summary(model)
    assert summary.parameters == parameters == sum(p.numel() for p in model.parameters())
    assert summary.resolution == model.config.resolution
    found = [summary.macs, *(part.macs for part in summary.parts)]
    assert [macs / 1e6 for macs in found] == pytest.approx(mmacs, rel=0.01, abs=0.6)
    assert [part.name for part in summary.parts] == ["backbone", "context head", "w_i", "DPWConv"]
    assert f"{parameters:,}" in str(summary)
    assert summary.to_dict()["macs"] == summary.macs


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_of_the_papers_variants(name):
    printed, tolerance = VARIANTS[name]
    assert hyperseg.summary(hyperseg.create(name)).parameters / 1e6 == pytest.approx(printed, rel=tolerance)


def test_fold_removes_the_dead_parts_of_the_context_head():
    model = hyperseg.create("camvid-s")
    removed = hyperseg.summary(model).macs - hyperseg.summary(hyperseg.fold(model)).macs
    assert round(removed / 1e6) == 372


def test_summary_at_another_resolution():
    model = tiny()
    assert hyperseg.summary(model, (128, 128)).macs * 4 == pytest.approx(
        hyperseg.summary(model, (256, 256)).macs, rel=0.01
    )
    with pytest.raises(ValueError, match="64"):
        hyperseg.summary(model, (100, 128))


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("camvid-s", (500, 768), "multiples of 64; the nearest valid size is 512x768"),
        ("camvid-s", (31, 30), "multiples of 64; the nearest valid size is 64x64"),
        ("voc-l", (448, 512), "multiples of 128; the nearest valid size is 512x512"),
    ],
)
def test_size_that_is_no_multiple_of_the_unit(name, size, said):
    with torch.device("meta"):
        model = hyperseg.create(name)
    with pytest.raises(ValueError, match=said):
        model(torch.zeros(1, 3, *size, device="meta"))


@pytest.mark.numerics
@pytest.mark.parametrize("halo", ["own", "neighbours"])
@pytest.mark.parametrize("ranges", ["disjoint", "from-zero"])
@pytest.mark.parametrize("unify", [None, 4])
def test_every_combination_runs_folds_and_keeps_its_names_apart(halo, ranges, unify):
    """The options of the decoder are independent of each other."""
    base = tiny().config
    config = hyperseg.Config.from_dict({**base.to_dict(), "halo": halo, "signal_ranges": ranges, "unify_level": unify})
    model = randomise(hyperseg.create(config)).eval()
    _assert_folds(model, torch.randn(1, 3, 64, 64))


def _assert_folds(model, images):
    with torch.inference_mode():
        folded, logits = hyperseg.fold(model)(images), model(images)
    assert_explained("folded network", folded, logits, model, lambda each: each(images))


@torch.inference_mode()
def test_networks_with_synchronised_batchnorm_run_in_eval_mode():
    """As validation does during training on several GPUs."""
    model = randomise(tiny()).eval()
    images = torch.randn(1, 3, 64, 64)
    logits = model(images)
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in synchronised.modules())
    assert torch.equal(synchronised(images), logits)


def test_halos_differ():
    own, neighbours = (hyperseg.Config.from_dict({**tiny().config.to_dict(), "halo": h}) for h in ("own", "neighbours"))
    model = randomise(hyperseg.create(own)).eval()
    other = hyperseg.create(neighbours).eval()
    other.load_state_dict(model.state_dict())
    images = torch.randn(1, 3, 64, 128)
    with torch.inference_mode():
        assert (model(images) - other(images)).abs().max() > 1e-3


def test_residual_where_channels_allow_it():
    """In every published level they differ; a level that keeps them adds its input (both halos, live and folded)."""
    changes = {"out_feat_scale": (1.0, 0.25, 0.25, 0.25, 0.25), "expand_ratio": (1.0,) * 5}
    config = tiny(**changes).config
    inputs = config.levels[3].inputs
    for halo in ("own", "neighbours"):
        channels = (16, 8, 8, inputs, 8)
        same = hyperseg.Config.from_dict({**config.to_dict(), "level_channels": channels, "halo": halo})
        model = randomise(hyperseg.create(same)).eval()
        assert model.config.levels[3].inputs == model.config.levels[3].outputs
        images = torch.randn(1, 3, 64, 64)
        _assert_folds(model, images)
        model.train()(images.expand(2, -1, -1, -1)).sum().backward()


@pytest.mark.parametrize("halo", ["own", "neighbours"])
def test_training_mode_is_eval_mode_on_the_same_statistics(halo):
    """With BatchNorm frozen, training's composition of PyTorch functions gives the operators' result and gradients."""
    config = hyperseg.Config.from_dict({**tiny().config.to_dict(), "halo": halo})
    model = randomise(hyperseg.create(config)).double()
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    gradients = []
    for training in (True, False):
        model.train(training)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        model.zero_grad()
        loss = model(images).square().mean()
        loss.backward()
        gradients.append([loss.detach(), *(p.grad.clone() for p in model.parameters())])
    for trained, evaluated in zip(*gradients, strict=True):
        # float64, so that a value at the kink of an activation stays on its side
        torch.testing.assert_close(trained, evaluated, atol=1e-9, rtol=1e-6)


def test_training_lowers_the_loss():
    model = tiny().train()
    images, labels = torch.randn(2, 3, 64, 64), torch.randint(0, 11, (2, 64, 64))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.numerics
@pytest.mark.parametrize("name", ["camvid-s-resnet18", "camvid-s-pspnet18", "camvid-l-no-dpwconv"])
def test_variants_run_and_fold(name):
    model = hyperseg.create(name).eval()
    images = torch.randn(1, 3, 64, 128)
    assert model(images).shape == (1, 12, 64, 128)
    _assert_folds(model, images)


def test_static_padding():
    """(left, right, top, bottom) of the encoders at their nominal sizes."""
    assert same_padding(240, 3, 2) == (0, 1, 0, 1)
    assert same_padding(60, 5, 2) == (1, 2, 1, 2)
    assert same_padding(15, 5, 2) == (2, 2, 2, 2)
    assert same_padding(30, 5, 1) == (2, 2, 2, 2)
    b1 = hyperseg.create("camvid-s").backbone
    assert isinstance(b1, EfficientNet)
    assert b1.taps == [1, 4, 7, 15, 22]
    assert [b1.blocks[i].depthwise.pad for i in (2, 5, 8, 16)] == [(0, 1, 0, 1), (1, 2, 1, 2), (0, 1, 0, 1), None]
    assert b1.blocks[16].depthwise.conv.padding == (2, 2)


def test_backbone_weights(tmp_path):
    """An EfficientNet file fills the encoder and leaves reductions and classifier alone."""
    source, target = tiny(), tiny()
    names = published_names(source.config, source.state_dict())
    state = {
        names[name].removeprefix("backbone."): value
        for name, value in randomise(source).state_dict().items()
        if name.startswith("backbone.") and ".reduce." not in name
    }
    torch.save({**state, "_fc.weight": torch.zeros(1000, 1280)}, tmp_path / "imagenet.pth")
    before = target.state_dict()["backbone.reduce.1.conv.weight"].clone()
    hyperseg.load_backbone_weights(target, tmp_path / "imagenet.pth")
    after = target.state_dict()
    assert torch.equal(after["backbone.reduce.1.conv.weight"], before)
    assert torch.equal(after["backbone.head.conv.weight"], source.state_dict()["backbone.head.conv.weight"])
    with pytest.raises(CheckpointError, match="_blocks"):
        hyperseg.load_backbone_weights(hyperseg.create("camvid-lite"), tmp_path / "imagenet.pth")
    with pytest.raises(CheckpointError, match="resnet18"):
        hyperseg.load_backbone_weights(hyperseg.create("camvid-s-resnet18"), tmp_path / "imagenet.pth")


def test_resnet_names():
    assert resnet_name("stem.0.conv.weight") == "conv1.weight"
    assert resnet_name("stages.2.1.convs.1.norm.bias") == "layer3.1.bn2.bias"
    assert resnet_name("stages.1.0.shortcut.conv.weight") == "layer2.0.downsample.0.weight"
    assert resnet_name("head.conv.weight") is None


@torch.no_grad()
def randomise(model):
    """Statistics and affine parameters that BatchNorm folding can get wrong."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    for name, parameter in model.named_parameters():
        if ".mappers." in name:
            parameter.mul_(4)  # else the patches' weights hardly differ
    return model


@pytest.mark.numerics
@torch.inference_mode()
def test_autocast_with_the_image_as_finest_skip():
    changes = {"kernel_sizes": (1, 1, 1, 3, 3, 3), "expand_ratio": (2.0,) * 6}
    config = tiny().config.replace(
        **changes, level_channels=(16, 8, 8, 8, 8, 8), unify_level=None, weight_groups=(8,) * 6
    )
    model, images = randomise(hyperseg.create(config)).eval(), torch.randn(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.bfloat16
    exact = model(images)
    bfloat16 = Precision.BFLOAT16
    assert_explained("autocast", logits.float(), exact, model, lambda each: each(images), precision=bfloat16)
