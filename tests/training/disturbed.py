"""Script that runs `hyperseg-train` with initial weights perturbed by rounding: python disturbed.py ARGUMENTS."""

from hyperseg_export.rounding import disturbed

import hyperseg
from hyperseg.cli.train import main
from hyperseg.config import Config

create = hyperseg.create


def create_disturbed(network: str | Config) -> hyperseg.HyperSeg:
    model: hyperseg.HyperSeg = disturbed(create(network))
    return model


hyperseg.create = create_disturbed
main()
