"""Published frame rates and accuracies from the paper: other hardware, shown for reference and never compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedPoint:
    """One row of a table."""

    name: str
    miou: float
    """Mean IoU on the test set, percent."""
    frames_per_second: float
    hyperseg: bool = False


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper."""

    title: str
    source: str
    points: tuple[PublishedPoint, ...]


_PAPER = "Nirkin, Wolf, Hassner: HyperSeg, CVPR 2021"
HARDWARE = "NVIDIA GeForce GTX 1080 Ti for HyperSeg; others as their authors report"

CITYSCAPES = PublishedTable(
    "Cityscapes test",
    f"{_PAPER}, Tab. 3",
    (
        PublishedPoint("ERFNet", 69.7, 41.7),
        PublishedPoint("ESPNet", 60.3, 112.9),
        PublishedPoint("ESPNetV2", 66.2, 61.9),
        PublishedPoint("ICNet", 69.5, 30.3),
        PublishedPoint("GUNet", 70.4, 33.3),
        PublishedPoint("DFANet A'", 70.3, 160.0),
        PublishedPoint("DFANet A", 71.3, 100.0),
        PublishedPoint("SwiftNetRN-18", 75.5, 39.9),
        PublishedPoint("BiSeNetV1", 74.7, 65.5),
        PublishedPoint("BiSeNetV2", 72.6, 156.0),
        PublishedPoint("BiSeNetV2-L", 75.3, 47.3),
        PublishedPoint("TD4-Bise18", 74.9, 47.6),
        PublishedPoint("HyperSeg-M", 75.8, 36.9, hyperseg=True),
        PublishedPoint("HyperSeg-S", 78.1, 16.1, hyperseg=True),
    ),
)

CAMVID = PublishedTable(
    "CamVid test, no outside data",
    f"{_PAPER}, Tab. 4",
    (
        PublishedPoint("ICNet", 67.1, 27.8),
        PublishedPoint("DFANet A", 64.7, 120.0),
        PublishedPoint("SwiftNetRN-18", 72.6, 85.8),
        PublishedPoint("BiSeNetV1", 68.7, 116.2),
        PublishedPoint("BiSeNetV2", 72.4, 124.5),
        PublishedPoint("BiSeNetV2-L", 73.2, 32.7),
        PublishedPoint("TD4-PSP18", 72.6, 25.0),
        PublishedPoint("TD2-PSP50", 76.0, 11.1),
        PublishedPoint("HyperSeg-S", 78.4, 38.0, hyperseg=True),
        PublishedPoint("HyperSeg-L", 79.1, 16.6, hyperseg=True),
    ),
)
