"""HTML report of a benchmark: one self-contained page without scripts, in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from html import escape
from typing import cast

from hyperseg_runtime import machine
from hyperseg_runtime.benchmark import plots, published
from hyperseg_runtime.benchmark.protocols import Protocol
from hyperseg_runtime.benchmark.record import Record

_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1c2430; --soft: #5a6675; --rule: #dfe4ea; --card: #f6f8fa;
  --c0: #2f6fd0; --c1: #d2691e; --c2: #1f9e89; --c3: #a8429b; --c4: #8a7a1f; --other: #8b95a1; --warn: #9a5b00; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --ink: #e6ebf1; --soft: #9aa7b5; --rule: #2b333d;
  --card: #1a2028; --c0: #6ea8ff; --c1: #f2995a; --c2: #4cd0b8; --c3: #e084d3; --c4: #d6c255; --other: #77828f;
  --warn: #ffb84d; } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 900px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 4px; }
p { margin: 4px 0 12px; } .soft, footer { color: var(--soft); font-size: 14px; }
.warn { color: var(--warn); }
.heads { display: flex; flex-wrap: wrap; gap: 16px; margin: 20px 0; }
.head { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 18px; }
.head b { display: block; font-size: 28px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
.facts td { text-align: left; white-space: normal; } svg { width: 100%; height: auto; display: block; }
svg text { font-family: system-ui, sans-serif; fill: var(--ink); font-size: 13px; }
svg .tick { fill: var(--soft); font-size: 12px; } svg .axis { fill: var(--soft); font-size: 13px; }
svg .strong { font-weight: 600; } svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .c0 { fill: var(--c0); } svg .c1 { fill: var(--c1); } svg .c2 { fill: var(--c2); } svg .c3 { fill: var(--c3); }
svg .c4 { fill: var(--c4); } svg .other { fill: var(--other); } svg .faint { opacity: 0.45; }
svg .band { opacity: 0.25; } figure { margin: 12px 0; }
figcaption { color: var(--soft); font-size: 13px; }
"""


def render_report(record: Record) -> str:
    """The HTML page."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    body = [
        "<h1>HyperSeg benchmark</h1>",
        f'<p class="soft">{escape(machine.cpu_name())}, {machine.threads_text(record.threads)}, batch 1. {now}.</p>',
        _headline(record),
        *(f'<p class="warn">Warning: {escape(warning)}.</p>' for warning in record.warnings),
        _latencies(record),
        _ratios(record),
        _videos(record),
        _published(),
        _facts(record),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>HyperSeg benchmark</title><style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>{"".join(body)}</main></body></html>\n'


def _headline(record: Record) -> str:
    cards = [
        f'<div class="head">{escape(one.name)}<b>{one.frames_per_second:.1f} frames/s</b>'
        f'<span class="soft">{one.median:.2f} ms median, protocol A</span></div>'
        for one in record.distributions
        if one.protocol is Protocol.UPLOAD_TO_DOWNLOAD
    ]
    return f'<div class="heads">{"".join(cards)}</div>' if cards else ""


def _latencies(record: Record) -> str:
    parts = []
    for protocol in (Protocol.UPLOAD_TO_DOWNLOAD, Protocol.DEVICE_ONLY):
        found = [one for one in record.distributions if one.protocol is protocol]
        if not found:
            continue
        rows = [
            (one.name, *(f"{value:.2f}" for value in (one.median, *map(one.percentile, (5, 95, 99)))),
             f"{one.frames_per_second:.2f}", f"{one.variation:.1%}", str(len(one.ms)))
            for one in found
        ]  # fmt: skip
        columns = ("model", "median ms", "5 %", "95 %", "99 %", "frames/s", "variation", "runs")
        parts.append(
            f"<h2>Protocol {protocol.value}: {protocol.title}</h2><p class='soft'>{escape(protocol.explanation)} "
            f"Warm-up {record.warm_up} runs; frames/s is runs over total time.</p>"
            f"{_table(columns, rows)}<figure>{plots.latency(found)}"
            "<figcaption>Every run is a dot; the band spans the 5th to the 95th percentile, the bar is the median. "
            "The axis ends a little above the 99th percentile.</figcaption></figure>"
        )
    return "".join(parts)


def _ratios(record: Record) -> str:
    if not record.ratios:
        return ""
    rows = [
        (one.name, one.protocol.value, f"{one.ratio:.3f}", f"{one.low:.3f} to {one.high:.3f}") for one in record.ratios
    ]
    return (
        f"<h2>Side by side</h2><p class='soft'>Time relative to {escape(record.ratios[0].baseline)}, interleaved "
        "on this machine; below 1 is faster. 95 % confidence intervals by bootstrap over the rounds.</p>"
        f"{_table(('model', 'protocol', 'time ratio', '95 % confidence'), rows)}"
    )


def _videos(record: Record) -> str:
    if not record.videos:
        return ""
    rows = [
        (one.name, str(one.frames), f"{one.seconds:.2f}", f"{one.frames_per_second:.2f}", f"{one.overhead:.3f}")
        for one in record.videos
    ]
    columns = ("model", "frames", "seconds", "frames/s", "wall / inference")
    return (
        f"<h2>Protocol C: {Protocol.VIDEO.title}</h2><p class='soft'>{escape(Protocol.VIDEO.explanation)}</p>"
        f"{_table(columns, rows)}<figure>{plots.stages(record.videos)}"
        "<figcaption>The stages run at the same time; the longest one sets the rate.</figcaption></figure>"
    )


def _published() -> str:
    panels = "".join(
        f"<figure>{plots.published(table)}"
        f"<figcaption>{escape(table.title)}: {escape(table.source)}.</figcaption></figure>"
        for table in (published.CITYSCAPES, published.CAMVID)
    )
    return (
        "<h2>Published frame rate and accuracy</h2>"
        f"<p class='soft'>Printed in the paper and not measured here: {escape(published.HARDWARE)}. Figures of other "
        f"hardware; nothing above can be divided by them.</p>{panels}"
    )


def _facts(record: Record) -> str:
    about = machine.describe()
    versions = cast("dict[str, str]", about["versions"])
    rows: list[tuple[str, str]] = [
        ("processor", f"{about['cpu']}, {about['cpus']} CPUs"),
        ("CPU features", ", ".join(machine.cpu_features())),
        ("GPU and driver", "; ".join(machine.gpus()) or "none"),
        ("system", str(about["system"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    for model in record.models:
        height, width = model.resolution
        rows.append(
            (model.name, f"{height}x{width}, {model.precision}, {model.input} in, {model.output} out, {model.backend}")
        )
    return f"<h2>Machine and models</h2><div class='facts'>{_table((), rows)}</div>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{f"<tr>{head}</tr>" if columns else ""}{lines}</table></div>'
