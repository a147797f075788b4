"""Stored responses and conversations through the official SDK, sync and async; another key sees nothing of it."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from shared import keys
from shared.state import places
from tests.contract.conftest import Api, refused
from tests.contract.test_responses import events_of
from tests.harness import wait_for
from tests.response_rules import check_response, check_stream

pytestmark = pytest.mark.redis

MISSING = {"param": None, "code": "not_found", "type": "not_found_error"}
NOBODY = "resp_" + "0" * 32

WORDS = "".join(f"{k} " for k in range(16))


@pytest.fixture
def client(api: Api) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{api.url}/v1", api_key="mine", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(api: Api) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{api.url}/v1", api_key="mine", max_retries=0) as client:
        yield client


@pytest.fixture
def other(api: Api) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{api.url}/v1", api_key="other", max_retries=0) as client:
        yield client


def slow(**fields: Any) -> dict[str, Any]:
    """A response that takes long enough to be met on its way."""
    return {"model": "fake", "input": "Hi", "background": True, "max_output_tokens": 100_000, **fields}


def posted(api: Api, path: str, body: Any = None, key: str = "mine") -> httpx.Response:
    return api.client.post(path, json=body, headers={"authorization": f"Bearer {key}"})


def got(api: Api, path: str, key: str = "mine") -> httpx.Response:
    return api.client.get(path, headers={"authorization": f"Bearer {key}"})


def test_a_response_is_retrieved_as_it_was_given(client: OpenAI, api: Api) -> None:
    made = client.responses.create(model="fake", input="Hi", metadata={"a": "b"})
    assert client.responses.retrieve(made.id) == made
    check_response(got(api, f"/v1/responses/{made.id}").json())


def test_a_streamed_response_is_stored_as_its_events_built_it(client: OpenAI, api: Api) -> None:
    answer = posted(api, "/v1/responses", {"model": "fake", "input": "Hi", "stream": True})
    events = events_of(answer.text)
    final = check_stream(events)
    assert got(api, f"/v1/responses/{final['id']}").json() == final
    again = events_of(got(api, f"/v1/responses/{final['id']}?stream=true").text)
    assert again == events
    rest = events_of(got(api, f"/v1/responses/{final['id']}?stream=true&starting_after=3").text)
    assert rest == events[4:]


def test_store_false_leaves_nothing(client: OpenAI) -> None:
    made = client.responses.create(model="fake", input="Hi", store=False)
    with pytest.raises(openai.NotFoundError, match="not found"):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError) as error:
        client.responses.create(model="fake", input="Hi", previous_response_id=made.id)
    assert (error.value.code, error.value.param) == ("previous_response_not_found", "previous_response_id")


def test_a_second_turn_reads_the_first(client: OpenAI) -> None:
    """The fake engine counts the words that it is given."""
    first = client.responses.create(model="fake", input="one two three", instructions="never carried over")
    second = client.responses.create(model="fake", input="four", previous_response_id=first.id)
    assert second.usage is not None
    assert second.usage.input_tokens == 3 + 16 + 1
    assert second.previous_response_id == first.id
    third = client.responses.create(model="fake", input="five", previous_response_id=second.id, max_output_tokens=1)
    assert third.usage is not None
    assert third.usage.input_tokens == 3 + 16 + 1 + 16 + 1
    counted = client.responses.input_tokens.count(model="fake", input="five", previous_response_id=second.id)
    assert counted.input_tokens == third.usage.input_tokens
    assert counted.object == "response.input_tokens"


def test_input_items_come_in_pages(client: OpenAI, api: Api) -> None:
    words = [{"role": "user", "content": f"word {k}"} for k in range(7)]
    made = client.responses.create(model="fake", input=words)
    listed = list(client.responses.input_items.list(made.id, limit=2, order="asc"))
    assert [item.content[0].text for item in listed] == [f"word {k}" for k in range(7)]
    assert [item.id for item in client.responses.input_items.list(made.id)] == [item.id for item in listed][::-1]
    page = got(api, f"/v1/responses/{made.id}/input_items?limit=3").json()
    assert (page["object"], len(page["data"]), page["has_more"]) == ("list", 3, True)
    assert (page["first_id"], page["last_id"]) == (listed[6].id, listed[4].id)
    last = got(api, f"/v1/responses/{made.id}/input_items?limit=100&after={listed[0].id}").json()
    assert (last["data"], last["first_id"], last["last_id"], last["has_more"]) == ([], "", "", False)


def test_an_item_can_be_referred_to(client: OpenAI) -> None:
    made = client.responses.create(model="fake", input="one two")
    (item,) = client.responses.input_items.list(made.id)
    references: Any = [{"type": "item_reference", "id": each} for each in (item.id, made.output[0].id)]
    again = client.responses.create(model="fake", input=[*references, {"role": "user", "content": "three"}])
    assert again.usage is not None
    assert again.usage.input_tokens == 2 + 16 + 1
    with pytest.raises(openai.NotFoundError, match="Item with id"):
        client.responses.create(model="fake", input=[{"type": "item_reference", "id": "msg_" + "0" * 36}])
    with pytest.raises(openai.BadRequestError, match="Duplicate item"):
        client.responses.create(model="fake", input=references, previous_response_id=made.id)


def test_a_deleted_response_is_gone(client: OpenAI, api: Api) -> None:
    made = client.responses.create(model="fake", input="Hi")
    answer = api.client.delete(f"/v1/responses/{made.id}", headers={"authorization": "Bearer mine"})
    assert answer.json() == {"id": made.id, "object": "response", "deleted": True}
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match=f"Response with id '{made.id}' not found"):
            call(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(made.id)


def test_another_key_sees_nothing(client: OpenAI, other: OpenAI, api: Api) -> None:
    made = client.responses.create(model="fake", input="Hi")
    running = client.responses.create(**slow())
    conversation = client.conversations.create()
    for id in (made.id, running.id):
        for path in (f"/v1/responses/{id}", f"/v1/responses/{id}?stream=true", f"/v1/responses/{id}/input_items"):
            refused(got(api, path, "other"), 404, **MISSING)
        refused(posted(api, f"/v1/responses/{id}/cancel", key="other"), 404, **MISSING)
        with pytest.raises(openai.NotFoundError):
            other.responses.delete(id)
        with pytest.raises(openai.NotFoundError):
            other.responses.create(model="fake", input="Hi", previous_response_id=id)
    reference: Any = [{"type": "item_reference", "id": made.output[0].id}]
    with pytest.raises(openai.NotFoundError):
        other.responses.create(model="fake", input=reference)
    with pytest.raises(openai.NotFoundError):
        other.responses.create(model="fake", input="Hi", conversation=conversation.id)
    with pytest.raises(openai.NotFoundError):
        other.conversations.retrieve(conversation.id)
    refused(api.client.get(f"/v1/responses/{made.id}"), 404, **MISSING)
    assert client.responses.cancel(running.id).status == "cancelled"


def test_a_background_response_is_queued_polled_and_done(client: OpenAI) -> None:
    made = client.responses.create(model="fake", input="Hi", background=True)
    assert (made.status, made.output, made.background) == ("queued", [], True)
    done = wait_for(
        lambda: (r := client.responses.retrieve(made.id)).status not in ("queued", "in_progress") and r, "it is over"
    )
    assert (done.status, done.output_text) == ("completed", WORDS)
    assert client.responses.cancel(made.id) == done, "one that is over stays as it is"


def test_a_background_stream_is_left_and_resumed(client: OpenAI, api: Api) -> None:
    body = {"model": "fake", "input": "Hi", "background": True, "stream": True}
    headers = {"authorization": "Bearer mine"}
    seen: list[Any] = []
    with api.client.stream("POST", "/v1/responses", json=body, headers=headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))
            if len(seen) == 4:
                break
    assert [event["type"] for event in seen[:2]] == ["response.created", "response.queued"]
    id = seen[0]["response"]["id"]
    more = list(client.responses.retrieve(id, stream=True, starting_after=seen[-1]["sequence_number"]))
    assert [event.sequence_number for event in more] == list(range(4, 4 + len(more)))
    rest = events_of(got(api, f"/v1/responses/{id}?stream=true&starting_after=3").text)
    assert check_stream([*seen, *rest])["output"][0]["content"][0]["text"] == WORDS
    assert got(api, f"/v1/responses/{id}?stream=true&starting_after={more[-1].sequence_number}").text == ""


def test_a_stream_outlives_its_frames_and_redis_itself(client: OpenAI, api: Api) -> None:
    made = posted(api, "/v1/responses", {"model": "fake", "input": "Hi", "background": True, "stream": True})
    events = events_of(made.text)
    final = check_stream(events)
    place = places.response(*_owner_and(final["id"])) or ""
    redis = api.stack.redis
    wait_for(lambda: redis.zscore(keys.STATE_PENDING, place) is None, "it is durable")
    redis.delete(keys.frame_log(final["id"].removeprefix("resp_")))
    for lost in ((), (keys.state(place),)):
        for key in lost:
            redis.delete(key)
        assert got(api, f"/v1/responses/{final['id']}").json() == final
        whole = events_of(got(api, f"/v1/responses/{final['id']}?stream=true").text)
        assert check_stream(whole) == final
        (last,) = events_of(got(api, f"/v1/responses/{final['id']}?stream=true&starting_after=5").text)
        assert (last["response"], last["sequence_number"]) == (final, 6)
        over = got(api, f"/v1/responses/{final['id']}?stream=true&starting_after={events[-1]['sequence_number']}")
        assert over.text == ""


def _owner_and(id: str) -> tuple[str, str]:
    from functions.authenticate import owner_of

    return owner_of("Bearer mine"), id


@pytest.mark.parametrize("stream", [True, False])
def test_a_running_response_is_cancelled(client: OpenAI, api: Api, stream: bool) -> None:
    if stream:
        made = next(iter(client.responses.create(**slow(stream=True)))).response  # type: ignore[union-attr]
    else:
        made = client.responses.create(**slow())
    wait_for(lambda: client.responses.retrieve(made.id).status == "in_progress", "it runs")
    cancelled = client.responses.cancel(made.id)
    assert cancelled.status == "cancelled"
    assert client.responses.retrieve(made.id) == cancelled == client.responses.cancel(made.id)
    if stream:
        final = check_stream(events_of(got(api, f"/v1/responses/{made.id}?stream=true").text))
        assert final == got(api, f"/v1/responses/{made.id}").json()


def test_deleting_a_running_response_stops_it(client: OpenAI, api: Api) -> None:
    made = client.responses.create(**slow())
    client.responses.delete(made.id)
    job = made.id.removeprefix("resp_")
    wait_for(lambda: not api.stack.redis.exists(keys.rq_job(job)), "the job is over")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True, "store": False}, "background"),
        ({"previous_response_id": NOBODY, "conversation": "conv_" + "0" * 32}, "previous_response_id"),
    ],
)
def test_what_cannot_be_together_is_refused(api: Api, fields: dict[str, Any], param: str) -> None:
    answer = posted(api, "/v1/responses", {"model": "fake", "input": "Hi", **fields})
    refused(answer, 400, param=param, code=None)


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("stream=1", "stream", None),
        ("stream=true", "stream", None),
        ("starting_after=1", "starting_after", None),
        ("stream=true&starting_after=-1", "starting_after", None),
        ("stream=true&starting_after=x", "starting_after", None),
        ("include=everything", "include", None),
        ("include_obfuscation=true", "include_obfuscation", "unsupported_parameter"),
        ("what=1", "what", "unknown_parameter"),
        ("stream=false&stream=true", "stream", None),
    ],
)
def test_a_query_is_checked(client: OpenAI, api: Api, query: str, param: str, code: str | None) -> None:
    made = client.responses.create(model="fake", input="Hi")
    refused(got(api, f"/v1/responses/{made.id}?{query}"), 400, param=param, code=code)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=nobody"])
def test_paging_is_checked(client: OpenAI, api: Api, query: str) -> None:
    made = client.responses.create(model="fake", input="Hi")
    conversation = client.conversations.create()
    for path in (f"/v1/responses/{made.id}/input_items", f"/v1/conversations/{conversation.id}/items"):
        refused(got(api, f"{path}?{query}"), 400, param=query.partition("=")[0], code=None)


def test_only_background_responses_are_cancelled(client: OpenAI, api: Api) -> None:
    made = client.responses.create(model="fake", input="Hi")
    message = refused(posted(api, f"/v1/responses/{made.id}/cancel"), 400, param=None, code=None)
    assert "background" in message


@pytest.mark.parametrize("id", ["x", NOBODY, "resp_..", "%2e%2e", "a" * 3000])
def test_an_id_of_nobody_is_not_found(api: Api, id: str) -> None:
    for path in (f"/v1/responses/{id}", f"/v1/responses/{id}/input_items", f"/v1/conversations/{id}"):
        assert got(api, path).status_code == 404
    assert posted(api, f"/v1/responses/{id}/cancel").status_code == 404
    assert posted(api, f"/v1/conversations/{id}/items", {"items": []}).status_code == 404


def test_a_response_cannot_follow_one_that_is_not_over(client: OpenAI) -> None:
    made = client.responses.create(**slow())
    with pytest.raises(openai.BadRequestError, match="not complete"):
        client.responses.create(model="fake", input="Hi", previous_response_id=made.id)
    client.responses.cancel(made.id)


def test_a_conversation_collects_what_is_said(client: OpenAI) -> None:
    made = client.conversations.create(items=[{"role": "user", "content": "one two"}], metadata={"topic": "x"})
    assert client.conversations.retrieve(made.id) == made
    first = client.responses.create(model="fake", input="three", conversation=made.id)
    assert first.usage is not None
    assert first.usage.input_tokens == 2 + 1
    assert first.conversation is not None
    assert first.conversation.id == made.id
    second = client.responses.create(model="fake", input="four", conversation={"id": made.id}, store=False)
    assert second.usage is not None
    assert second.usage.input_tokens == 2 + 1 + 16 + 1
    items = list(client.conversations.items.list(made.id, order="asc", limit=2))
    assert [getattr(item, "role", None) for item in items] == ["user", "user", "assistant", "user", "assistant"]
    assert items[2].id == first.output[0].id
    assert client.conversations.items.retrieve(items[0].id, conversation_id=made.id) == items[0]

    added = client.conversations.items.create(made.id, items=[{"role": "user", "content": "five"}])
    assert client.conversations.items.delete(added.data[0].id, conversation_id=made.id).id == made.id
    with pytest.raises(openai.NotFoundError, match="Item with id"):
        client.conversations.items.retrieve(added.data[0].id, conversation_id=made.id)
    assert client.conversations.update(made.id, metadata={"topic": "y"}).metadata == {"topic": "y"}
    assert client.conversations.retrieve(made.id).metadata == {"topic": "y"}
    deleted = client.conversations.delete(made.id)
    assert (deleted.object, deleted.deleted) == ("conversation.deleted", True)
    for call in (client.conversations.retrieve, client.conversations.delete, client.conversations.items.list):
        with pytest.raises(openai.NotFoundError, match="Conversation with id"):
            call(made.id)
    assert client.responses.retrieve(first.id) == first, "its responses stay"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("", {"items": [{}] * 21}, "items"),
        ("", {"items": "x"}, "items"),
        ("", {"items": [{"type": "computer_call"}]}, "items[0].type"),
        ("", {"metadata": {"a": 1}}, "metadata.a"),
        ("", {"what": 1}, "what"),
        ("/ID", {}, "metadata"),
        ("/ID/items", {}, "items"),
        ("/ID/items", {"items": [{"role": "user"}]}, "items[0].content"),
    ],
)
def test_a_body_of_a_conversation_is_checked(client: OpenAI, api: Api, path: str, body: Any, param: str) -> None:
    made = client.conversations.create()
    answer = posted(api, f"/v1/conversations{path.replace('ID', made.id)}", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_counting_takes_what_there_is_to_count(api: Api) -> None:
    body = {"model": "fake", "input": "one two", "instructions": "three"}
    assert posted(api, "/v1/responses/input_tokens", body).json()["input_tokens"] == 3
    refused(
        posted(api, "/v1/responses/input_tokens", {**body, "stream": True}),
        400,
        param="stream",
        code="unknown_parameter",
    )


async def test_all_of_it_asynchronously(async_client: AsyncOpenAI) -> None:
    client = async_client
    conversation = await client.conversations.create(items=[{"role": "user", "content": "one"}])
    stream = await client.responses.create(
        model="fake", input="two", conversation=conversation.id, background=True, stream=True
    )
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    assert event.type == "response.output_text.delta"
    id = "resp_" + event.item_id.removeprefix("msg_")[:32]
    rest = [e async for e in await client.responses.retrieve(id, stream=True, starting_after=event.sequence_number)]
    assert rest[-1].type == "response.completed"
    assert (await client.responses.retrieve(id)) == rest[-1].response
    assert len([item async for item in client.conversations.items.list(conversation.id, limit=1)]) == 3
    assert [item.id async for item in client.responses.input_items.list(id)]
    assert (await client.responses.cancel(id)).status == "completed"
    assert (await client.responses.input_tokens.count(model="fake", input="one two")).input_tokens == 2
    assert (await client.conversations.update(conversation.id, metadata={})).metadata == {}
    await client.responses.delete(id)
    assert (await client.conversations.delete(conversation.id)).deleted
