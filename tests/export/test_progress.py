"""Progress: stages in order with their parts counted, and its display where stderr is no terminal."""

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


def test_lines_end_with_the_completed_stages(capfd: pytest.CaptureFixture[str]) -> None:
    def work(lines: bool) -> None:
        with StageDisplay("loading", lines) as display:
            stages = Stages(2, display.show)
            stages.begin("reading [m].pt")
            stages.begin("writing")
            stages.part("block", 1, 2)
            display.note("[bold] a note")
            raise ValueError

    for lines in (True, False):
        with pytest.raises(ValueError):
            work(lines)
        out, err = capfd.readouterr()
        assert out == ""
        assert [line.partition(":")[0] for line in err.splitlines()] == [
            *["[1/2] reading [m].pt"] * lines,
            "[bold] a note",
        ]
