"""A whole benchmark: the protocols one after the other, then memory and profiles, into a record."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hyperseg_runtime.backends.nvml import Gpu, open_gpu
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.benchmark.conditions import Watch
from hyperseg_runtime.benchmark.footprint import peak_memory
from hyperseg_runtime.benchmark.measure import Series, measure, one_line
from hyperseg_runtime.benchmark.profile import profile_model
from hyperseg_runtime.benchmark.protocols import Protocol
from hyperseg_runtime.benchmark.record import Failure, Record
from hyperseg_runtime.benchmark.statistics import Distribution, ratios
from hyperseg_runtime.benchmark.subject import SingleRun, Subject
from hyperseg_runtime.benchmark.throughput import ThroughputRun
from hyperseg_runtime.benchmark.video import CLIP_FRAMES, make_clip, run_video

Phase = Callable[[str, "int | None"], Callable[[], None]]
"""Begins a phase of the work with a title and its number of steps; returns the function to call after each step."""
_PROFILED_RUNS = 20


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    protocols: Sequence[Protocol]
    repetitions: int
    warm_up: int
    video: Path | None
    """For protocol C; None: a synthetic clip."""
    max_frames: int | None
    profile: bool


@dataclass(frozen=True)
class Benchmark:
    """Measures `subjects` into `record`, which KeyboardInterrupt leaves with the results until then.

    A model that fails is left out of the steps after, and the others are measured on.
    """

    plan: Plan
    subjects: Sequence[Subject]
    record: Record
    phase: Phase

    def run(self) -> None:
        with ExitStack() as stack:
            gpu = stack.enter_context(open_gpu()) if any(one.on_gpu for one in self.subjects) else None
            for protocol in sorted(self.plan.protocols, key=lambda one: one.value):
                {
                    Protocol.UPLOAD_TO_DOWNLOAD: self._single_runs,
                    Protocol.DEVICE_ONLY: self._single_runs,
                    Protocol.VIDEO: self._videos,
                    Protocol.THROUGHPUT: self._throughput,
                }[protocol](protocol, gpu)
        self._memory()
        if self.plan.profile:
            self._profiles()

    @property
    def _healthy(self) -> list[Subject]:
        failed = {failure.model for failure in self.record.failures}
        return [subject for subject in self.subjects if subject.name not in failed]

    def _single_runs(self, protocol: Protocol, gpu: Gpu | None) -> None:
        series = [Series(SingleRun.of(subject, protocol)) for subject in self._healthy]
        advance = self.phase(f"{protocol.value}: {protocol.title}", self.plan.repetitions)
        watch = Watch(gpu)

        def on_round() -> None:
            watch.between_runs()
            advance()

        try:
            measure(series, self.plan.repetitions, warm_up=self.plan.warm_up, on_round=on_round)
        finally:
            found = [
                Distribution(one.timed.name, protocol, tuple(one.ms), one.timed.images) for one in series if one.ms
            ]
            self.record.conditions[protocol] = watch.end()
            self.record.distributions += found
            self.record.ratios += ratios(found)
            self._failed(
                (one.timed.name, f"protocol {protocol.value}, after {len(one.ms)} runs", one.error)
                for one in series
                if one.error is not None
            )

    def _videos(self, protocol: Protocol, gpu: Gpu | None) -> None:
        with tempfile.TemporaryDirectory(prefix="hyperseg-") as folder:
            clip, frames = self.plan.video, self.plan.max_frames
            if clip is None:
                clip = Path(folder) / "moving.mp4"
                make_clip(clip)
                frames = min(CLIP_FRAMES, self.plan.max_frames or CLIP_FRAMES)
            watch = Watch(gpu)
            try:
                for subject in self._healthy:
                    self._video(subject, clip, frames, watch)
            finally:
                self.record.conditions[protocol] = watch.end()

    def _video(self, subject: Subject, clip: Path, frames: int | None, watch: Watch) -> None:
        if not subject.takes(1):
            self.record.notes.append(
                f"{subject.name}, protocol C: left out, since the model takes {subject.batch} images at once "
                "and hyperseg-run gives it one"
            )
            return
        advance = self.phase(f"C: {subject.name}", frames)

        def on_frame(done: int) -> None:
            del done
            watch.between_runs()
            advance()

        try:
            result = run_video(subject.name, subject.segmenter, clip, self.plan.max_frames, on_frame)
        except Exception as error:  # whatever it is, the other models' results are kept
            self._failed([(subject.name, "protocol C", one_line(error))])
            return
        self.record.videos.append(result)
        if result.interrupted:
            raise KeyboardInterrupt

    def _throughput(self, protocol: Protocol, gpu: Gpu | None) -> None:
        watch = Watch(gpu)
        run = ThroughputRun(self._healthy, self.plan.repetitions)
        advance = self.phase(f"{protocol.value}: {protocol.title}", run.total_rounds)

        def on_round() -> None:
            watch.between_runs()
            advance()

        run.on_round = on_round
        try:
            run.run()
        finally:
            self.record.conditions[protocol] = watch.end()
            self.record.throughput += run.results
            self.record.notes += run.notes
            self._failed((model, f"protocol D, {point}", error) for model, point, error in run.failures)

    def _memory(self) -> None:
        advance = self.phase("peak memory", len(self._healthy))
        for subject in self._healthy:
            try:
                subject.check_unchanged()
                self.record.memory[subject.name] = peak_memory(subject.path, subject.opening)
            except Exception as error:
                self.record.notes.append(f"{subject.name}: no peak memory: {one_line(error)}")
            advance()

    def _profiles(self) -> None:
        profiled = [one for one in self._healthy if one.segmenter.backend is BackendName.ONNXRUNTIME]
        advance = self.phase("profile", len(profiled))
        for subject in profiled:
            try:
                subject.check_unchanged()
                found = profile_model(
                    subject.path,
                    subject.name,
                    threads=subject.opening.threads,
                    resolution=subject.opening.resolution,
                    repetitions=min(self.plan.repetitions, _PROFILED_RUNS),
                )
            except Exception as error:
                self.record.notes.append(f"{subject.name}: no profile: {one_line(error)}")
            else:
                self.record.profiles.append(found)
            advance()

    def _failed(self, failures: Iterable[tuple[str, str, str]]) -> None:
        self.record.failures += [Failure(*one) for one in failures]
