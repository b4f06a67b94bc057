"""Network configuration: the options in which published files and variants differ."""

from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from functools import cached_property
from typing import Any

from hyperseg.backbones.catalogue import BACKBONES, Backbone
from hyperseg.classes import Classes, Colour, check_names, check_palette, class_set, own_classes
from hyperseg.shapes import LevelShape, SignalRanges, SignalSplit, WeightMapperShape, divide_channels

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Halo(str, Enum):
    """Weights that compute the hidden values in the halo of a patch, which the 3×3 of a meta block reads.

    OWN: the patch's own pw1, recomputed on the halo (v0_2, v1_0, unify).
    NEIGHBOURS: each neighbour's (v0_1, paper Sec. 3.3).
    """

    OWN = "own"
    NEIGHBOURS = "neighbours"


class ContextHead(str, Enum):
    """Variant of the nested U-Net of paper Fig. 2(c).

    NESTED halves the channels first (v0_2, v1_0, unify), FULL keeps them (v0_1).
    """

    NESTED = "nested"
    FULL = "full"


class KeyNames(str, Enum):
    """Naming scheme of the entries of a published file."""

    V0_1 = "v0_1"
    V1_0 = "v1_0"
    UNIFY = "unify"


@dataclass(frozen=True)
class Config:
    """Configuration of a network; immutable, hashable, and JSON through `to_dict`.

    Attributes:
        num_classes: channels of the logits and of the last level.
        resolution: published (height, width); inputs may be any multiple of `unit`.
        dataset: "camvid", "cityscapes" or "voc": class names and palette, unless the two below are given.
        class_names: names of one's own classes, in the order of the logits; None: the dataset's.
        palette: their colours, RGB from 0 to 255; None: the dataset's, or distinct ones for names of one's own.
        backbone: a name of `hyperseg.backbones.catalogue.BACKBONES`.
        kernel_sizes: one per decoder level, coarse to fine: 1 (a single DPWConv) or 3 (a meta block).
        level_channels: output channels of each level; None: as many as its skip feature has.
        weight_groups: groups of each w_i (paper, g_{w_i}).
        expand_ratio: hidden channels of a meta block over its input channels, one per level.
        out_feat_scale: reduction of F_1..F_5 (paper, r_i); exactly 1.0 means no layer.
        context_levels: depth of the context head (`levels` of the published constructors).
        unify_level: from level `unify_level - 1` on, the levels share one w; None: every level has its own.
        signal_channels: channels of φ that each w_i reads; None: divided by the rule `signal_split`. A network that was
            fine-tuned to other classes has those of the original one, since the rule depends on the classes.
        mapper_rows: outputs of each w_i, at least its weights; None: the next multiple of its groups.
        dynamic: False replaces every DPWConv by a regular convolution of the same size (paper, "w/o DPWConv").
        mean, std: normalisation of RGB in [0, 1].
        drop_connect, dropout: of the encoder, in training only.
    """

    num_classes: int
    resolution: tuple[int, int]
    kernel_sizes: tuple[int, ...]
    weight_groups: tuple[int, ...]
    expand_ratio: tuple[float, ...]
    level_channels: tuple[int, ...] | None = None
    out_feat_scale: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25, 0.25)
    backbone: str = "efficientnet-b1"
    dataset: str = "camvid"
    context_levels: int = 2
    context_head: ContextHead = ContextHead.NESTED
    signal_split: SignalSplit = SignalSplit.RESERVED
    signal_ranges: SignalRanges = SignalRanges.DISJOINT
    halo: Halo = Halo.OWN
    unify_level: int | None = None
    key_names: KeyNames = KeyNames.V1_0
    dynamic: bool = True
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    drop_connect: float = 0.2
    dropout: float = 0.2
    class_names: tuple[str, ...] | None = None
    palette: tuple[Colour, ...] | None = None
    signal_channels: tuple[int, ...] | None = None
    mapper_rows: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.kernel_sizes)
        if self.backbone not in BACKBONES:
            raise ValueError(f"backbone {self.backbone!r} is not one of {', '.join(BACKBONES)}")
        if not 1 <= count <= 6:
            raise ValueError(f"{count} decoder levels; use 1 to 6 (kernel_sizes)")
        if any(kernel not in (1, 3) for kernel in self.kernel_sizes):
            raise ValueError(f"kernel_sizes {self.kernel_sizes} must be 1 or 3")
        for name, length in (("level_channels", count), ("expand_ratio", count), ("out_feat_scale", 5)):
            value = getattr(self, name)
            if value is not None and len(value) != length:
                raise ValueError(f"{name} has {len(value)} entries, expected {length}")
        if self.unify_level is not None and not 1 <= self.unify_level <= count:
            raise ValueError(f"unify_level {self.unify_level} must be between 1 and {count}")
        if len(self.weight_groups) < self.mapper_count:
            raise ValueError(f"weight_groups has {len(self.weight_groups)} entries, expected {self.mapper_count}")
        for name, value, length in (("resolution", self.resolution, 2), ("mean", self.mean, 3), ("std", self.std, 3)):
            if len(value) != length or min(value) <= 0:
                raise ValueError(f"{name} {value} must be {length} positive numbers")
        if min(self.expand_ratio) <= 0 or (self.level_channels and min(self.level_channels) < 1):
            raise ValueError("expand_ratio and level_channels must be positive")
        if self.context_levels < 1 or self.num_classes < 1 or min(self.weight_groups) < 1:
            raise ValueError("context_levels, num_classes and weight_groups must be at least 1")
        self._check_classes()
        if self.dynamic:
            self.mappers  # noqa: B018  the division raises for channels that cannot be divided

    def _check_classes(self) -> None:
        for name, value in (("class_names", self.class_names), ("palette", self.palette)):
            if value is None:
                continue
            if not isinstance(value, tuple):
                raise ValueError(f"{name} {value!r:.60} must be a list")
            if len(value) != self.num_classes:
                raise ValueError(f"{name} has {len(value)} entries, expected {self.num_classes} (num_classes)")
        if self.class_names is not None:
            check_names(self.class_names)
        if self.palette is not None:
            check_palette(self.palette)

    @property
    def classes(self) -> Classes:
        """Names and colours of the classes: one's own where given, else the dataset's, by `class_set`."""
        if self.class_names is not None:
            return own_classes(self.class_names, self.palette)
        known = class_set(self.dataset, self.num_classes)
        return known if self.palette is None else Classes(known.names, self.palette)

    @property
    def backbone_shape(self) -> Backbone:
        """Channels and stages of the backbone."""
        return BACKBONES[self.backbone]

    @property
    def unit(self) -> int:
        """Heights and widths of inputs must be multiples of this."""
        return 32 << (self.context_levels - 1)

    @property
    def output_stride(self) -> int:
        """Stride of the finest decoder level: 1 with six levels, 2 with five."""
        return 1 << (6 - len(self.kernel_sizes))

    @property
    def mapper_count(self) -> int:
        """Number of weight mappers w_i."""
        return len(self.kernel_sizes) if self.unify_level is None else self.unify_level

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Channels of F_1..F_5 after their reduction."""
        channels = self.backbone_shape.features
        return tuple(round(c * s) for c, s in zip(channels, self.out_feat_scale, strict=True))

    @cached_property
    def levels(self) -> tuple[LevelShape, ...]:
        """The decoder's levels, coarse to fine."""
        skips = (*reversed(self.feature_channels), 3)
        shapes: list[LevelShape] = []
        for index, kernel in enumerate(self.kernel_sizes):
            mapper = min(index, self.mapper_count - 1)
            before = shapes[-1] if shapes else None
            shared = before is not None and before.mapper == mapper
            previous = before.outputs if before else 0
            last = index == len(self.kernel_sizes) - 1
            outputs = skips[index] if self.level_channels is None else self.level_channels[index]
            shapes.append(
                LevelShape(
                    index=index,
                    kernel=kernel,
                    skip=skips[index],
                    previous=previous,
                    hidden=round((2 + skips[index] + previous) * self.expand_ratio[index]) if kernel > 1 else 0,
                    outputs=self.num_classes if last else outputs,
                    mapper=mapper,
                    offset=before.offset + before.weights if before and shared else 0,
                )
            )
        return tuple(shapes)

    @cached_property
    def mappers(self) -> tuple[WeightMapperShape, ...]:
        """The weight mappers with their signal ranges (paper, Eq. 5)."""
        count = self.mapper_count
        weights = [sum(level.weights for level in self.levels if level.mapper == index) for index in range(count)]
        divided = self.signal_channels
        if divided is None:
            divided = divide_channels(self.backbone_shape.head, weights, self.weight_groups, self.signal_split)
        disjoint = self.signal_ranges is SignalRanges.DISJOINT
        rows = self.mapper_rows or (0,) * count
        self._check_division(weights, divided, rows)
        return tuple(
            WeightMapperShape(
                weights[i], self.weight_groups[i], sum(divided[:i]) if disjoint else 0, divided[i], rows[i]
            )
            for i in range(count)
        )

    def _check_division(self, weights: list[int], divided: tuple[int, ...], rows: tuple[int, ...]) -> None:
        """Check `signal_channels` and `mapper_rows`."""
        available = self.backbone_shape.head
        for name, value in (("signal_channels", divided), ("mapper_rows", rows)):
            if len(value) != len(weights):
                raise ValueError(f"{name} has {len(value)} entries, expected {len(weights)}")
        used = sum(divided) if self.signal_ranges is SignalRanges.DISJOINT else max(divided)
        if used > available:
            raise ValueError(f"signal_channels {divided} need {used} channels; φ has {available}")
        for channels, group, count, padded in zip(divided, self.weight_groups, weights, rows, strict=False):
            if channels < 1 or channels % group:
                raise ValueError(f"signal_channels {divided} must be multiples of weight_groups, at least one each")
            if padded and (padded < count or padded % group):
                raise ValueError(f"mapper_rows {padded} must be a multiple of {group}, and at least {count}")

    def replace(self, **changes: Any) -> "Config":
        """Copy with some fields changed."""
        return replace(self, **changes)

    def with_classes(self, classes: Classes) -> "Config":
        """Copy for one's own classes, in their order."""
        return self.replace(num_classes=len(classes), class_names=classes.names, palette=classes.palette)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types; the inverse of `from_dict`.

        Classes of one's own, and what only fine-tuned networks have, are left out where there are none, so that earlier
        versions read the file.
        """
        own = ("class_names", "palette", "signal_channels", "mapper_rows")
        return {key: _plain(value) for key, value in asdict(self).items() if key not in own or value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Config":
        """Create a configuration from the output of `to_dict`.

        Raises:
            ValueError: an unknown or missing key, or a value that no network can have; the message names it.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"unknown configuration keys: {', '.join(unknown)}")
        values: dict[str, Any] = {key: _frozen(value) for key, value in data.items()}
        for name, kind in _ENUMS.items():
            if name in values:
                values[name] = kind(values[name])
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"bad configuration: {error}") from None


_ENUMS: dict[str, type[Enum]] = {
    "context_head": ContextHead,
    "signal_split": SignalSplit,
    "signal_ranges": SignalRanges,
    "halo": Halo,
    "key_names": KeyNames,
}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
