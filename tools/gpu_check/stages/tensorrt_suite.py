"""The suite tests/gpu: every test vector through the plug-ins, and engines built, run, captured and timed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from gpu_check.stage import ROOT, Context, Reporter


def run(context: Context, reporter: Reporter) -> None:
    results = Path(context.work) / "tensorrt.xml"
    command = [
        sys.executable, "-m", "pytest", "tests/gpu", "-m", "gpu", "-q", "-p", "no:cacheprovider",
        f"--junitxml={results}",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=max(context.seconds_left, 5.0)
        )
    except subprocess.TimeoutExpired:
        reporter.fail("the suite did not end within its time; scripts/test.sh -m gpu runs it alone")
        return
    if not results.exists():
        reporter.fail(f"pytest ended with {done.returncode}: {' '.join(done.stdout.split())[-300:]}")
        return
    for name, outcome, text in outcomes(results.read_text()):
        passed = {} if outcome == "skipped" else {"ok": outcome == "passed"}
        reporter.row("tests/gpu", test=name, outcome=outcome, text=text, **passed)


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
