"""Command hyperseg-doctor: diagnosis of the installation and of the available backends."""

from __future__ import annotations

import json

import click

from hyperseg_runtime.cli import common

_EXAMPLES = """
\b
Examples:
  hyperseg-doctor
  hyperseg-doctor --json
"""


@click.command(epilog=_EXAMPLES, help="Show installed parts, available backends, and what the others need.")
@common.json_option
@common.version_option
@common.debug_option
def doctor(*, as_json: bool) -> int:
    # Imported late, so that --help answers at once.
    from hyperseg_runtime.diagnosis import Finding, Verdict, examine

    diagnosis = examine()
    if as_json:
        common.say(json.dumps(diagnosis.to_dict(), indent=2))
        return 0 if diagnosis.can_run else common.FAILURE
    colours = {Verdict.OK: "green", Verdict.MISSING: "yellow", Verdict.BROKEN: "red"}
    chapters: dict[str, tuple[Finding, ...]] = {
        "Machine": diagnosis.system,
        "Packages": diagnosis.packages,
        "Our libraries": diagnosis.libraries,
        "Backends": diagnosis.backends,
        "Model taken here": (diagnosis.model,),
    }
    for chapter, findings in chapters.items():
        common.say(click.style(chapter, bold=True))
        for finding in findings:
            verdict = click.style(f"{finding.verdict.value:<8}", fg=colours[finding.verdict])
            common.say(f"  {verdict} {finding.subject:<22} {finding.detail}")
    if not diagnosis.can_run:
        common.complain("hyperseg-doctor", "no backend can run on this machine; see the remedies above")
    return 0 if diagnosis.can_run else common.FAILURE


def main() -> None:
    common.execute(doctor, "hyperseg-doctor")


if __name__ == "__main__":
    main()
