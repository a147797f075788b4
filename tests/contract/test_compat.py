"""`docs/compatibility.md` says what a running stack does, and its rows are all the fields that the SDK knows."""

import difflib
from pathlib import Path
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types import completion_create_params as text_params
from openai.types import embedding_create_params as embed_params
from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params
from pydantic import BaseModel

from tests.contract.compat import rows_answers, rows_chat, rows_others
from tests.contract.compat.observe import observe
from tests.contract.compat.probe import Table
from tests.contract.compat.table import COMMAND, PAGE, page


@pytest.mark.engine
@pytest.mark.redis
@pytest.mark.timeout(240)
@pytest.mark.slow
def test_the_page_says_what_is_seen(tmp_path: Path) -> None:
    kept, seen = PAGE.read_text().splitlines(), page(observe(tmp_path)).splitlines()
    drift = "\n".join(difflib.unified_diff(kept, seen, "docs/compatibility.md", "seen", lineterm="", n=0))
    assert not drift, f"The answers are not what the page says. If they are right, `{COMMAND}` writes it anew.\n{drift}"


def test_nothing_is_taken_without_what_it_asks_for() -> None:
    assert "not seen" not in PAGE.read_text()


def first_names(table: Table) -> set[str]:
    return {row.field.split(".")[0].split("[")[0].split(",")[0] for row in table.rows}


@pytest.mark.parametrize(
    ("table", "params"),
    [
        (rows_chat.REQUEST, completion_create_params.CompletionCreateParamsNonStreaming),
        (rows_others.COMPLETIONS, text_params.CompletionCreateParamsNonStreaming),
        (rows_others.EMBEDDINGS, embed_params.EmbeddingCreateParams),
    ],
)
def test_every_field_of_a_request_has_a_row(table: Table, params: Any) -> None:
    assert set(params.__annotations__) - {"stream_options"} <= first_names(table)


@pytest.mark.parametrize(
    ("table", "model"),
    [
        (rows_answers.WHOLE, ChatCompletion),
        (rows_answers.CHUNKS, ChatCompletionChunk),
        (rows_others.COMPLETION, Completion),
        (rows_others.VECTORS, CreateEmbeddingResponse),
        (rows_others.MODEL, Model),
    ],
)
def test_every_field_of_an_answer_has_a_row(table: Table, model: type[BaseModel]) -> None:
    assert set(model.model_fields) <= first_names(table)
