"""Where a stranger's image URL may lead."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from shared.images.errors import ImageRefused
from shared.images.guard import addresses_of, allowed, is_public, place_of

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.253 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192
192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::a00:1 64:ff9b:1::1 100::1 2001::1 2001:0:a00:1:: 2001:10::1 2001:20::1
2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe:: 2002:c0a8:1::1 2002:808:808::1 3fff::1 4000::1 5f00::1
fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
"""

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 169.253.255.255 169.255.0.1
172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.1 198.17.255.255 198.20.0.1 223.255.255.255
2606:4700:4700::1111 2a00:1450:4001:80b::200e ::ffff:8.8.8.8 64:ff9b::808:808
"""


@pytest.mark.parametrize("text", PRIVATE.split())
def test_what_is_not_public_is_refused(text: str) -> None:
    assert not is_public(ip_address(text))
    assert not allowed(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC.split())
def test_what_is_public_is_allowed(text: str) -> None:
    assert is_public(ip_address(text))


def test_the_owners_networks_are_allowed_and_nothing_beside_them() -> None:
    networks = [ip_network("127.0.0.0/8"), ip_network("fd00::/8")]
    for text in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "8.8.8.8"):
        assert allowed(ip_address(text), networks)
    for text in ("10.0.0.1", "::1", "fe80::1", "169.254.169.254"):
        assert not allowed(ip_address(text), networks)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "//example.com/a.png",
        "example.com/a.png",
        "https://",
        "https:///a.png",
        "https:example.com",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:port/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://exa mple.com/",
        "https://example.com/\r\nHost: internal",
        "https://example.com/\tx",
        "https://example.com/\0",
        " https://example.com/",
        "https://exa%6dple.com/",
        "https://ex'ample.com/",
        f"https://{'a' * 64}.com/",
        "https://a..b/",
        f"https://example.com/{'a' * 9000}",
    ],
)
def test_urls_that_are_not_plain_https_are_refused(url: str) -> None:
    with pytest.raises(ImageRefused) as caught:
        place_of(url, http=False)
    assert caught.value.code == "invalid_image_url"
    assert caught.value.status == 400


def test_a_url_taken_apart() -> None:
    place = place_of("HTTPS://Bücher.Example:8443/bild größe.png?q=ä&r=1#part".replace(" ", "%20"), http=False)
    assert (place.scheme, place.host, place.port) == ("https", "xn--bcher-kva.example", 8443)
    assert place.target == "/bild%20gr%C3%B6%C3%9Fe.png?q=%C3%A4&r=1"
    assert place.authority == "xn--bcher-kva.example:8443"
    assert place_of("https://example.com", http=False).target == "/"
    assert place_of("http://[2606:4700::1111]/x", http=True).authority == "[2606:4700::1111]"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost.",
        "LOCALHOST",
        "ⓛocalhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1",
        "１２７.0.0.1",
        "0",
        "[::1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "169.254.169.254",
        "2852039166",
        "[fd00:ec2::254]",
        "[64:ff9b::a9fe:a9fe]",
    ],
)
async def test_no_spelling_of_a_private_address_gets_past(host: str) -> None:
    """The system resolves it as it would for the connection; only literals and `localhost`, so nothing is asked."""
    with pytest.raises(ImageRefused) as caught:
        await addresses_of(place_of(f"https://{host}/", http=False), ())
    assert caught.value.code == "invalid_image_url"


async def test_one_private_address_among_public_ones_condemns_the_host() -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(ImageRefused):
        await addresses_of(place_of("https://example.com/", http=False), (), both)


async def test_no_host_and_a_private_host_are_refused_in_the_same_words() -> None:
    async def none(host: str, port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    async def private(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"]

    messages = []
    for resolve in (none, private):
        with pytest.raises(ImageRefused) as caught:
            await addresses_of(place_of("https://internal.example/", http=False), (), resolve)
        messages.append(caught.value.message)
    assert messages[0] == messages[1]
    assert "10.0.0.1" not in messages[1]
