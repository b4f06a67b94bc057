"""CamVid's classes, as the renderer writes them."""

from __future__ import annotations

from enum import IntEnum


class Label(IntEnum):
    """Index in `hyperseg.data.CAMVID_11`."""

    SKY = 0
    BUILDING = 1
    POLE = 2
    ROAD = 3
    PAVEMENT = 4
    TREE = 5
    SIGN = 6
    FENCE = 7
    CAR = 8
    PEDESTRIAN = 9
    CYCLIST = 10
