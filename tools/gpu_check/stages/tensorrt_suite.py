"""The suite tests/gpu: test vectors through the plugins and PyTorch, and engines built, run, captured and timed."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from gpu_check.processes import run_limited
from gpu_check.stage import Context, Reporter, SkipStageError

_LINE = re.compile(r"^tests/gpu/\S+::(.+?) (PASSED|FAILED|ERROR|SKIPPED)", re.MULTILINE)
_TABLE = "tests/gpu"


def run(context: Context, reporter: Reporter) -> None:
    results = Path(context.work) / "tensorrt.xml"
    command = [
        sys.executable, "-m", "pytest", "tests/gpu", "-m", "gpu", "-v", "-p", "no:cacheprovider",
        "-o", "junit_logging=system-out", "-o", "junit_log_passing_tests=true", f"--junitxml={results}",
    ]  # fmt: skip
    code, text = run_limited(command, max(context.seconds_left, 5.0))
    if code is None:
        _cut_short(text, reporter)
        return
    if not results.exists():
        reporter.fail(f"pytest ended with exit code {code}: {' '.join(text.split())[-300:]}")
        return
    skipped: Counter[str] = Counter()
    ran = 0
    for name, outcome, said in outcomes(results.read_text()):
        if outcome == "skipped":
            skipped[said] += 1
            continue
        ran += 1
        reporter.row(_TABLE, test=name, outcome=outcome, text=said, ok=outcome == "passed")
    for reason, count in skipped.most_common():
        reporter.row("skipped", tests=count, reason=reason)
    if not ran and not context.host:
        reason, _ = skipped.most_common(1)[0] if skipped else ("none was collected", 0)
        raise SkipStageError(f"none of {skipped.total()} tests ran; most often: {reason}")


def _cut_short(text: str, reporter: Reporter) -> None:
    """The output of pytest up to the time limit."""
    found = _LINE.findall(text)
    for name, outcome in found:
        if outcome != "SKIPPED":
            reporter.row(_TABLE, test=name, outcome=outcome.lower(), ok=outcome == "PASSED")
    total = re.search(r"collected (\d+) items", text)
    reporter.cut(f"{len(found)} of {total[1] if total else 'its'} tests were done in time; try --minutes 30")


def outcomes(report: str) -> list[tuple[str, str, str]]:
    """Name, outcome and first line of every test in a JUnit report of pytest."""
    found = []
    for case in ElementTree.fromstring(report).iter("testcase"):
        problem = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        outcome = "passed" if problem is None else problem.tag.replace("failure", "failed")
        text = "" if problem is None else " ".join(problem.get("message", "").split())[:200]
        if outcome == "passed" and (output := case.findtext("system-out")):
            text = output.strip().splitlines()[-1][:300]  # the frame rate that the test prints
        found.append((case.get("name", ""), outcome, text))
    return found
