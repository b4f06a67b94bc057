"""Parser of the `arch` entry of published files, a Python call that is read as data and never evaluated."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hyperseg.backbones.catalogue import BACKBONES, Family
from hyperseg.config import Config, ContextHead, Halo, KeyNames
from hyperseg.errors import CheckpointError
from hyperseg.shapes import SignalRanges, SignalSplit

_PREFIX = "hyperseg.models."
_FUNCTION = "hyperseg_efficientnet"
_LONGEST = 10_000

_WITHOUT_INFLUENCE = frozenset(
    {"pretrained", "inference_hflip", "inference_gather", "decoder_dropout", "groups", "coords_res"}
)
"""Options that affect training, test-time averaging or caches, and not the network's output."""

_ONLY = {"in_nc": 3, "level_layers": 1, "with_out_fc": False, "decoder_groups": 1, "weights_path": None}
_ONLY_V0_1 = {"in_nc": 3, "level_layers": 1, "with_out_fc": False, "down_groups": 1, "flat_groups": 1, "avg_pool": True}
"""Options of the published constructors with the only value that published files use."""

_STRUCTURE = {"levels": 3, "kernel_sizes": 3, "expand_ratio": 1, "weight_groups": 1, "num_classes": 3}
_STRUCTURE_V1_0 = _STRUCTURE | {"out_feat_scale": 0.25, "level_channels": None}


@dataclass(frozen=True)
class _Version:
    """One of the four published modules: its options with defaults, and the configuration fields it fixes."""

    structure: dict[str, Any]
    only: dict[str, Any]
    fixed: dict[str, Any]
    splits: tuple[SignalSplit, ...] = (SignalSplit.RESERVED,)


_VERSIONS = {
    "hyperseg_v0_1": _Version(
        _STRUCTURE,
        _ONLY_V0_1,
        {
            "context_head": ContextHead.FULL,
            "halo": Halo.NEIGHBOURS,
            "key_names": KeyNames.V0_1,
        },
        (SignalSplit.PROPORTIONAL_ROUNDED,),
    ),
    "hyperseg_v0_2": _Version(
        _STRUCTURE_V1_0,
        _ONLY,
        {"signal_ranges": SignalRanges.FROM_ZERO},
        # published with more than one form of its division; the shapes in a file tell which one it has
        (SignalSplit.PROPORTIONAL, SignalSplit.RESERVED_UNFILLED, SignalSplit.RESERVED),
    ),
    "hyperseg_v1_0": _Version(_STRUCTURE_V1_0, _ONLY, {"signal_ranges": SignalRanges.FROM_ZERO}),
    "hyperseg_v1_0_unify": _Version(_STRUCTURE_V1_0 | {"unify_level": None}, _ONLY, {"key_names": KeyNames.UNIFY}),
}


def parse_arch(arch: object) -> tuple[str, dict[str, Any]]:
    """Parse an `arch` string into module name and literal arguments; the backbone is the argument `model_name`.

    Raises:
        CheckpointError: anything but one call of a known constructor with literal arguments.
    """
    if not isinstance(arch, str):
        raise CheckpointError(
            "the checkpoint has no `arch` (the authors' files) and no `config` (ours) that says which network its "
            "weights belong to; write it with hyperseg.save"
        )
    shown = arch if len(arch) <= 80 else f"{arch[:77]}..."
    if len(arch) > _LONGEST:
        raise CheckpointError(f"`arch` has {len(arch)} characters, too many for a constructor call: {shown}")
    try:
        call = ast.parse(arch.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise CheckpointError(f"`arch` is not a constructor call: {shown}") from None
    if not isinstance(call, ast.Call):
        raise CheckpointError(f"`arch` is not a constructor call: {shown}")
    module, _, function = _dotted(call.func, shown).rpartition(".")
    version = module.removeprefix(_PREFIX)
    if not module.startswith(_PREFIX) or version not in _VERSIONS or function != _FUNCTION:
        known = ", ".join(f"{_PREFIX}{name}.{_FUNCTION}" for name in _VERSIONS)
        raise CheckpointError(f"`arch` calls {module}.{function}, which is not one of {known}")
    if len(call.args) > 1:
        raise CheckpointError(f"`arch` has {len(call.args)} positional arguments, expected the backbone's name only")
    names = ["model_name", *[keyword.arg for keyword in call.keywords]]
    values = [*call.args, *[keyword.value for keyword in call.keywords]]
    if len(names) > len(values):
        names = names[1:]
    if len(set(names)) < len(names):
        raise CheckpointError(f"`arch` gives an argument twice: {shown}")
    return version, {_keyword(name, shown): _literal(name, value) for name, value in zip(names, values, strict=True)}


def configs_from_arch(arch: object) -> list[Config]:
    """List the configurations that an `arch` string may mean, the likeliest first; more than one only for v0_2.

    Raises:
        CheckpointError: `arch` is no known constructor call, or uses an option that no published network uses.
    """
    name, arguments = parse_arch(arch)
    version = _VERSIONS[name]
    backbone = arguments.pop("model_name", None)
    _check_options(name, version, arguments)
    structure = {key: arguments.get(key, default) for key, default in version.structure.items()}
    configs: list[Config] = []
    reasons: list[str] = []
    for split in version.splits:
        try:
            configs.append(_build(version, split, backbone, structure, arguments.get("coords_res")))
        except (ValueError, TypeError, OverflowError) as error:
            reasons.append(str(error))
    if not configs:
        raise CheckpointError(f"`arch` describes no network that can be built: {reasons[0]}")
    return configs


def _dotted(node: ast.expr, shown: str) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise CheckpointError(f"`arch` does not call a constructor by its name: {shown}")
    return ".".join([node.id, *reversed(parts)])


def _keyword(name: str | None, shown: str) -> str:
    if name is None:
        raise CheckpointError(f"`arch` unpacks a dictionary into its arguments: {shown}")
    return name


def _literal(name: str | None, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise CheckpointError(f"argument {name} of `arch` is not a literal: {ast.unparse(node)[:80]}") from None


def _check_options(name: str, version: _Version, arguments: dict[str, Any]) -> None:
    for option, value in arguments.items():
        if option in version.structure or option in _WITHOUT_INFLUENCE:
            continue
        if option not in version.only:
            raise CheckpointError(f"{name} has no option {option} (in `arch`)")
        supported = version.only[option]
        uniform = isinstance(value, (list, tuple)) and bool(value) and all(item == supported for item in value)
        if value != supported and not uniform:
            raise CheckpointError(f"option {option}={value!r} of `arch` is not supported, only {option}={supported!r}")


def _build(
    version: _Version, split: SignalSplit, backbone: object, structure: dict[str, Any], coords_res: Any
) -> Config:
    if backbone not in BACKBONES or BACKBONES[str(backbone)].family is not Family.EFFICIENTNET:
        raise ValueError(f"unknown backbone {backbone!r}")
    channels = structure.get("level_channels")
    scale = structure.get("out_feat_scale", 0.25)
    scale = 1.0 if scale is None else scale  # no reduction
    count = 6 if "level_channels" not in structure else None if channels is None else len(channels)
    if count is None:
        raise ValueError("level_channels is missing")
    classes = _integer("num_classes", structure["num_classes"])
    return Config(
        backbone=str(backbone),
        num_classes=classes,
        resolution=_resolution(coords_res, classes),
        dataset=_DATASETS.get(classes, ("custom", (512, 512)))[0],
        kernel_sizes=tuple(_integer("kernel_sizes", k) for k in _repeated("kernel_sizes", structure, count)),
        level_channels=None if channels is None else tuple(_integer("level_channels", c) for c in channels),
        weight_groups=tuple(_integer("weight_groups", g) for g in _repeated("weight_groups", structure, count)),
        expand_ratio=tuple(float(r) for r in _repeated("expand_ratio", structure, count)),
        out_feat_scale=tuple(float(s) for s in scale) if isinstance(scale, (list, tuple)) else (float(scale),) * 5,
        context_levels=_integer("levels", structure["levels"]),
        unify_level=_unify_level(structure),
        signal_split=split,
        **version.fixed,
    )


def _integer(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name}={value!r} is not an integer")
    return value


def _repeated(name: str, structure: dict[str, Any], count: int) -> Sequence[Any]:
    value = structure[name]
    return value if isinstance(value, (list, tuple)) else (value,) * count


def _unify_level(structure: dict[str, Any]) -> int | None:
    return _integer("unify_level", structure["unify_level"]) if "unify_level" in structure else None


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, (list, tuple)) and len(entry) == 2


_DATASETS = {
    11: ("camvid", (576, 768)),
    12: ("camvid", (576, 768)),
    19: ("cityscapes", (512, 1024)),
    21: ("voc", (512, 512)),
}


def _resolution(coords_res: Any, classes: int) -> tuple[int, int]:
    """Resolution of the published evaluation: the last of the cached ones; the others are crops."""
    if coords_res is not None:
        if not isinstance(coords_res, (list, tuple)) or not all(_is_pair(entry) for entry in coords_res):
            raise ValueError(f"coords_res={coords_res!r} is not a list of (height, width) pairs")
        if coords_res:
            return _integer("coords_res", coords_res[-1][0]), _integer("coords_res", coords_res[-1][1])
    return _DATASETS.get(classes, ("custom", (512, 512)))[1]
