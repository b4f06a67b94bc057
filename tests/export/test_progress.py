"""Progress: stages in order with their parts counted, and its display where there is no terminal."""

from __future__ import annotations

import os
import subprocess
import sys

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


def test_a_stage_that_is_not_divided_is_not_shown_as_zero_percent() -> None:
    with StageDisplay("loading") as display:
        stages = Stages(2, display.show)
        stages.begin("comparing")
        stages.images(2, 2)
        (task,) = display._bar.tasks
        assert (task.total, task.completed) == (1, 0.5)
        stages.begin("writing")
        (task,) = display._bar.tasks
        assert (task.total, task.completed) == (None, 0)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo terminals here")
def test_a_terminal_without_a_cursor_gets_a_line_for_each_stage() -> None:
    parent, child = os.openpty()
    code = (
        "from hyperseg_export.cli.stage_display import StageDisplay\n"
        "from hyperseg_export.progress import Stages\n"
        "with StageDisplay('loading') as display:\n"
        "    stages = Stages(2, display.show)\n"
        "    stages.begin('reading [m].pt')\n"
        "    stages.part('block', 1, 2)\n"
        "    stages.begin('writing')\n"
    )
    environment = {**os.environ, "TERM": "dumb"}
    subprocess.run([sys.executable, "-c", code], stdout=child, stderr=child, env=environment, check=True, timeout=100)
    os.close(child)
    assert os.read(parent, 4096).decode().splitlines() == ["[1/2] reading [m].pt", "[2/2] writing"]
    os.close(parent)
