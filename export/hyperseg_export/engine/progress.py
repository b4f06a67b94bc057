"""How far a build is, from the nested phases that TensorRT's progress monitor reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class PhaseTree:
    """Phases within phases: a phase is a step of its parent, so all together have one share between 0 and 1."""

    def __init__(self) -> None:
        self._phases: dict[str, _Phase] = {}
        self._furthest = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        self._phases[name] = _Phase(parent, max(steps, 1))

    def step(self, name: str, step: int) -> None:
        if name in self._phases:
            self._phases[name].done = min(step + 1, self._phases[name].steps)

    def finish(self, name: str) -> None:
        self._phases.pop(name, None)

    def share(self) -> float:
        """Of the whole build. It never goes back, though phases come and go."""
        roots = [name for name, phase in self._phases.items() if phase.parent not in self._phases]
        if roots:
            self._furthest = max(self._furthest, self._share_of(roots[0]))
        return self._furthest

    def _share_of(self, name: str) -> float:
        phase = self._phases[name]
        children = [child for child, other in self._phases.items() if other.parent == name]
        inner = max(map(self._share_of, children), default=0.0)
        return min(1.0, (phase.done + inner) / phase.steps)


def make_monitor(trt: Any, report: Callable[[str, float], None]) -> Any:
    """A progress monitor for this TensorRT. A class made here, since its base belongs to the module passed in."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._tree = PhaseTree()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._tree.start(phase_name, parent_phase, num_steps)
            report(phase_name, self._tree.share())

        def phase_finish(self, phase_name: str) -> None:
            self._tree.finish(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._tree.step(phase_name, step)
            report(phase_name, self._tree.share())
            return True

    return Monitor()
