"""Conditions of a measurement: other load on the CPUs, and the GPU's clocks, power and temperature.

Other load is what Linux counts (proc_stat(5), cpu.stat of control groups); elsewhere it is unknown.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hyperseg_runtime import cgroup, machine
from hyperseg_runtime.backends.nvml import Gpu, GpuState
from hyperseg_runtime.benchmark.statistics import Distribution

_SHORTEST = 1.0
"""Seconds below which the kernel's counters (of 10 ms) say nothing."""
_MUCH_STOLEN, _MUCH_STOPPED, _MUCH_OTHER = 0.02, 0.01, 0.10
_GPU_SECONDS = 0.2
"""Between two readings of the GPU, each of which takes milliseconds."""


@dataclass(frozen=True)
class Counters:
    """Seconds since the machine started."""

    wall: float
    busy: float
    """Of all processes on this process's CPUs."""
    stolen: float
    """By other virtual machines."""
    own: float
    stopped: float | None
    """By the container's quota, added up over the CPUs; None without one."""


@dataclass(frozen=True)
class Conditions:
    """What happened on the machine during a measurement; None where it is unknown."""

    seconds: float
    other_cpus: float | None = None
    """CPUs that other processes kept busy, on average."""
    stolen: float | None = None
    """Share of the CPUs' time that other virtual machines took."""
    stopped: float | None = None
    """Upper bound of the share of the time in which the container's CPU quota stopped this process, at most 1: the
    kernel adds up the CPUs."""
    gpu: GpuSummary | None = None

    def to_dict(self) -> dict[str, object]:
        return {
            "seconds": round(self.seconds, 3),
            "other_load_cpus": self.other_cpus,
            "stolen_share": self.stolen,
            "stopped_by_quota_share": self.stopped,
            "gpu": None if self.gpu is None else self.gpu.to_dict(),
        }


@dataclass(frozen=True)
class GpuSummary:
    """Readings of a GPU between the runs of a measurement."""

    readings: int
    graphics_mhz: float | None
    """Median, as the other figures without another word."""
    lowest_graphics_mhz: float | None
    largest_graphics_mhz: int | None
    """That the GPU can run at."""
    memory_mhz: float | None
    watts: float | None
    watts_limit: float | None
    highest_celsius: float | None
    reasons: tuple[str, ...] | None
    """Why the clocks were lower than they could be, in any reading; empty if they were not."""

    @staticmethod
    def of(states: list[GpuState], gpu: Gpu) -> GpuSummary:
        def known(name: str) -> list[float]:
            return [value for state in states if (value := getattr(state, name)) is not None]

        def median(name: str) -> float | None:
            return statistics.median(known(name)) if known(name) else None

        told = [state.reasons for state in states if state.reasons is not None]
        return GpuSummary(
            readings=len(states),
            graphics_mhz=median("graphics_mhz"),
            lowest_graphics_mhz=min(known("graphics_mhz"), default=None),
            largest_graphics_mhz=gpu.largest_graphics_mhz,
            memory_mhz=median("memory_mhz"),
            watts=median("watts"),
            watts_limit=gpu.watts_limit,
            highest_celsius=max(known("celsius"), default=None),
            reasons=tuple(dict.fromkeys(reason for reasons in told for reason in reasons)) if told else None,
        )

    def to_dict(self) -> dict[str, object]:
        return {**vars(self), "reasons": None if self.reasons is None else list(self.reasons)}


def read_counters(root: Path = Path("/")) -> Counters | None:
    """None elsewhere than on Linux. `root` replaces the file system's."""
    try:
        own_cpus = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        ticks = os.sysconf("SC_CLK_TCK")
        lines = (root / "proc/stat").read_text(encoding="ascii").splitlines()
        rows = [[int(value) for value in words[1:]] for line in lines if (words := line.split())[0] in own_cpus]
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    # user nice system idle iowait irq softirq steal; guests are in user
    busy = sum(sum(row[:3]) + sum(row[5:7]) for row in rows) / ticks
    if not busy:  # a sandbox without counters
        return None
    stolen = sum(row[7] for row in rows) / ticks
    return Counters(time.monotonic(), busy, stolen, time.process_time(), cgroup.stopped_seconds(root))


@dataclass
class Watch:
    """Watches the machine from construction to `end`; `between_runs` reads the GPU, outside of the timed parts."""

    gpu: Gpu | None = None
    counters: Callable[[], Counters | None] = read_counters
    _states: list[GpuState] = field(default_factory=list)
    _read: float = float("-inf")

    def __post_init__(self) -> None:
        self._start = self.counters()
        self._started = time.monotonic()

    def between_runs(self) -> None:
        now = time.monotonic()
        if self.gpu is not None and now - self._read >= _GPU_SECONDS:
            self._states.append(self.gpu.state())
            self._read = now

    def end(self) -> Conditions:
        seconds = time.monotonic() - self._started
        gpu = GpuSummary.of(self._states, self.gpu) if self.gpu is not None and self._states else None
        before, after = self._start, self.counters()
        if before is None or after is None or after.wall - before.wall < _SHORTEST:
            return Conditions(seconds, gpu=gpu)
        wall = after.wall - before.wall
        cpus = len(os.sched_getaffinity(0))
        return Conditions(
            seconds,
            round(max(0.0, (after.busy - before.busy) - (after.own - before.own)) / wall, 3),
            round((after.stolen - before.stolen) / (wall * cpus), 4),
            None
            if after.stopped is None or before.stopped is None
            else round(min(1.0, (after.stopped - before.stopped) / wall), 4),
            gpu,
        )


def unsteady(one: Distribution, conditions: Conditions | None) -> str | None:
    """One line where the times are in two groups, noisy or drift: how, and the likely cause. None otherwise."""
    if one.groups is not None:
        how = f"the times are in two groups, {one.groups}"
    elif one.drift is not None and one.noisy:
        how = f"the times {'rise' if one.drift > 0 else 'fall'} by {abs(one.drift):.0%} during the measurement"
    elif one.noisy:
        how = f"the times vary by {one.variation:.0%}"
    else:
        return None
    return f"{one.name}, protocol {one.protocol.value}: {how}; {_cause(one, conditions)}; measure again"


def _cause(one: Distribution, conditions: Conditions | None) -> str:
    causes = [] if conditions is None else disturbances(conditions)
    if causes:
        return f"likely cause: {' and '.join(causes)}"
    governor = machine.cpu_governor()
    if governor not in (None, "performance"):
        causes.append(f"the CPU's frequency governor ({governor})")
    causes.append(
        "heat or a power limit" if one.drift is not None else "heat, a power limit or short bursts of other load"
    )
    return f"no other load was seen, so perhaps {', or '.join(causes)}"


def disturbances(conditions: Conditions) -> list[str]:
    """What else happened on the machine, as parts of a sentence; empty where nothing was seen."""
    found = []
    if (conditions.stopped or 0) > _MUCH_STOPPED:
        found.append(f"the container's CPU quota stopped the process for up to {conditions.stopped:.0%} of the time")
    if (conditions.stolen or 0) > _MUCH_STOLEN:
        found.append(f"other virtual machines took {conditions.stolen:.0%} of the CPUs")
    if (conditions.other_cpus or 0) > _MUCH_OTHER:
        found.append(f"other processes kept {conditions.other_cpus:.1f} CPUs busy")
    if conditions.gpu is not None and conditions.gpu.reasons:
        found.append(f"the GPU lowered its clocks ({', '.join(conditions.gpu.reasons)})")
    return found
