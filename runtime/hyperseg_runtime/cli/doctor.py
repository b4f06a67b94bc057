"""Command hyperseg-doctor: diagnosis of the installation and of the available backends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from hyperseg_runtime.cli import common

if TYPE_CHECKING:
    from hyperseg_runtime.diagnosis import Diagnosis

_EXAMPLES = """
\b
Examples:
  hyperseg-doctor
  hyperseg-doctor --json
"""


@click.command(epilog=_EXAMPLES, help="Show the installed parts, the model taken here, and what this machine can do.")
@common.json_option
@common.version_option
@common.debug_option
def doctor(*, as_json: bool) -> int:
    # Imported late, so that --help answers at once.
    from hyperseg_runtime.diagnosis import examine

    diagnosis = examine()
    if as_json:
        common.say(json.dumps(diagnosis.to_dict(), indent=2))
        return 0 if diagnosis.can_run else common.FAILURE
    _print(diagnosis)
    if not diagnosis.can_run:
        common.complain("hyperseg-doctor", "no model can run on this machine; see the remedies above")
    return 0 if diagnosis.can_run else common.FAILURE


def _print(diagnosis: Diagnosis) -> None:
    from hyperseg_runtime.diagnosis import Finding, Verdict, key_findings

    colours = {Verdict.OK: "green", Verdict.MISSING: "yellow", Verdict.BROKEN: "red", Verdict.AMBIGUOUS: "yellow"}
    chapters: dict[str, tuple[Finding, ...]] = {
        "Machine": diagnosis.system,
        "Packages": diagnosis.packages,
        "Our libraries": diagnosis.libraries,
        "Backends": diagnosis.backends,
        "Engine keys": key_findings(diagnosis.keys),
        "Default model": (diagnosis.model,),
    }
    common.say(f"hyperseg {diagnosis.version}")
    for chapter, findings in chapters.items():
        common.say(click.style(chapter, bold=True))
        for finding in findings:
            verdict = click.style(f"{finding.verdict.value:<9}", fg=colours[finding.verdict])
            common.say(f"  {verdict} {finding.subject:<22} {finding.detail}")
    common.say(click.style("Tasks", bold=True))
    for task in diagnosis.tasks:
        verdict = click.style(f"{'can' if task.can else 'cannot':<9}", fg="green" if task.can else "yellow")
        first, *more = [task.means] if task.can else task.missing
        common.say(f"  {verdict} {task.name:<36} {first}")
        for line in more:
            common.say(f"{'':<48} {line}")


def main() -> None:
    common.execute(doctor, "hyperseg-doctor")


if __name__ == "__main__":
    main()
