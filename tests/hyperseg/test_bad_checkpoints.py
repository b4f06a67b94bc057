"""Bad checkpoints raise a CheckpointError of one sentence, and no code in them runs."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

import hyperseg
from hyperseg import CheckpointError
from hyperseg.checkpoint.arch import configs_from_arch, parse_arch
from hyperseg.checkpoint.names import published_names

ARCH = (
    "hyperseg.models.hyperseg_v1_0.hyperseg_efficientnet('efficientnet-b1',pretrained=True,levels=2,"
    "kernel_sizes=(1,1,1,3,3),level_channels=[64,32,16,16,16],expand_ratio=2,inference_hflip=True,with_out_fc=False,"
    "decoder_dropout=None,weight_groups=[64,32,32,16,8],coords_res=[(576,576),(576,768)],num_classes=12)"
)


class Hostile:
    """Creates a file when it is unpickled without restrictions."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def message(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        hyperseg.load(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def write(tmp_path):
    def write(content, name="bad.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("hyperseg_efficientnet(", "main("), "main"),
        (("hyperseg_v1_0.", "hyperseg_v9_0."), "hyperseg_v9_0"),
        (("hyperseg.models.hyperseg_v1_0.hyperseg_efficientnet", "os.system"), "os.system"),
        (("pretrained=True", "pretrained=open('x')"), "pretrained"),
        (("levels=2", "levels=[i for i in (2,)]"), "levels"),
        (("num_classes=12", "num_classes=10**99"), "num_classes"),
        (("num_classes=12", "**{'num_classes': 12}"), "unpacks"),
        (("num_classes=12", "*[12]"), "positional"),
        (("num_classes=12)", "num_classes=12).eval()"), "by its name"),
        (("num_classes=12", "num_classes=12,num_classes=12"), "twice"),
        (("num_classes=12", "num_classes='12'"), "num_classes"),
        (("num_classes=12", "num_classes=12,surprise=1"), "surprise"),
        (("with_out_fc=False", "with_out_fc=True"), "with_out_fc"),
        (("with_out_fc=False", "decoder_groups=2"), "decoder_groups"),
        (("with_out_fc=False", "level_layers=[1,1,1,2,1]"), "level_layers"),
        (("'efficientnet-b1'", "'resnet50'"), "resnet50"),
        (("kernel_sizes=(1,1,1,3,3)", "kernel_sizes=(1,1,1,5,3)"), "kernel_sizes"),
        (("weight_groups=[64,32,32,16,8]", "weight_groups=[64]"), "weight_groups"),
        (("weight_groups=[64,32,32,16,8]", "weight_groups=[63,32,32,16,8]"), "1280"),
        (("expand_ratio=2", "expand_ratio=1e999"), "infinity"),
        (("coords_res=[(576,576),(576,768)]", "coords_res=3"), "coords_res"),
    ],
)
def test_arch_is_data(change, named):
    assert ARCH.count(change[0]) == 1
    with pytest.raises(CheckpointError, match=named.replace("*", r"\*")) as caught:
        configs_from_arch(ARCH.replace(*change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arch", [None, 3, "", "1 + 1", "f", "(" * 5000, "a" * 20000, "__import__('os').getcwd()", "x = 1"]
)
def test_arch_is_no_call_of_a_network(arch):
    with pytest.raises(CheckpointError):
        parse_arch(arch)


def test_options_without_influence_are_accepted():
    changed = ARCH.replace("inference_hflip=True", "inference_hflip=False,inference_gather='max'")
    assert configs_from_arch(changed) == configs_from_arch(ARCH)


@pytest.mark.parametrize("place", ["arch", "extra", "state_dict"])
def test_hostile_pickle(write, tmp_path, place):
    content = {"arch": ARCH, "state_dict": {}, place: Hostile(tmp_path / "trace")}
    assert "not loaded" in message(write(content))
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(content))
    message(tmp_path / "plain.pth")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("keep", [0, 10, 1000, -10, 0.5])
def test_truncated(write, camvid_s, tmp_path, keep):
    whole = write(camvid_s.checkpoint()).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    assert "cut.pth" in message(tmp_path / "cut.pth")


@pytest.mark.parametrize(
    "content", [b"hello", b'{"arch": 1}', b"\x89PNG\r\n\x1a\n" + bytes(50), b"PK\x03\x04" + bytes(50)]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_no_checkpoint(tmp_path, content, suffix):
    path = tmp_path / f"image{suffix}"
    path.write_bytes(content)
    assert "image" in message(path)


def test_not_there(tmp_path):
    assert "no such file" in message(tmp_path / "missing.pth")
    assert "folder" in message(tmp_path)


@pytest.mark.parametrize("content", [torch.zeros(2), [1], {"arch": ARCH}, {"arch": ARCH, "state_dict": [1]}])
def test_other_data(write, content):
    assert "state_dict" in message(write(content))


def test_negative_variances_of_our_files_and_of_backbone_weights(tmp_path):
    model = hyperseg.create(hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0"))
    for name in ("backbone.stem.norm.running_var", "decoder.levels.4.norms.1.running_var"):
        variance = model.state_dict()[name]
        kept = variance.clone()
        variance[3] = -0.5
        hyperseg.save(model, tmp_path / "negative.pth")
        assert f"{name} has negative values" in message(tmp_path / "negative.pth")
        variance.copy_(kept)
    names = published_names(model.config, model.state_dict())
    entries = {names[name].removeprefix("backbone."): value for name, value in model.state_dict().items()}
    torch.save({**entries, "_bn0.running_var": torch.full((32,), -0.5)}, tmp_path / "imagenet.pth")
    with pytest.raises(CheckpointError, match=r"imagenet\.pth: entry _bn0\.running_var has negative values"):
        hyperseg.load_backbone_weights(model, tmp_path / "imagenet.pth")


def test_missing_arch(write):
    assert "arch" in message(write({"state_dict": {}}))


STEM = "backbone._conv_stem.weight"
VARIANCE = "backbone._bn0.running_var"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({STEM: None}, STEM),
        ({"decoder.surprise": torch.zeros(1)}, "decoder.surprise"),
        ({STEM: torch.zeros(32, 3, 5, 5)}, STEM),
        ({STEM: torch.zeros(32, 3, 3, 3, dtype=torch.int64)}, STEM),
        ({STEM: torch.full((32, 3, 3, 3), float("nan"))}, STEM),
        ({STEM: torch.full((32, 3, 3, 3), float("inf"))}, STEM),
        ({STEM: "weights"}, STEM),
        ({STEM: torch.full((32, 3, 3, 3), 1e300, dtype=torch.float64)}, STEM),
        ({VARIANCE: torch.full((32,), -1e-9)}, f"{VARIANCE} has negative values"),
        ({VARIANCE: torch.full((32,), float("nan"))}, VARIANCE),
    ],
)
def test_bad_entries_are_named(camvid_s, write, change, named):
    entries = {**camvid_s.state_dict, **change}
    entries = {key: value for key, value in entries.items() if value is not None}
    assert named in message(write(camvid_s.checkpoint(state_dict=entries)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"surprise": 1}, "surprise"),
        ({"backbone": "vgg"}, "vgg"),
        ({"num_classes": "many"}, "config"),
        ({"halo": "other"}, "other"),
        ({"resolution": [1]}, "resolution"),
        (None, "config"),
    ],
)
def test_bad_configuration_of_our_files(write, change, named):
    config = hyperseg.preset("camvid-lite").to_dict()
    content = {"config": None if change is None else {**config, **change}, "state_dict": {}}
    assert named in message(write(content))


def test_save_refuses_what_load_cannot_read(tmp_path):
    model = hyperseg.create("camvid-lite")
    with pytest.raises(ValueError, match=r"\.safetensors"):
        hyperseg.save(model, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="unfolded"):
        hyperseg.save(hyperseg.fold(model), tmp_path / "model.pth")
    assert list(tmp_path.iterdir()) == []


def zipped(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return target.getvalue()


def tarred() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("m.pth"))
    return target.getvalue()


KINDS = {
    "empty": (b"", "is empty (0 bytes); download or copy it again"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "HTML": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
    "HTML with a byte order mark": (b"\xef\xbb\xbf<HTML>", "is a web page"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a web page"),
    "gzip": (gzip.compress(b"weights"), "is compressed with gzip; unpack it first"),
    "bzip2": (bz2.compress(b"weights"), "is compressed with bzip2; unpack it first"),
    "xz": (lzma.compress(b"weights"), "is compressed with xz; unpack it first"),
    "tar": (tarred(), "is a tar archive; unpack it first"),
    "ZIP": (zipped("readme.txt", "weights/m.pth"), "is a ZIP archive with weights/m.pth"),
    "ZIP without checkpoint": (zipped("readme.txt"), "is a ZIP archive, and not a checkpoint"),
    "half a ZIP": (zipped("m/data.pkl", "m/data/0")[:-30], "is truncated or damaged; download or copy it again"),
    "TorchScript": (zipped("m/constants.pkl", "m/data.pkl", "m/code/__torch__.py"), "is a TorchScript archive"),
    "exported program": (zipped("m/archive_format", "m/models/model.json"), "is an exported program of PyTorch"),
    "ONNX": (b"\x08\x0a\x12\x07pytorch", "is an ONNX file, exported already"),
    "text": (b"weights", "is not a PyTorch checkpoint; name a .pt, .pth or .safetensors file"),
    "JSON": (b'{"weights": 1}', "is not a PyTorch checkpoint"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "is not a PyTorch checkpoint"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_files_are_told_by_their_content(tmp_path, kind, suffix):
    content, reason = KINDS[kind]
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    if suffix == ".safetensors":
        reason = reason.replace("is not a PyTorch checkpoint", "is not a safetensors file").partition(";")[0]
    assert message(path).startswith(f"{path} {reason}") or reason in message(path)


@pytest.mark.parametrize(("name", "said"), [("m.onnx", "ONNX"), ("m.engine", "TensorRT"), ("m.plan", "TensorRT")])
def test_exported_files_are_told_by_their_names(tmp_path, name, said):
    (tmp_path / name).write_bytes(b"\x08\x0a" + bytes(50))
    assert said in message(tmp_path / name)


def test_real_torchscript(tmp_path):
    torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1)).save(tmp_path / "m.pt")
    assert "TorchScript" in message(tmp_path / "m.pt")


def test_a_whole_module_is_not_loaded(write):
    assert "(torch.nn.modules.linear.Linear) and is not loaded" in message(write(torch.nn.Linear(1, 1)))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((".metadata", "__0_0.distcp"), "is a sharded checkpoint (torch.distributed.checkpoint)"),
        (("zero_to_fp32.py", "latest"), "is a sharded checkpoint (DeepSpeed)"),
        (("best.pth", "last.pth", "log.jsonl"), "is a folder; name a file in it: best.pth, last.pth"),
        (("log.jsonl",), "is a folder, expected a checkpoint file"),
    ],
)
def test_folders(tmp_path, names, said):
    for name in names:
        (tmp_path / name).touch()
    assert said in message(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.pth")
    assert "is a pipe or device" in message(tmp_path / "m.pth")


def test_a_file_of_an_old_torch_save(camvid_s, tmp_path):
    path = tmp_path / "old.pth"
    torch.save(camvid_s.checkpoint(), path, _use_new_zipfile_serialization=False)
    hyperseg.load(path)
    path.write_bytes(path.read_bytes()[:1000])
    assert "is truncated or damaged" in message(path)
