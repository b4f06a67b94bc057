"""Statistics of the benchmark on given numbers, the signs of an unsteady machine, and the interleaved measurement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime import cgroup, machine
from hyperseg_runtime.benchmark.conditions import Conditions, Counters, GpuSummary, Watch, read_counters, unsteady
from hyperseg_runtime.benchmark.measure import Series, measure
from hyperseg_runtime.benchmark.protocols import Protocol
from hyperseg_runtime.benchmark.record import Record
from hyperseg_runtime.benchmark.statistics import Distribution, Groups, ratios, two_groups
from hyperseg_runtime.benchmark.tables import side_by_side
from hyperseg_runtime.errors import ModelError


def distribution(ms: object, name: str = "m", images: int = 1) -> Distribution:
    return Distribution(name, Protocol.UPLOAD_TO_DOWNLOAD, tuple(np.asarray(ms, float)), images)


def test_statistics() -> None:
    one = distribution([*range(1, 101), 1050.0])
    assert (one.median, one.mean) == (51, 60.396039603960396)
    assert (one.percentile(5), one.percentile(95), one.percentile(99)) == (6, 96, 100)
    assert one.frames_per_second == 1000 / 51
    assert one.mean_frames_per_second == pytest.approx(1000 / 60.396039603960396)
    assert distribution([1, 3]).variation == pytest.approx(np.sqrt(2) / 2)
    assert one.noisy and not distribution(np.full(10, 3.0)).noisy
    assert distribution([7.0]).variation == 0


def test_the_frame_rate_and_the_median_agree_where_times_are_in_two_groups() -> None:
    """Their product is one second, however the mean is; the record has both by name."""
    one = distribution([100.0] * 60 + [300.0] * 40)
    record = one.to_dict()
    assert record["frames_per_second"] == 10 == 1000 / one.median
    assert (record["mean_ms"], record["mean_frames_per_second"]) == (180, 1000 / 180)
    assert record["two_groups"] == {"fast_runs": 60, "fast_ms": 100, "slow_runs": 40, "slow_ms": 300}


def test_a_batch_counts_all_its_images() -> None:
    assert distribution([20.0, 20.0], images=4).frames_per_second == 200
    assert distribution([20.0, 20.0], images=4).mean_frames_per_second == 200


@pytest.mark.parametrize(
    ("ms", "groups"),
    [
        ([100, 101, 99] * 10 + [150, 151, 149] * 4, Groups(30, 100, 12, 150)),
        ([150, 100] * 5, Groups(5, 100, 5, 150)),
        ([150, 100] * 4, None),
        ([100.0] * 30, None),
        ([100, 101, 99] * 10 + [105, 106, 104] * 10, None),  # apart, but by less than 10 %
        ([100, 101, 99] * 10 + [900] * 2, None),  # outliers
        (np.linspace(100, 200, 50), None),
        ([100.0, 200.0], None),
        ([100.0], None),
    ],
    ids=["two", "ten runs", "eight runs", "equal", "near", "outliers", "uniform", "two runs", "one run"],
)
def test_two_groups(ms: list[float], groups: Groups | None) -> None:
    assert two_groups(ms) == groups
    assert two_groups(ms[::-1]) == groups


def test_one_group_is_seldom_taken_for_two() -> None:
    rng = np.random.default_rng(0)
    shapes: list[Callable[[int], np.ndarray]] = [
        lambda runs: rng.normal(100, 15, runs),
        lambda runs: 100 * rng.lognormal(0, 0.2, runs),
        lambda runs: 100 + rng.exponential(30, runs),
    ]
    for runs in (6, 10, 50):
        assert sum(two_groups(shape(runs)) is not None for shape in shapes for _ in range(100)) <= 9


def test_drift() -> None:
    assert distribution([100.0] * 4 + [150.0] * 4 + [140.0] * 4).drift == pytest.approx(0.4)
    assert distribution(np.linspace(160, 100, 30)).drift is not None
    assert distribution([100.0] * 30).drift is None
    assert distribution([100.0, 200.0, 300.0]).drift is None


def test_the_interval_holds_the_true_ratio() -> None:
    """Over 60 simulated comparisons, a 95 % interval misses the true ratio at most a few times."""
    rng = np.random.default_rng(0)
    missed = 0
    for seed in range(60):
        disturbance = rng.lognormal(0, 0.2, 50)
        first = distribution(100 * disturbance * rng.lognormal(0, 0.02, 50), "a")
        second = distribution(80 * disturbance * rng.lognormal(0, 0.02, 50), "b")
        (ratio,) = ratios([first, second], seed)
        assert ratio.low <= ratio.ratio <= ratio.high
        missed += not ratio.low <= 0.8 <= ratio.high
    assert missed <= 8


def test_ratios_compare_the_rounds_that_both_have_and_times_of_an_image() -> None:
    base = distribution([100.0] * 10 + [900.0] * 40, "a")
    (ratio,) = ratios([base, distribution([50.0] * 10, "b")])
    assert (ratio.ratio, ratio.low, ratio.high) == (0.5, 0.5, 0.5)
    (ratio,) = ratios([distribution([100.0] * 5, "a"), distribution([150.0] * 5, "b", images=2)])
    assert ratio.ratio == 0.75
    assert ratios([base, distribution([50.0, 50.0], "b")]) == []
    assert ratios([]) == []


def test_a_table_of_ratios_names_each_baseline() -> None:
    """After a failure of the first model, the others are compared with the second."""
    a, b, c = (distribution([ms] * 5, name) for name, ms in (("a", 100.0), ("b", 50.0), ("c", 200.0)))
    table = side_by_side(Record([], 0, 5, 1, ratios=ratios([a, b])))
    assert table is not None and (table.title, table.rows[0][0]) == ("Relative to a", "b")
    table = side_by_side(Record([], 0, 5, 1, ratios=[*ratios([a, b]), *ratios([b, c])]))
    assert table is not None and "Relative to" not in table.title
    assert [row[0] for row in table.rows] == ["b, relative to a", "c, relative to b"]


GPU = GpuSummary(3, 1200, 900, 1980, 2600, 300, 350, 88, ("temperature",))


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        (Conditions(9, other_cpus=1.25), "likely cause: other processes kept 1.2 CPUs busy"),
        (Conditions(9, stolen=0.2), "likely cause: other virtual machines took 20% of the CPUs"),
        (Conditions(9, stopped=0.5), "likely cause: the container's CPU quota stopped the process for up to 50%"),
        (Conditions(9, gpu=GPU), "likely cause: the GPU lowered its clocks (temperature)"),
        (Conditions(9, 0.01, 0.001, 0.0), "no other load was seen, so perhaps"),
        (None, "no other load was seen, so perhaps"),
    ],
)
def test_unsteady_times_name_the_likely_cause(conditions: Conditions | None, words: str) -> None:
    line = unsteady(distribution([100, 100, 100, 200, 200, 200] * 5), conditions)
    assert line is not None and words in line and "\n" not in line
    assert line.startswith("m, protocol A: the times are in two groups, 15 runs around 100 ms, 15 around 200 ms; ")
    assert unsteady(distribution([100.0, 101.0] * 20), conditions) is None


def test_a_disturbance_of_few_long_runs_is_told_without_their_times() -> None:
    quiet, busy = Conditions(9, 0.05, 0.0, None), Conditions(9, 1.5, 0.1, None, GPU)
    record = Record([], 0, 3, 1, conditions={Protocol.VIDEO: quiet, Protocol.THROUGHPUT: busy})
    assert record.warnings == [
        "protocol D: other virtual machines took 10% of the CPUs and other processes kept 1.5 CPUs busy "
        "and the GPU lowered its clocks (temperature); measure again"
    ]


def test_a_governor_that_lowers_the_frequency_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_governor", lambda: "schedutil")
    assert "frequency governor (schedutil)" in (unsteady(distribution([1, 1, 1, 2, 2, 2]), None) or "")
    assert "rise by 102%" in (unsteady(distribution(np.linspace(10, 30, 90)), None) or "")


def test_counters_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """proc_stat(5): user nice system idle iowait irq softirq steal guest guest_nice, in ticks, of each CPU."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1})
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    (tmp_path / "proc").mkdir()
    stat = tmp_path / "proc/stat"
    stat.write_text("cpu 9 9 9 9 9 9 9 9 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\ncpu1 100 10 20 900 50 3 7 40 5 5\nintr 5\n")
    found = read_counters(tmp_path)
    assert found is not None
    assert (found.busy, found.stolen, found.stopped) == (1.4, 0.4, None)
    for text in ("cpu1 0 0 0 0 0 0 0 0 0 0\n", "nonsense", ""):
        stat.write_text(text)
        assert read_counters(tmp_path) is None
    assert read_counters(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("group", "mount", "stat"),
    [
        ("0::/", "cgroup2 cgroup rw", "usage_usec 5\nthrottled_usec 2500000\nbursts\n"),
        ("3:cpu,cpuacct:/", "cgroup cgroup rw,cpu,cpuacct", "nr_periods 9\nthrottled_time 2500000000\n"),
    ],
    ids=["version 2", "version 1"],
)
def test_time_for_which_the_quota_stopped_the_process(tmp_path: Path, group: str, mount: str, stat: str) -> None:
    for file, text in (("proc/self/cgroup", group), ("proc/self/mountinfo", f"9 8 0:1 / /groups rw - {mount}")):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(f"{text}\n")
    assert cgroup.stopped_seconds(tmp_path) is None
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups/cpu.stat").write_text(stat)
    assert cgroup.stopped_seconds(tmp_path) == pytest.approx(2.5)


def test_other_load_is_what_this_process_did_not_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    read = iter([Counters(100, 50, 1, 10, 0), Counters(110, 65, 3, 20, 1), None])
    conditions = Watch(counters=lambda: next(read)).end()
    assert (conditions.other_cpus, conditions.stolen, conditions.stopped) == (0.5, 0.1, 0.1)
    read = iter([Counters(100, 50, 1, 10, 0), Counters(110, 65, 3, 20, 35)])
    assert Watch(counters=lambda: next(read)).end().stopped == 1, "the kernel adds up the CPUs"
    read = iter([Counters(100, 50, 1, 10, 0), Counters(100.5, 65, 3, 20, 1)])
    assert Watch(counters=lambda: next(read)).end().other_cpus is None, "too short for the kernel's counters"


class Stub:
    """A `Timed` that logs its calls, and raises in call `fails_at`."""

    images = 1

    def __init__(
        self, name: str, log: list[str], fails_at: int | None = None, error: BaseException | None = None
    ) -> None:
        self.name, self._log, self._fails_at, self._error = name, log, fails_at, error
        self._calls = 0

    def seconds(self, number: int) -> float:
        self._log.append(self.name)
        self._calls += 1
        if self._calls == self._fails_at:
            assert self._error is not None
            raise self._error
        return 0.001 * (number + 1)


def test_models_take_turns() -> None:
    order: list[str] = []
    series = [Series(Stub(name, order)) for name in "ab"]
    measure(series, 40, warm_up=2)
    assert order[:4] == ["a", "a", "b", "b"]
    rounds = [tuple(order[at : at + 2]) for at in range(4, len(order), 2)]
    assert set(rounds) == {("a", "b"), ("b", "a")}
    assert [one.ms for one in series] == [pytest.approx(range(1, 41))] * 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModelError("the GPU failed"), "the GPU failed"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("of a\nlibrary"), "RuntimeError: of a library"),
    ],
)
def test_a_model_that_fails_leaves_the_others_running(error: Exception, words: str) -> None:
    order: list[str] = []
    series = [Series(Stub("a", order, 5, error)), Series(Stub("b", order))]
    measure(series, 10, warm_up=2)
    assert [len(one.ms) for one in series] == [2, 10]
    assert series[0].error is not None and words in series[0].error
    assert order.count("a") == 5, "a model that failed is not run again"


def test_an_interruption_keeps_the_runs_before() -> None:
    order: list[str] = []
    series = [Series(Stub("a", order)), Series(Stub("b", order, 8, KeyboardInterrupt()))]
    with pytest.raises(KeyboardInterrupt):
        measure(series, 100, warm_up=2)
    assert len(series[1].ms) == 5
    assert len(series[0].ms) in (5, 6)
