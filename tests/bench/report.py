"""The results as tables for people."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tests.bench import context

WIDTH = 110
"""Columns where there is no terminal."""

Results = Mapping[str, Any]
_Row = tuple[str, str, Callable[[Any], str]]

_REAL: tuple[_Row, ...] = (
    ("TTFT direct p50 / p99", "ms", lambda row: _both(row["direct"]["ttft_ms"])),
    ("TTFT API p50 / p99", "ms", lambda row: _both(row["api"]["ttft_ms"])),
    ("added TTFT, p50 − p50 / p99 − p99", "ms", lambda row: _both(row["added_ttft_ms"])),
    ("added TTFT, pair by pair, p50 / p99", "ms", lambda row: _both(row["added_ttft_ms"]["paired"])),
    ("ITL direct p50 / p99", "ms", lambda row: _both(row["direct"]["itl_ms"])),
    ("ITL API p50 / p99", "ms", lambda row: _both(row["api"]["itl_ms"])),
    ("tokens/s direct", "", lambda row: f"{row['direct']['tokens_per_s']['p50']:.1f}"),
    ("tokens/s API", "", lambda row: f"{row['api']['tokens_per_s']['p50']:.1f}"),
    ("tokens/s API / direct, pair by pair", "", lambda row: f"{row['tokens_per_s_ratio']['paired']['p50']:.3f}"),
    ("CPU per token, API", "µs", lambda row: f"{row['cpu_us_per_token']['api']:.0f}"),
    ("CPU per token, worker without engine", "µs", lambda row: f"{row['cpu_us_per_token']['worker']:.0f}"),
    ("prompt tokens direct, API (cached)", "", lambda row: f"{_prompt(row['direct'])}, {_prompt(row['api'])}"),
    ("requests per side (of them for TTFT only)", "", lambda row: _requests(row)),
)

_PROCESSES = {
    "api": "API",
    "worker": "worker without engine",
    "valkey": "Valkey",
    "engine": "fake engine",
    "client": "this client",
}


def show(console: Console, results: Results) -> None:
    """Print all of it."""
    about = results["context"]
    parts: list[RenderableType] = [Text(context.line(about), style="dim")]
    parts += [Text(f"Careful: {warning}.", style="yellow") for warning in context.warnings(about)]
    if "real" in results:
        parts.append(_real(results["real"]))
    if "fake" in results:
        parts.append(_fake(results["fake"]))
    if "embeddings" in results:
        parts.append(_embeddings(results["embeddings"]))
    console.print(Group(*parts, _targets(results["targets"])))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", expand=False)
    table.add_column("", no_wrap=True)
    table.add_column("unit")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _real(real: Results) -> Table:
    rows = real["streams"]
    title = f"Real engine: {real['model']}, {real['slots']} slots, {rows[0]['max_tokens']} tokens per answer"
    table = _table(title, *(_plural(row["streams"], "stream") for row in rows))
    for name, unit, cell in _REAL:
        table.add_row(name, unit, *(cell(row) for row in rows))
    return table


def _fake(fake: Results) -> Table:
    whole, streamed, tokens = fake["requests"]["whole"], fake["requests"]["stream"], fake["tokens"]
    table = _table(
        f"Fake engine without a delay, {fake['streams']} at once",
        "whole, 1 token",
        "stream, 1 token",
        f"tokens of {tokens['max_tokens']}",
    )
    columns = (whole, streamed, tokens)
    table.add_row("requests, tokens", "1/s", *(f"{column['per_s']['p50']:,.0f}" for column in columns))
    for name, label in _PROCESSES.items():
        cells = [_number(column["cpu_us"][name]) for column in columns]
        table.add_row(f"CPU each, {label}", "µs", *cells)
    table.add_row("request p50 / p99", "ms", *(_both(column["took_ms"]) for column in columns))
    table.add_row("tokens per chunk", "", "", "", f"{tokens['tokens_per_event']:.0f}")
    return table


def _embeddings(found: Results) -> Table:
    rows = found["formats"]
    title = f"Real engine: {found['model']}, batches of {found['inputs']} sentences"
    table = _table(title, *(row["format"] for row in rows))
    for side in ("direct", "api"):
        cells = [f"{row[side]['p50']:.1f}" for row in rows]
        table.add_row(f"sentences/s, {'API' if side == 'api' else side}", "", *cells)
    table.add_row("sentences/s API / direct, pair by pair", "", *(f"{row['ratio']['p50']:.3f}" for row in rows))
    table.add_row("batches per side", "", *(f"{row['ratio']['n']}" for row in rows))
    return table


def _targets(targets: list[dict[str, Any]]) -> Table:
    table = Table(title="Targets", title_justify="left")
    table.add_column("")
    for column in ("target", "measured"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for target in targets:
        sign, unit = "≥" if target["at_least"] else "≤", target["unit"]
        verdict = Text("met", style="green") if target["met"] else Text("missed", style="red")
        measured = f"{target['measured']:.3g} {unit}".strip()
        table.add_row(target["name"], f"{sign} {target['bound']:g} {unit}".strip(), measured, verdict)
    return table


def _both(found: Results) -> str:
    return f"{found['p50']:.2f} / {found['p99']:.2f}" if "p50" in found else ""


def _prompt(side: Results) -> str:
    return f"{side['prompt_tokens']['p50']:.0f} ({side['cached_tokens']['p50']:.0f})"


def _requests(row: Results) -> str:
    every, counted = row["api"]["ttft_ms"]["n"], row["api"]["requests"]
    return f"{every} ({every - counted})" if every > counted else f"{every}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
