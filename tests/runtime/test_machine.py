"""The number of threads of an inference, and the machine's description."""

from __future__ import annotations

import os

import pytest
from hyperseg_runtime import machine


@pytest.mark.parametrize(
    ("cpus", "siblings", "quota", "threads"),
    [
        ({0, 1}, {0: "0", 1: "1"}, None, 2),
        ({0, 1, 2, 3}, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, None, 2),
        ({0, 1}, {0: "0,2", 1: "1,3"}, None, 2),
        ({0, 1, 2, 3}, {0: "0", 1: "1", 2: "2", 3: "3"}, 1.5, 1),
        ({0}, {0: "0"}, 0.5, 1),
    ],
    ids=["two cores", "two threads a core", "one thread of each core", "container quota", "half a core"],
)
def test_a_thread_for_each_core(
    monkeypatch: pytest.MonkeyPatch, cpus: set[int], siblings: dict[int, str], quota: float | None, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cpus)
    monkeypatch.setattr(machine, "_siblings", siblings.__getitem__)
    monkeypatch.setattr(machine, "_container_quota", lambda: quota)
    assert machine.inference_threads() == threads


def test_the_machine_describes_itself() -> None:
    about = machine.describe()
    assert about["cpu"]
    assert isinstance(about["versions"], dict)
    assert "numpy" in about["versions"]
