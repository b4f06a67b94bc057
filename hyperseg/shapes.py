"""Shapes of the decoder levels and weight mappers, and the split of the signal's channels among the mappers.

The split follows paper Eq. 5 and supplement A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class SignalSplit(str, Enum):
    """Rule that distributes signal channels in units of the largest weight group.

    RESERVED: one unit per level in advance, the rest in proportion to the number of weights (v1_0, unify, the paper).
    PROPORTIONAL: no unit in advance; the smallest group gets what is left (v0_2).
    PROPORTIONAL_ROUNDED: as PROPORTIONAL, with weight counts rounded up to the groups and units of at least 8 (v0_1).
    RESERVED_UNFILLED: as RESERVED, but the smallest group does not get what is left (a second form of v0_2).
    """

    RESERVED = "reserved"
    PROPORTIONAL = "proportional"
    PROPORTIONAL_ROUNDED = "proportional-rounded"
    RESERVED_UNFILLED = "reserved-unfilled"


class SignalRanges(str, Enum):
    """Channels of φ that a weight mapper reads: consecutive ranges (paper), or each from channel 0 (v1_0, v0_2)."""

    DISJOINT = "disjoint"
    FROM_ZERO = "from-zero"


def round_up(value: int, multiple: int) -> int:
    """Round up to a multiple of `multiple`."""
    return -(-value // multiple) * multiple


def divide_channels(
    channels: int, weights: Sequence[int], groups: Sequence[int], split: SignalSplit
) -> tuple[int, ...]:
    """Divide the signal channels among the weight mappers.

    Args:
        channels: channels C of the signal φ.
        weights: number of generated weights P_i of each weight mapper.
        groups: weight groups; the largest is the unit of the division (groups may be longer than weights).
        split: the rule.

    Raises:
        ValueError: C is not a multiple of the unit, or is too small to give every mapper a unit.
    """
    unit = max(groups)
    if split is SignalSplit.PROPORTIONAL_ROUNDED:
        unit = max(8, unit)
        weights = [round_up(count, group) for count, group in zip(weights, groups, strict=False)]
    if channels % unit:
        raise ValueError(f"{channels} signal channels are not a multiple of the largest weight group {unit}")
    members = _equal_members(weights)
    shares = _shares(channels // unit, weights, [(weights[indices[0]], len(indices)) for indices in members], split)
    divided = [0] * len(weights)
    for indices, share in zip(members, shares, strict=True):
        for index in indices:
            divided[index] = share // len(indices) * unit
    if min(divided) <= 0:
        raise ValueError(f"{channels} signal channels in units of {unit} are too few for weight counts {list(weights)}")
    return tuple(divided)


def _equal_members(weights: Sequence[int]) -> list[list[int]]:
    """Group the indices of equal weight counts, the group with the most weights first."""
    groups: dict[int, list[int]] = {}
    for index in sorted(range(len(weights)), key=lambda i: weights[i]):
        groups.setdefault(weights[index], []).append(index)
    return sorted(groups.values(), key=lambda indices: weights[indices[0]] * len(indices), reverse=True)


def _shares(units: int, weights: Sequence[int], groups: Sequence[tuple[int, int]], split: SignalSplit) -> list[int]:
    """Units of each group of equal levels; groups are (weights of one member, number of members)."""
    reserve = split in (SignalSplit.RESERVED, SignalSplit.RESERVED_UNFILLED)
    ratio = units / sum(weights)  # a float, as in the published code: its rounding decides the channel counts
    shares = [count if reserve else 0 for _, count in groups]
    remaining = units - sum(shares)
    for index, (size, count) in enumerate(groups[:-1]):
        share = int(max(size * count * ratio, count if reserve else 1)) // count * count
        if reserve:
            share = min(share - count, remaining)
        shares[index] += share
        remaining -= share
    if split is not SignalSplit.RESERVED_UNFILLED or len(groups) == 1:
        shares[-1] += remaining
    return shares


@dataclass(frozen=True)
class WeightMapperShape:
    """Shape of one w_i: signal[start : start + channels] -> weights, by a grouped 1×1 convolution (paper, Eq. 3).

    Attributes:
        weights: outputs that are used.
        padded: multiple of the groups that the outputs are padded to; 0 for the next one.
    """

    weights: int
    groups: int
    start: int
    channels: int
    padded: int = 0

    @property
    def rows(self) -> int:
        """Output channels of w_i: the weights, padded to a multiple of the groups."""
        return self.padded or round_up(self.weights, self.groups)

    @property
    def length(self) -> int:
        """Rows of one group, L of θ [N, T, N_h, N_w, L]."""
        return self.rows // self.groups


@dataclass(frozen=True)
class LevelShape:
    """Shape of one decoder level, from stride 32 (index 0) to the finest.

    Attributes:
        skip: channels of F_i or of the image.
        previous: channels of the coarser level's output, 0 at level 0.
        hidden: channels between pw1 and pw2; 0 for a level that is a single 1×1 DPWConv.
        outputs: output channels.
        mapper: index of the weight mapper that generates its weights.
        offset: index of its first weight in that mapper's output.
    """

    index: int
    kernel: int
    skip: int
    previous: int
    hidden: int
    outputs: int
    mapper: int
    offset: int

    @property
    def inputs(self) -> int:
        """Channels of the composed input: two coordinates, the skip feature, the upsampled previous output."""
        return 2 + self.skip + self.previous

    @property
    def pieces(self) -> tuple[int, ...]:
        """Weights of each convolution in θ's order: (pw,) or (pw1, dw, pw2)."""
        if not self.hidden:
            return (self.inputs * self.outputs,)
        return (self.inputs * self.hidden, self.kernel**2 * self.hidden, self.hidden * self.outputs)

    @property
    def weights(self) -> int:
        """P_i, the number of weights per patch."""
        return sum(self.pieces)
