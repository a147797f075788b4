"""From the URLs of a request to images that a job can carry."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from shared.images.errors import ImageRefused
from shared.images.gather import gather
from shared.images.limits import Limits
from shared.images.refs import INLINE, data_url, referred
from shared.settings import Settings
from tests.pictures import LOOPBACK, Site, asks, head, noise, part, picture, site
from tests.pictures import data_url as url_of

RED, BLUE, LARGE = picture(), picture("blue"), noise()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Site]:
    async with site() as one:
        yield one


def urls(messages: list[dict[str, Any]]) -> list[str]:
    return [
        each["image_url"]["url"] for message in messages for each in message["content"] if each["type"] == "image_url"
    ]


async def refused(messages: list[dict[str, Any]], limits: Limits = LOOPBACK) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        await gather(messages, limits)
    assert caught.value.status == 400
    return caught.value


async def test_text_is_left_alone() -> None:
    messages = [{"role": "user", "content": "hello"}, *asks("a", "b"), {"role": "assistant", "content": None}]
    assert await gather(messages, LOOPBACK) == (messages, {})


@pytest.mark.parametrize(
    "start",
    [
        "data:image/png;base64,",
        "data:image/jpeg;base64,",
        "data:image/jpg;base64,",
        "data:image/webp;base64,",
        "data:image/gif;base64,",
        "data:;base64,",
        "DATA:IMAGE/PNG;BASE64,",
    ],
)
async def test_data_urls(start: str) -> None:
    body = url_of(RED).partition(",")[2]
    messages, blobs = await gather(asks("?", part(start + body[:20] + "\n" + body[20:])), LOOPBACK)
    assert (urls(messages), blobs) == ([data_url("png", RED)], {})


@pytest.mark.parametrize(
    "url",
    [
        "data:text/plain;base64,aGVsbG8=",
        "data:image/svg+xml;base64,PHN2Zy8+",
        "data:image/png,raw",
        "data:image/png;base64,@@@@",
        "data:image/png;base64,iVBORw0",
        "data:image/png;base64,ä",
        "iVBORw0KGgo=",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "puna:image:" + "0" * 64 + ";png",
        "javascript:0",
    ],
)
async def test_what_is_no_image_url_has_ollamas_words(url: str) -> None:
    error = await refused([{"role": "system", "content": "x"}, *asks("?", part(url))])
    assert (error.message, error.param) == ("invalid image input", "messages[1].content[1].image_url")


async def test_above_8_kb_an_image_goes_by_reference(server: Site) -> None:
    server.pages["/large"] = head(LARGE)
    assert len(LARGE) > INLINE
    messages, blobs = await gather(asks(part(f"{server.url}/large"), part(url_of(LARGE)), part(url_of(RED))), LOOPBACK)
    digest = hashlib.sha256(LARGE).hexdigest()
    assert blobs == {digest: LARGE}
    first, second, third = urls(messages)
    assert first == second == f"puna:image:{digest};png"
    assert referred(first) == (digest, "png")
    assert third == data_url("png", RED)


async def test_images_keep_their_order_among_texts_and_messages(server: Site) -> None:
    server.pages["/blue"] = head(BLUE)
    asked = [
        *asks("one", part(url_of(RED)), "two", part(f"{server.url}/blue")),
        {"role": "assistant", "content": "hm"},
        *asks(part(f"{server.url}/blue"), "three"),
    ]
    before = repr(asked)
    messages, _ = await gather(asked, LOOPBACK)
    red, blue = data_url("png", RED), data_url("png", BLUE)
    assert messages == [
        *asks("one", part(red), "two", part(blue)),
        {"role": "assistant", "content": "hm"},
        *asks(part(blue), "three"),
    ]
    assert repr(asked) == before
    assert len(server.asked) == 1, "one URL, fetched once"


async def test_an_error_names_the_first_image_that_fails(server: Site) -> None:
    server.pages["/ok"] = head(RED)
    error = await refused(asks(part(f"{server.url}/ok"), part(f"{server.url}/gone"), part("data:,")))
    assert (error.param, error.code) == ("messages[0].content[1].image_url", "failed_to_download_image")


async def test_the_number_of_images_is_bounded() -> None:
    images = [part(url_of(RED)) for _ in range(4)]
    await gather(asks(*images[:3]), replace(LOOPBACK, images=3))
    error = await refused(asks("?", *images), replace(LOOPBACK, images=3))
    assert error.param == "messages[0].content[4].image_url"


async def test_bytes_are_bounded_each_and_together(server: Site) -> None:
    server.pages["/large"] = head(LARGE)
    limits = replace(LOOPBACK, image_bytes=len(LARGE) - 1)
    for url in (url_of(LARGE), f"{server.url}/large"):
        assert (await refused(asks(part(url)), limits)).code == "image_file_too_large"
    both = asks(part(url_of(LARGE)), part(f"{server.url}/large"))
    await gather(both, replace(LOOPBACK, request_bytes=2 * len(LARGE)))
    error = await refused(both, replace(LOOPBACK, request_bytes=2 * len(LARGE) - 1))
    assert "together" in error.message


async def test_http_is_refused_unless_allowed(server: Site) -> None:
    server.pages["/"] = head(RED)
    assert "only https" in (await refused(asks(part(server.url)), replace(LOOPBACK, http=False))).message


def test_limits_come_from_the_settings() -> None:
    environ = {"PUNA_IMAGE_NETWORKS": "127.0.0.0/8, fd00::/8", "PUNA_IMAGE_HTTP": "1", "PUNA_IMAGES_MAX": "2"}
    settings = Settings.load(environ)
    limits = Limits.of(settings)
    assert (limits.images, limits.http, [str(each) for each in limits.networks]) == (
        2,
        True,
        ["127.0.0.0/8", "fd00::/8"],
    )
    assert Limits.of(Settings.load(settings.environ())) == limits
    assert Limits.of(Settings.load({})) == Limits()
