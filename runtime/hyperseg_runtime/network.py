"""An open model, as inference on frames uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hyperseg_runtime.backends.protocol import BatchRange, Images, Outputs
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.metadata import InputSpec
from hyperseg_runtime.preprocess import Labels, Size, prepare
from hyperseg_runtime.upsampling import LowLogits, Placement

_MOST_IMAGES = 8
"""Of one run on a GPU, whose memory they take; on a CPU several images at once are not faster."""


def way_to_logits(engine: bool) -> str:
    """The remedy where a model, an engine or an ONNX file that ends in its own way, gives labels alone."""
    if engine:
        return "build the engine again (hyperseg-build-engine), or use its ONNX file (--model FILE)"
    return "its graph does not end in a bilinear enlargement and an arg max; export it with hyperseg-export"


class Runs(Protocol):
    """What inference on frames needs of a model; every `Session` has it, and is described there."""

    @property
    def batch_range(self) -> BatchRange: ...

    @property
    def gives_low_logits(self) -> bool: ...

    def run(self, images: Images) -> Outputs: ...

    def run_low(self, images: Images) -> LowLogits: ...

    def run_labels(self, images: Images, placements: Sequence[Placement]) -> list[Labels]: ...


@dataclass(frozen=True)
class Network:
    """A model and how frames are given to it."""

    session: Runs
    spec: InputSpec
    size: Size
    """Of the input."""
    on_gpu: bool = False
    threads: int | None = None
    """CPU threads for labels that are computed outside of the session; None: one for each core."""
    engine: bool = False
    """Whether the model is an engine."""

    @property
    def images_of_a_run(self) -> int:
        """As many as a model takes that is fixed to a number; of a dynamic one, what is worthwhile."""
        least, most = self.session.batch_range
        wanted = _MOST_IMAGES if self.on_gpu else 1
        return max(least, wanted if most is None else min(wanted, most))

    def filled_up(self, images: Sequence[Images]) -> Images:
        """The images of one run, the last one repeated where the model is fixed to more."""
        repeated = [images[-1]] * max(0, self.session.batch_range[0] - len(images))
        joined: Images = np.concatenate([*images, *repeated]) if len(images) + len(repeated) > 1 else images[0]
        return joined

    def grey_image(self) -> Images:
        """An input for a run whose result does not matter."""
        return self.filled_up([prepare(np.full((*self.size, 3), 127, np.uint8), self.spec, self.size)])

    def low_size(self) -> Size:
        """The size of the low-resolution logits, from a run."""
        low = self.session.run_low(self.grey_image())
        return low.shape[2], low.shape[3]

    def check_gives_logits(self) -> None:
        """Raises ModelError where labels are all that the session gives."""
        if not self.session.gives_low_logits:
            raise ModelError(
                f"this model gives labels alone, and no logits to compute this from; {way_to_logits(self.engine)}"
            )
