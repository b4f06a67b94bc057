"""Inference on the tiles of a frame: windows at the network's own scale, a band of the frame's rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.inference import FrameInference, FrameLogits, Inference, Probabilities
from hyperseg_runtime.network import Network
from hyperseg_runtime.preprocess import Frame, Labels, Size, batch_labels, check_frame, prepare
from hyperseg_runtime.tiling import Band, Tiling
from hyperseg_runtime.upsampling import LowLogits, confidence_at, labels_at, probabilities_at

_LOGIT = 4
"""Pixels of the network's input to one logit, at most."""


class TileInference:
    """The `Inference` of frames that are cut into tiles.

    Besides the frame and its result, memory holds the logits of one row of windows.
    """

    def __init__(self, network: Network) -> None:
        """Raises ModelError where the session gives no logits."""
        network.check_gives_logits()
        self._network, self._session, self._size = network, network.session, network.size
        self._low: Size | None = None

    def prepare(self, frame: Frame) -> TiledFrame:
        check_frame(frame)
        return TiledFrame(self, frame)

    def batch(self, frames: Sequence[Frame]) -> list[Labels]:
        return [self.prepare(frame).labels() for frame in frames]

    def labels(self, frame: Frame) -> Labels:
        """uint8 [h, w]; the file's own where the frame is of the network's input size."""
        if frame.shape[:2] == self._size:
            image = prepare(frame, self._network.spec, self._size)
            own: Labels = batch_labels(self._session.run(self._network.filled_up([image])))[0]
            return own
        labels = np.empty(frame.shape[:2], np.uint8)
        for band in self.bands(frame):
            labels[band.rows] = labels_at(band.logits, band.placement, self._network.threads)[band.margin]
        return labels

    def bands(self, frame: Frame) -> Iterator[Band]:
        """The frame's rows, from the top, with their logits."""
        if self._low is None:
            self._low = self._network.low_size()
        tiling = Tiling((frame.shape[0], frame.shape[1]), self._size, self._low)
        return tiling.blended(self._logits(frame, tiling))

    def _logits(self, frame: Frame, tiling: Tiling) -> Iterator[LowLogits]:
        """[C, h, w] of each window."""
        corners = list(tiling.corners())
        count = self._network.images_of_a_run
        for at in range(0, len(corners), count):
            images = [self._image(frame, *corner) for corner in corners[at : at + count]]
            yield from self._session.run_low(self._network.filled_up(images))[: len(images)]

    def _image(self, frame: Frame, top: int, left: int) -> Images:
        """The window with this corner as the network's input."""
        height, width = self._size
        spec = self._network.spec
        part = frame[top : top + height, left : left + width]
        below, beside = height - part.shape[0], width - part.shape[1]
        if below or beside:
            # Beyond the frame is the mean colour, as in letterboxed frames; less than a logit's pixels are repeated.
            colour = np.rint(255.0 * np.asarray(spec.mean))[::-1].tolist()
            for down, across in ((below, 0), (0, beside)):
                kind = cv2.BORDER_REPLICATE if down + across < _LOGIT else cv2.BORDER_CONSTANT
                part = np.asarray(cv2.copyMakeBorder(part, 0, down, 0, across, kind, value=colour), np.uint8)
        return prepare(part, spec, self._size)


@dataclass(frozen=True)
class TiledFrame:
    """A `PreparedFrame` that is cut while it is segmented."""

    inference: TileInference
    frame: Frame

    def labels(self) -> Labels:
        return self.inference.labels(self.frame)

    def labels_or_logits(self) -> Labels | FrameLogits:
        return self.labels()

    def logits(self) -> FrameLogits:
        raise InputError("a frame that is cut into tiles has no logits as a whole; use fit stretch or letterbox")

    def probabilities(self) -> Probabilities:
        result: Probabilities | None = None
        for band in self.inference.bands(self.frame):
            if result is None:
                result = np.empty((len(band.logits), *self.frame.shape[:2]), np.float16)
            result[:, band.rows] = probabilities_at(band.logits, band.placement)[:, band.margin]
        assert result is not None
        return result

    def confidence(self) -> Probabilities:
        result = np.empty(self.frame.shape[:2], np.float16)
        for band in self.inference.bands(self.frame):
            result[band.rows] = confidence_at(band.logits, band.placement)[band.margin]
        return result


def inference_of(network: Network, fit: Fit) -> Inference:
    """The `Inference` of a fit. Raises ModelError for tiles where the session gives no logits."""
    return TileInference(network) if fit is Fit.TILE else FrameInference(network, fit is Fit.LETTERBOX)
