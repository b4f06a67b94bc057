"""Script that runs `hyperseg-train` with initial weights perturbed by rounding: python disturbed.py SEED ARGUMENTS."""

import sys

from hyperseg_export.rounding import disturbed

import hyperseg
from hyperseg.cli.train import main
from hyperseg.config import Config

create = hyperseg.create
seed = int(sys.argv.pop(1))


def create_disturbed(network: str | Config) -> hyperseg.HyperSeg:
    model: hyperseg.HyperSeg = disturbed(create(network), seed=seed)
    return model


hyperseg.create = create_disturbed
main()
