"""A network in PyTorch as the runtime's inference on frames uses a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from hyperseg_runtime.backends.protocol import BatchRange, Images, Outputs
from hyperseg_runtime.preprocess import Labels
from hyperseg_runtime.upsampling import LowLogits, Placement, labels_at

if TYPE_CHECKING:
    import hyperseg


class CheckpointSession:
    """`hyperseg_runtime.network.Runs` of a network, one image at a time; images are normalised float32."""

    batch_range: BatchRange = (1, 1)
    gives_low_logits = True

    def __init__(self, model: hyperseg.HyperSeg) -> None:
        self._model = model

    def run(self, images: Images) -> Outputs:
        import torch

        with torch.inference_mode():
            return Outputs(labels=None, logits=np.asarray(self._model(torch.from_numpy(images)).numpy(), np.float32))

    def run_low(self, images: Images) -> LowLogits:
        import torch

        with torch.inference_mode():
            return np.asarray(self._model.forward_low(torch.from_numpy(images)).numpy(), np.float32)

    def run_labels(self, images: Images, placements: Sequence[Placement]) -> list[Labels]:
        return [labels_at(low, where) for low, where in zip(self.run_low(images), placements, strict=True)]
