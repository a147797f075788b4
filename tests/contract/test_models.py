"""`GET /v1/models` and `GET /v1/models/{model}`."""

import time
from urllib.parse import quote

import pytest

from tests.contract.conftest import Api, refused
from tests.harness import add_model

pytestmark = pytest.mark.redis

IDS = {"fake:latest", "someone/tiny:q4", "hf.co/Example/tiny-GGUF:Q4_K_M"}


def test_the_list(api: Api) -> None:
    answer = api.client.get("/v1/models")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"object", "data"}
    assert body["object"] == "list"
    assert {model["id"] for model in body["data"]} == IDS, "ids are the shortest names, with their tags"
    for model in body["data"]:
        assert set(model) == {"id", "object", "created", "owned_by"}
        assert model["object"] == "model"
        assert type(model["created"]) is int
        assert abs(model["created"] - time.time()) < 600
    assert {model["owned_by"] for model in body["data"]} == {"library", "someone", "Example"}
    assert [model["created"] for model in body["data"]] == sorted((m["created"] for m in body["data"]), reverse=True)


def test_an_empty_catalog_is_an_empty_list(other_api: Api) -> None:
    assert other_api.client.get("/v1/models").json() == {"object": "list", "data": []}


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("fake", "library"),
        ("fake:latest", "library"),
        ("FAKE:Latest", "library"),
        ("library/fake", "library"),
        ("registry.ollama.ai/library/fake:latest", "library"),
        ("someone/tiny:q4", "someone"),
        ("hf.co/Example/tiny-GGUF:Q4_K_M", "Example"),
        ("hf.co/example/TINY-gguf:q4_k_m", "Example"),
    ],
)
@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escaped"])
def test_one_model(name: str, owner: str, escaped: bool, api: Api) -> None:
    answer = api.client.get(f"/v1/models/{quote(name, safe='') if escaped else name}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"id", "object", "created", "owned_by"}
    assert (body["id"], body["object"], body["owned_by"]) == (name, "model", owner)


@pytest.mark.parametrize(
    ("name", "completed"),
    [
        ("nobody", "nobody:latest"),
        ("library/nobody", "nobody:latest"),
        ("someone/tiny", "someone/tiny:latest"),
        ("hf.co/a/b", "hf.co/a/b:latest"),
        ("h" * 350 + "/a/b", "h" * 350 + "/a/b:latest"),
    ],
)
def test_an_unknown_model(name: str, completed: str, api: Api) -> None:
    answer = api.client.get(f"/v1/models/{name}")
    words = refused(answer, 404, param="model", code="model_not_found", type="not_found_error")
    assert words == f"model '{completed}' not found", "the name is completed in the message"


@pytest.mark.parametrize("name", ["a%20b", "a/b/c/d", "fake%40sha256:00", "%2E%2E/etc", "fake:", "%00", "fake/"])
def test_a_malformed_name(name: str, api: Api) -> None:
    assert refused(api.client.get(f"/v1/models/{name}"), 400, param="model", code=None) == "invalid model name"


def test_a_model_is_deleted(api: Api) -> None:
    add_model(api.stack.catalog, "someone/gone:q8")
    answer = api.client.delete("/v1/models/SOMEONE/gone:Q8")
    assert answer.json() == {"id": "SOMEONE/gone:Q8", "object": "model", "deleted": True}
    again = api.client.delete("/v1/models/someone/gone:q8")
    assert refused(again, 404, param="model", code="model_not_found", type="not_found_error")
    assert refused(api.client.delete("/v1/models/a/b/c/d"), 400, param="model", code=None) == "invalid model name"
    assert {model["id"] for model in api.client.get("/v1/models").json()["data"]} == IDS
