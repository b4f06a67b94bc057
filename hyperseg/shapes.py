"""Sizes of the decoder's levels and of the weight mappers that feed them."""

from dataclasses import dataclass

from hyperseg.signal import round_up


@dataclass(frozen=True)
class WeightMapperShape:
    """One w_i: signal[start : start + channels] -> weights, by a grouped 1×1 convolution (paper, Eq. 3)."""

    weights: int
    groups: int
    start: int
    channels: int

    @property
    def rows(self) -> int:
        """Output channels of w_i: the weights, padded to a multiple of the groups."""
        return round_up(self.weights, self.groups)


@dataclass(frozen=True)
class LevelShape:
    """One level of the decoder, from stride 32 (index 0) to the finest.

    Attributes:
        skip: channels of F_i or of the image.
        previous: channels of the coarser level's output, 0 at level 0.
        hidden: channels between pw1 and pw2; 0 for a level that is a single 1×1 DPWConv.
        outputs: channels that the level puts out.
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
