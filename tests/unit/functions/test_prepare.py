"""A Modelfile's parameters and the request: who decides what. No I/O."""

from typing import Any, cast

import pytest

from functions.inference.defaults import with_defaults, with_words
from functions.inference.prepare import within_context
from shared.catalog.catalog import CatalogModel
from shared.catalog.manifest import InvalidManifest
from shared.catalog.names import ModelName
from shared.errors import InvalidRequest


def test_nothing_set_is_nothing_asked() -> None:
    """Ollama sends a temperature and a top_p of 1 where neither is set."""
    assert with_defaults({"messages": []}, {}) == {"messages": []}


def test_parameters_fill_what_the_request_leaves_open() -> None:
    parameters = {
        "temperature": 0.2,
        "top_p": 1,
        "top_k": 20.0,
        "repeat_penalty": 1.1,
        "stop": ["<|a|>", "<|b|>"],
        "num_predict": 64,
        "seed": -1,
        "num_keep": 4,
    }
    assert with_defaults({}, parameters) == {
        "temperature": 0.2,
        "top_p": 1,
        "stop": ["<|a|>", "<|b|>"],
        "max_tokens": 64,
        "options": {"top_k": 20, "repeat_penalty": 1.1, "n_keep": 4},
    }


def test_the_request_decides() -> None:
    parameters = {"temperature": 0.2, "stop": ["a", "b"], "num_predict": 64, "top_k": 20, "min_p": 0.1}
    request = {"temperature": 0.0, "stop": ["c"], "max_tokens": 5, "options": {"top_k": 1}}
    assert with_defaults(request, parameters) == {**request, "options": {"top_k": 1, "min_p": 0.1}}
    assert with_defaults({"stop": []}, parameters)["stop"] == []


def test_what_concerns_the_loading_of_a_model_is_the_worker_s() -> None:
    assert with_defaults({}, {"num_ctx": 8192, "num_gpu": 99, "num_predict": -1, "whatever": "x"}) == {}


@pytest.mark.parametrize("parameters", [{"top_k": "40"}, {"top_k": 1.5}, {"temperature": True}, {"stop": 5}], ids=str)
def test_a_parameter_of_the_wrong_type_is_a_damaged_model(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifest):
        with_defaults({}, parameters)


def test_a_context_that_fits_is_what_there_is() -> None:
    assert within_context({"options": {"num_ctx": 100}}, 100) == {}
    assert within_context({"a": 1, "options": {"num_ctx": 5, "top_k": 1}}, 100) == {"a": 1, "options": {"top_k": 1}}
    assert within_context({"a": 1}, 100) == {"a": 1}
    with pytest.raises(InvalidRequest):
        within_context({"options": {"num_ctx": 101}}, 100)


def test_a_modelfile_s_words_stand_before_the_conversation() -> None:
    turn = {"role": "user", "content": "an example"}
    model = CatalogModel(ModelName.parse("m"), cast(Any, None), 0.0, system="Be brief.", messages=(turn,))
    system = {"role": "system", "content": "Be brief."}
    asked, own = {"role": "user", "content": "Hi"}, {"role": "system", "content": "Be long."}
    assert with_words({"messages": [asked]}, model)["messages"] == [system, turn, asked]
    assert with_words({"messages": [own, asked]}, model)["messages"] == [turn, own, asked]
    assert with_words({"prompts": ["Hi"], "template": []}, model)["template"] == [system, turn]
    assert with_words({"prompts": ["Hi"]}, model) == {"prompts": ["Hi"]}
