"""The protocols of the benchmark, by name: what is timed, and what the figures of each say."""

from __future__ import annotations

from enum import Enum


class Protocol(Enum):
    """The timed part of a run. `value` is the letter on the command line."""

    UPLOAD_TO_DOWNLOAD = "A"
    DEVICE_ONLY = "B"
    VIDEO = "C"
    THROUGHPUT = "D"

    @property
    def title(self) -> str:
        return {
            Protocol.UPLOAD_TO_DOWNLOAD: "upload to download (SwiftNet protocol)",
            Protocol.DEVICE_ONLY: "device only",
            Protocol.VIDEO: "video end to end",
            Protocol.THROUGHPUT: "throughput of batches and concurrent streams",
        }[self]

    @property
    def explanation(self) -> str:
        return {
            Protocol.UPLOAD_TO_DOWNLOAD: (
                "After warm-up, for each image: upload the uint8 image, network, argmax, labels as bytes back on the "
                "host, synchronise. Resizing is not included. The headline."
            ),
            Protocol.DEVICE_ONLY: "The network alone, with input and output on the device.",
            Protocol.VIDEO: (
                "hyperseg-run's whole pipeline: decode, resize, network, overlay, H.264 encode, overlapped. "
                "One run over the clip."
            ),
            Protocol.THROUGHPUT: (
                "Protocol A with several images in a run (batch), and with several sessions at once (streams), among "
                "which the same number of CPU threads is divided."
            ),
        }[self]


VIDEO_DEFINITIONS = {
    "frames/s": "frames / seconds; a mean, since the stages overlap and no frame has a time of its own",
    "wall / inference": "seconds / (frames x median inference): 1 means that all else overlaps with the network",
    "stages": "median milliseconds of a frame",
}
"""The columns of protocol C, for its note and the record."""
