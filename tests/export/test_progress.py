"""Progress: stages in order with their parts counted, and its display where there is no terminal."""

from __future__ import annotations

import pytest
from hyperseg_export.cli.stage_display import StageDisplay
from hyperseg_export.progress import Stages, Step


def test_stages_and_parts() -> None:
    steps: list[Step] = []
    stages = Stages(2, steps.append)
    stages.begin("reading")
    stages.begin("comparing")
    stages.images(1, 4)
    stages.images(4, 4)
    assert steps == [
        Step(1, 2, "reading"),
        Step(2, 2, "comparing"),
        Step(2, 2, "comparing", 0.0, "image 1 of 4"),
        Step(2, 2, "comparing", 0.75, "image 4 of 4"),
    ]
    Stages(1).begin("nobody listens")


def test_without_a_terminal_only_notes_are_written(capfd: pytest.CaptureFixture[str]) -> None:
    with StageDisplay("loading") as display:
        stages = Stages(2, display.show)
        stages.begin("reading [m].pt")
        stages.part("block", 1, 2)
        display.note("[bold] a note")
    assert capfd.readouterr() == ("", "[bold] a note\n")
