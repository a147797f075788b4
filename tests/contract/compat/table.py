"""The page: the tables with what was observed, as Markdown."""

from typing import Final

from tests.contract.compat.observe import TABLES, Outcomes
from tests.contract.compat.probe import CHAT_PATH, EMBED_PATH, MODELS_PATH, TEXT_PATH, Row, Table
from tests.harness import ROOT

PAGE: Final = ROOT / "docs" / "compatibility.md"
COMMAND: Final = ".venv/bin/python -m tests.contract.compat"

_HEADINGS: Final = {
    CHAT_PATH: "`POST /v1/chat/completions`",
    TEXT_PATH: "`POST /v1/completions`",
    EMBED_PATH: "`POST /v1/embeddings`",
    MODELS_PATH: "`GET /v1/models` and `GET /v1/models/{model}`",
}

_INTRODUCTION: Final = f"""# Compatibility, field by field

What OpenAI's API does with a field, what Ollama's OpenAI compatibility does, and what Puna was seen to do. The last
column is written by a test that asks a running stack with real models; it fails when this page and the answers differ.
`{COMMAND}` writes the page anew. The rules behind it are in [api.md](api.md).

- **yes**, with what showed it: a request with the field had the effect after the colon.
- **accepted, no effect**: the field is checked, and there is nothing it could change.
- **a status**, with the error's `code`, and its `param` where that is not the field's name: refused before anything is
  queued. Nothing is ignored in silence: Ollama's "ignored" is a value that is dropped without a word.
- Of an answer's field: **yes**, **`null`** (there, and always null in what was asked) or **no** (not there).

OpenAI: its API reference. Ollama: version 0.33. Models: `smollm2:135m`, the same with a template that thinks, and
`all-minilm`.
"""


def page(outcomes: Outcomes) -> str:
    """The whole page."""
    parts, heading = [_INTRODUCTION], ""
    for table, seen in zip(TABLES, outcomes, strict=True):
        name = _HEADINGS[table.path if table.path in _HEADINGS else MODELS_PATH]
        if name != heading:
            parts.append(f"## {name}\n")
            heading = name
        parts.append(_section(table, seen))
    return "\n".join(parts)


def _section(table: Table, outcomes: list[str]) -> str:
    lines = [f"### {table.title}\n", "| Field | OpenAI | Ollama | Puna |", "|---|---|---|---|"]
    lines += [_line(row, outcome) for row, outcome in zip(table.rows, outcomes, strict=True)]
    return "\n".join(lines) + "\n"


def _line(row: Row, outcome: str) -> str:
    name = row.field if " " in row.field else f"`{row.field}`"
    return f"| {name} | {row.openai} | {row.ollama} | {outcome} |"
