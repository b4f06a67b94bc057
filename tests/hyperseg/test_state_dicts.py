"""State dicts in containers and under wrappers' prefixes: loaded where there is no choice, else one clear error."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import hyperseg
from hyperseg import CheckpointError
from hyperseg.checkpoint.states import choose, find_states, split_backbones

NETWORK = {
    "backbone.stem.conv.weight": torch.ones(2),
    "decoder.levels.0.norms.0.running_mean": torch.zeros(2),
    "decoder.levels.0.norms.0.num_batches_tracked": torch.tensor(3),
}
OTHER = {name: value + 1 for name, value in NETWORK.items()}


def under(prefix: str, entries: Mapping[str, Any] = NETWORK) -> dict[str, Any]:
    return {prefix + name: value for name, value in entries.items()}


def chosen(content: Any, state: str | None = None) -> tuple[dict[str, Any], list[str]]:
    notes: list[str] = []
    return choose(find_states(content), state, notes.append).entries, notes


WRAPPED = {
    "plain": NETWORK,
    "DataParallel": under("module."),
    "twice": under("module.module."),
    "compiled": under("_orig_mod."),
    "compiled in DataParallel": under("module._orig_mod."),
    "DataParallel in compiled": under("_orig_mod.module."),
    "Lightning": {"state_dict": under("model."), "epoch": 3, "optimizer_states": [{"state": {0: torch.ones(2)}}]},
    "Lightning, compiled": {"state_dict": under("model._orig_mod.")},
    "net": under("net."),
    "network": under("network."),
    "student": {"state_dict": under("student.")},
    "model": {"model": under("module.")},
    "model_state_dict": {"model_state_dict": NETWORK, "optimizer_state_dict": {"state": {}}},
    "weights": {"weights": NETWORK},
    "params": {"params": NETWORK},
    "nested": {"checkpoint": {"model": {"state_dict": under("module.")}}},
    "DeepSpeed": {"module": NETWORK, "optimizer": None, "global_steps": 3},
    "average alone": {"params_ema": NETWORK},
    "AveragedModel": {"state_dict": {**under("module."), "n_averaged": torch.tensor(9)}},
    "one under two names": {"model": NETWORK, "state_dict": dict(NETWORK)},
    "a part compiled": {name.replace("backbone.", "backbone._orig_mod."): value for name, value in NETWORK.items()},
    "parts wrapped twice": {name.replace(".", "._orig_mod.module.", 1): value for name, value in NETWORK.items()},
    "momentum beside it": {"state_dict": NETWORK, "optimizer": {"exp_avg": OTHER}},
    "itself inside": NETWORK,
}


@pytest.mark.parametrize("case", WRAPPED)
def test_without_a_choice_the_wrapped_network_is_found(case: str) -> None:
    content = dict(WRAPPED[case])
    if case == "itself inside":
        content["again"] = content
    entries, notes = chosen(content)
    assert {name: value for name, value in entries.items() if isinstance(value, Tensor)} == NETWORK
    assert notes == []


def test_an_unusual_name_is_told() -> None:
    entries, notes = chosen({"state_dict": under("teacher.")})
    assert entries == NETWORK
    assert notes == ["the weights are those of state_dict.teacher, the only network in the file"]


AVERAGES = {
    "ema": {"state_dict": NETWORK, "ema": OTHER},
    "timm": {"state_dict": NETWORK, "state_dict_ema": OTHER},
    "basicsr": {"params": NETWORK, "params_ema": OTHER},
    "in one state dict": {"state_dict": {**under("model."), **under("ema_model.module.", OTHER)}},
    "ema_pytorch": {**under("online_model."), **under("ema_model.", OTHER), "initted": torch.tensor(True)},
    "shadow": {"model": under("module."), "ema": {"decay": 0.99, "shadow": OTHER}},
    "without counters": {
        "model": NETWORK,
        "ema": {name: value for name, value in OTHER.items() if not name.endswith("tracked")},
    },
}


@pytest.mark.parametrize("case", AVERAGES)
def test_of_a_network_and_its_average_the_average_is_taken_and_told(case: str) -> None:
    entries, (note,) = chosen(AVERAGES[case])
    assert torch.equal(entries["backbone.stem.conv.weight"], OTHER["backbone.stem.conv.weight"])
    assert "the weights are the averaged ones" in note and "and not those of" in note


WEIGHTS_ONLY = {name: value for name, value in OTHER.items() if "running" not in name}
AMBIGUOUS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "teacher and student": ({**under("teacher."), **under("student.", OTHER)}, ("teacher (3", "student (3")),
    "two containers": ({"a": NETWORK, "b": OTHER}, ("a (3", "b (3")),
    "generator and average of another": ({"teacher": NETWORK, "ema": OTHER}, ("teacher (3", "ema (3")),
    "two averages": (
        {"model": NETWORK, "ema": OTHER, "swa": under("module.", {**OTHER, "decoder.x": NETWORK})},
        ("ema",),
    ),
    "an average without statistics": ({"model": NETWORK, "ema": WEIGHTS_ONLY}, ("lack entries", "--state model")),
    "mixed prefixes": (
        {**under("module.", dict(list(NETWORK.items())[:1])), **dict(list(NETWORK.items())[1:])},
        ("mixed prefixes", "module (1", ". (2"),
    ),
    "collision": ({**NETWORK, **under("module.", OTHER)}, ("module (3", ". (3")),
    "a network and something else": ({**under("model."), "loss.weight": torch.ones(12)}, ("loss.weight", "model.")),
    "averages without points": (
        {**under("model."), "model_ema.backbonestem": torch.ones(2)},
        ("model_ema.backbonestem",),
    ),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_a_choice_is_an_error_that_lists_the_candidates(case: str) -> None:
    content, named = AMBIGUOUS[case]
    with pytest.raises(CheckpointError) as caught:
        chosen(content)
    assert all(words in str(caught.value) for words in named), caught.value


def test_a_named_state_is_taken() -> None:
    content = {"state_dict": {**under("teacher."), **under("student.", OTHER)}, "ema": NETWORK}
    assert chosen(content, "student")[0] == OTHER
    assert chosen(content, "state_dict.teacher")[0] == NETWORK
    assert chosen(NETWORK, ".")[0] == NETWORK
    with pytest.raises(CheckpointError, match=r"none of its state dicts is named pupil; it has state_dict\.teacher"):
        chosen(content, "pupil")
    with pytest.raises(CheckpointError, match=r"none of its state dicts is named ''; it has \. \(3 entries\), ema"):
        chosen({**NETWORK, "ema": OTHER}, "")


def test_inner_wrappers_of_some_entries_only_stay() -> None:
    entries, _ = chosen({"backbone._orig_mod.a.weight": torch.ones(2), "backbone.b.weight": torch.ones(2)})
    assert sorted(entries) == ["backbone._orig_mod.a.weight", "backbone.b.weight"]


@pytest.mark.parametrize("prefix", ["", "module.", "module.backbone.", "encoder."])
def test_backbones_are_told_by_an_entry(prefix: str) -> None:
    names = ["conv1.weight", "layer1.0.conv1.weight", "fc.weight"]
    content = {"state_dict": {prefix + name: torch.ones(1) for name in names}}
    (found,) = find_states(content, split_backbones("layer1.0.conv1.weight"))
    assert sorted(found.entries) == sorted(names)


# Whole files.


@pytest.fixture(scope="module")
def model() -> hyperseg.HyperSeg:
    torch.manual_seed(0)
    return hyperseg.create(hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0")).eval()


@pytest.fixture
def write(model: hyperseg.HyperSeg, tmp_path: Path) -> Callable[..., Path]:
    """Writes a file in our format with changes."""

    def write(entries: Mapping[str, Any] | None = None, **changes: Any) -> Path:
        content = {"format": "hyperseg", "config": model.config.to_dict(), "state_dict": entries or model.state_dict()}
        torch.save({**content, **changes}, tmp_path / "m.pt")
        return tmp_path / "m.pt"

    return write


def same(one: hyperseg.HyperSeg, other: hyperseg.HyperSeg) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def load(path: Path, **options: Any) -> hyperseg.HyperSeg:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return hyperseg.load(path, **options)


def test_files_of_ours_under_prefixes(model: hyperseg.HyperSeg, write: Callable[..., Path], tmp_path: Path) -> None:
    assert same(load(write(nn.DataParallel(model).state_dict())), model)
    assert same(load(write(under("module._orig_mod.", model.state_dict()))), model)
    save_file(
        under("module.", model.state_dict()),
        tmp_path / "m.safetensors",
        {"hyperseg": json.dumps(model.config.to_dict())},
    )
    assert same(load(tmp_path / "m.safetensors"), model)
    (tmp_path / "m.safetensors").rename(tmp_path / "renamed.pth")
    assert same(load(tmp_path / "renamed.pth"), model)
    lightning = {
        "hyper_parameters": {"config": model.config.to_dict()},
        "state_dict": under("net.", model.state_dict()),
    }
    torch.save(lightning, tmp_path / "lightning.ckpt")
    assert same(load(tmp_path / "lightning.ckpt"), model)


def test_published_files_under_prefixes(camvid_s: Any, tmp_path: Path) -> None:
    torch.save(camvid_s.checkpoint(state_dict=under("module._orig_mod.", camvid_s.state_dict)), tmp_path / "p.pth")
    torch.save(camvid_s.checkpoint(), tmp_path / "plain.pth")
    assert same(load(tmp_path / "p.pth"), load(tmp_path / "plain.pth"))
    names = {key: value for key, value in camvid_s.state_dict.items() if not key.startswith("decoder.coord")}
    half = {**under("module.", names), **dict(list(names.items())[:9])}
    torch.save(camvid_s.checkpoint(state_dict=half), tmp_path / "mixed.pth")
    with pytest.raises(CheckpointError, match=r"mixed\.pth holds 2 networks, or one with mixed prefixes: "):
        load(tmp_path / "mixed.pth")


def test_what_was_taken_is_told(model: hyperseg.HyperSeg, write: Callable[..., Path]) -> None:
    averaged = copy.deepcopy(model)
    averaged.backbone.stem.conv.weight.data += 1
    path = write(ema=averaged.state_dict())
    with pytest.warns(UserWarning, match=r"m\.pt: the weights are the averaged ones \(ema\)") as caught:
        assert same(hyperseg.load(path), averaged)
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]
    assert same(load(path, state="state_dict"), model)
    notes: list[str] = []
    nameless = write(ema={"decay": 0.9, "shadow_params": list(model.parameters())})
    assert same(hyperseg.load(nameless, note=notes.append), model)
    assert notes == [
        "the averaged weights in ema.shadow_params have no names and are not used; the weights are state_dict"
    ]


STEM = "backbone.stem.conv.weight"
COUNTERS = "num_batches_tracked"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted(model: hyperseg.HyperSeg, write: Callable[..., Path], dtype: Any) -> None:
    loaded = load(write({k: v.to(dtype) if v.is_floating_point() else v for k, v in model.state_dict().items()}))
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32, torch.int64}
    assert torch.equal(loaded.state_dict()[STEM], model.state_dict()[STEM].to(dtype).float())


def test_layouts_and_shared_memory(model: hyperseg.HyperSeg, write: Callable[..., Path]) -> None:
    state = dict(model.state_dict())
    norms = [name for name in state if name.startswith("backbone.stem.norm") and not name.endswith(COUNTERS)]
    buffer = torch.cat([state[name] for name in norms])
    views = {name: buffer[index * 32 : index * 32 + 32] for index, name in enumerate(norms)}
    tied = dict.fromkeys(norms[:2], views[norms[0]])
    strided = state[STEM].to(memory_format=torch.channels_last)
    loaded = load(write({**state, **views, **tied, STEM: strided}))
    values = loaded.state_dict()
    assert torch.equal(values[STEM], state[STEM]) and values[STEM].is_contiguous()
    values[norms[0]].add_(1)
    assert torch.equal(values[norms[1]] + 1, values[norms[0]]), "entries that were tied are no longer"
    assert values[norms[2]].untyped_storage().nbytes() == values[norms[2]].nbytes


@pytest.mark.parametrize("counters", [None, torch.tensor(3.5), torch.tensor(float("nan"))])
def test_counters_of_batchnorm(model: hyperseg.HyperSeg, write: Callable[..., Path], counters: Any) -> None:
    changed = {k: counters if k.endswith(COUNTERS) else v for k, v in model.state_dict().items()}
    load(write({name: value for name, value in changed.items() if value is not None}))


def _parametrised(module: nn.Module) -> dict[str, Any]:
    nn.utils.parametrizations.weight_norm(module)
    return module.state_dict(prefix="backbone.stem.conv.")


SPECIAL: dict[str, tuple[Callable[[Tensor], dict[str, Any]], str]] = {
    "quantised": (lambda w: {STEM: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8)}, f"entry {STEM} is quantised"),
    "meta": (lambda w: {STEM: w.to("meta")}, f"entry {STEM} has no values"),
    "sparse": (lambda w: {STEM: w.to_sparse()}, f"entry {STEM} is a sparse tensor"),
    "complex": (lambda w: {STEM: w.to(torch.complex64)}, f"entry {STEM} has type torch.complex64"),
    "int8": (lambda w: {STEM: w.to(torch.int8)}, f"entry {STEM} has type torch.int8"),
    "weight norm": (
        lambda _: {STEM: None, **_parametrised(nn.Conv2d(3, 32, 3, bias=False))},
        "the weights are parametrised, pruned or quantised (backbone.stem.conv.parametrizations.weight.original0",
    ),
    "old weight norm": (lambda w: {STEM: None, f"{STEM}_g": w, f"{STEM}_v": w}, "remove_parametrizations"),
    "pruned": (lambda w: {STEM: None, f"{STEM}_orig": w, f"{STEM}_mask": w}, "remove_parametrizations"),
    "a shard of FSDP": (lambda w: {STEM: None, "backbone._flat_param": w.flatten()}, "save a full state dict"),
    "a shard of DeepSpeed": (lambda _: {STEM: torch.zeros(0)}, f"entry {STEM} has shape [0], expected"),
    "NumPy": (lambda _: {STEM: np.float64(1)}, f"entry {STEM} is a float64, expected a tensor"),
    "names that draw": (lambda w: {"backbone.\x1b[31mred\n": w}, "(backbone. [31mred )"),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_other_kinds_of_entries_are_one_line(case: str, model: hyperseg.HyperSeg, write: Callable[..., Path]) -> None:
    change, message = SPECIAL[case]
    entries = {**model.state_dict(), **change(model.state_dict()[STEM])}
    path = write({name: value for name, value in entries.items() if value is not None})
    with pytest.raises(CheckpointError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(str(path)) and message in text
    assert text.isprintable()


def test_weights_without_a_network_and_states_of_runs(model: hyperseg.HyperSeg, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "bare.pt")
    with pytest.raises(CheckpointError, match="no `arch`"):
        load(tmp_path / "bare.pt")
    torch.save({"recipe": {}, "model": model.state_dict(), "optimiser": {}}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"last\.pt is the state of a training run; name best\.pth"):
        load(tmp_path / "last.pt")


def test_backbone_weights_in_containers(tmp_path: Path) -> None:
    from hyperseg.checkpoint.names import efficientnet_name

    source = hyperseg.create(hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0"))
    state = {efficientnet_name(name): value for name, value in source.backbone.state_dict().items()}
    target = hyperseg.create(source.config)
    torch.save({"model_state_dict": under("module._orig_mod.", state)}, tmp_path / "imagenet.pth")
    hyperseg.load_backbone_weights(target, tmp_path / "imagenet.pth")
    assert torch.equal(target.backbone.stem.conv.weight, source.backbone.stem.conv.weight)
    torch.save({**under("teacher.", state), **under("student.", target.backbone.state_dict())}, tmp_path / "one.pth")
    with pytest.warns(UserWarning, match="those of teacher"):
        hyperseg.load_backbone_weights(target, tmp_path / "one.pth")
    torch.save({"a": state, "b": {name: value + 1 for name, value in state.items()}}, tmp_path / "two.pth")
    with pytest.raises(CheckpointError, match=r"two\.pth holds 2 networks: a \("):
        hyperseg.load_backbone_weights(target, tmp_path / "two.pth")
