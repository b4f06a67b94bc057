"""HTML report of a benchmark: one self-contained page without scripts, in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from html import escape

from hyperseg_runtime import machine
from hyperseg_runtime.benchmark import plots, tables
from hyperseg_runtime.benchmark.protocols import Protocol
from hyperseg_runtime.benchmark.record import Record, describe_machine
from hyperseg_runtime.benchmark.tables import Table

_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1c2430; --soft: #5a6675; --rule: #dfe4ea; --card: #f6f8fa;
  --c0: #2f6fd0; --c1: #d2691e; --c2: #1f9e89; --c3: #a8429b; --c4: #8a7a1f; --warn: #9a5b00; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --ink: #e6ebf1; --soft: #9aa7b5; --rule: #2b333d;
  --card: #1a2028; --c0: #6ea8ff; --c1: #f2995a; --c2: #4cd0b8; --c3: #e084d3; --c4: #d6c255;
  --warn: #ffb84d; } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 4px; }
p { margin: 4px 0 12px; } .soft, footer { color: var(--soft); font-size: 14px; }
.warn { color: var(--warn); } ul { font-size: 14px; padding-left: 18px; }
h3 { font-size: 15px; margin: 16px 0 0; overflow-wrap: anywhere; } details { margin: 8px 0 24px; font-size: 14px; }
.heads { display: flex; flex-wrap: wrap; gap: 16px; margin: 20px 0; }
.head { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 18px; }
.head b { display: block; font-size: 28px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
.facts td { text-align: left; white-space: normal; vertical-align: top; overflow-wrap: anywhere; }
.facts td:first-child { min-width: 110px; } svg { width: 100%; height: auto; display: block; }
svg text { font-family: system-ui, sans-serif; fill: var(--ink); font-size: 13px; }
svg .tick { fill: var(--soft); font-size: 12px; } svg .axis { fill: var(--soft); font-size: 13px; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .c0 { fill: var(--c0); } svg .c1 { fill: var(--c1); } svg .c2 { fill: var(--c2); } svg .c3 { fill: var(--c3); }
svg .c4 { fill: var(--c4); } svg .faint { opacity: 0.45; }
svg .band { opacity: 0.25; } svg .ring { fill: none; stroke: var(--ink); stroke-width: 1.5; }
figure { margin: 12px 0; } .plot { overflow-x: auto; } .plot svg { min-width: 640px; max-width: 860px; }
.note { color: var(--soft); font-size: 13px; margin: 6px 0 12px; } .head { overflow-wrap: anywhere; }
figcaption { color: var(--soft); font-size: 13px; }
"""


def render_report(record: Record) -> str:
    """The HTML page."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    used = machine.threads_text(record.threads)
    body = [
        "<h1>HyperSeg benchmark</h1>",
        f'<p class="soft">{escape(machine.cpu_name())}, {used}, warm-up of {record.warm_up} runs. {now}.</p>',
        _headline(record),
        _remarks(record),
        *(_latency(record, protocol) for protocol in (Protocol.UPLOAD_TO_DOWNLOAD, Protocol.DEVICE_ONLY)),
        _section(tables.side_by_side(record), "Interleaved on this machine."),
        _section(tables.videos(record), Protocol.VIDEO.explanation, _stages(record)),
        _section(tables.throughput(record), Protocol.THROUGHPUT.explanation),
        _profiles(record),
        _section(tables.models(record)),
        _facts(record),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>HyperSeg benchmark</title><style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>{"".join(body)}</main></body></html>\n'


def _headline(record: Record) -> str:
    cards = [
        f'<div class="head">{escape(one.name)}<b>{one.frames_per_second:.1f} frames/s</b>'
        f'<span class="soft">median {one.median:.2f} ms, mean {one.mean:.2f} ms; protocol A</span></div>'
        for one in record.distributions
        if one.protocol is Protocol.UPLOAD_TO_DOWNLOAD
    ]
    return f'<div class="heads">{"".join(cards)}</div>' if cards else ""


def _remarks(record: Record) -> str:
    lines = [("warn", "Interrupted: the results until then")] if record.interrupted else []
    lines += [("warn", str(failure)) for failure in record.failures]
    lines += [("warn", warning) for warning in record.warnings]
    lines += [("soft", note) for note in record.notes]
    items = "".join(f'<li class="{style}">{escape(text)}.</li>' for style, text in lines)
    return f"<ul>{items}</ul>" if items else ""


def _latency(record: Record, protocol: Protocol) -> str:
    found = [one for one in record.distributions if one.protocol is protocol]
    if not found:
        return ""
    caption = (
        "Every run is a dot; the band spans p5 to p95, the bar is the median, the ring the mean. The axis ends a "
        "little above the largest p99."
    )
    return _section(tables.latency(record, protocol), protocol.explanation, _figure(plots.latency(found), caption))


def _stages(record: Record) -> str:
    if not record.videos:
        return ""
    caption = "The stages run at the same time; the longest one sets the rate."
    return _figure(plots.stages(record.videos), caption)


def _profiles(record: Record) -> str:
    if not record.profiles:
        return ""
    made = []
    for one in record.profiles:
        caption = f"{one.total_ms:.2f} ms in operators, mean of {one.runs} runs, {one.backend}."
        made.append(f"<h3>{escape(one.model)}</h3>{_figure(plots.parts(one), caption)}")
        made.append(f"<details><summary>By operator</summary>{_table(tables.profile(one)[1])}</details>")
    about = "ONNX Runtime's own profiler on the CPU, which costs a few percent itself."
    return f"<h2>Time by part of the network</h2><p class='soft'>{about}</p>{''.join(made)}"


def _facts(record: Record) -> str:
    return f"<h2>Machine</h2><div class='facts'>{_table(tables.facts(record, describe_machine()))}</div>"


def _section(table: Table | None, about: str = "", plot: str = "") -> str:
    if table is None:
        return ""
    words = f"<p class='soft'>{escape(about)}</p>" if about else ""
    note = f"<p class='note'>{escape(table.note)}.</p>" if table.note else ""
    return f"<h2>{escape(table.title)}</h2>{words}{_table(table)}{note}{plot}"


def _figure(plot: str, caption: str) -> str:
    return f'<figure><div class="plot">{plot}</div><figcaption>{escape(caption)}</figcaption></figure>'


def _table(table: Table) -> str:
    head = _row("th", table.columns) if table.columns else ""
    return f'<div class="scroll"><table>{head}{"".join(_row("td", row) for row in table.rows)}</table></div>'


def _row(tag: str, cells: Iterable[str] | Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
