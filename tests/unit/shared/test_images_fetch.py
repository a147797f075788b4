"""Downloads from servers that lie, dawdle and lead astray."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.images import fetch as module
from shared.images.errors import ImageRefused
from shared.images.fetch import fetch
from shared.images.limits import Limits
from tests.pictures import LOOPBACK, Site, head, names, picture, site

RED = picture()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Site]:
    async with site() as one:
        yield one


async def refused(url: str, limits: Limits = LOOPBACK) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        await fetch(url, limits)
    assert caught.value.status == 400
    return caught.value


async def test_a_picture_arrives(server: Site) -> None:
    server.pages["/red.png?size=1"] = head(RED)
    assert await fetch(f"{server.url}/red.png?size=1#here", LOOPBACK) == RED
    (asked,) = server.asked
    assert asked.startswith("GET /red.png?size=1 HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{server.port}\r\n" in asked.lower()
    assert "accept-encoding: identity\r\n" in asked.lower()


@pytest.mark.parametrize(
    "kind", ["image/png", "IMAGE/JPEG; q=1", "application/octet-stream", "binary/octet-stream", ""]
)
async def test_kinds_that_may_be_a_picture(server: Site, kind: str) -> None:
    server.pages["/"] = head(RED, Content_Type=kind)
    assert await fetch(server.url, LOOPBACK) == RED


@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/plain; charset=utf-8", "application/pdf"])
async def test_other_kinds_are_refused(server: Site, kind: str) -> None:
    server.pages["/"] = head(RED, Content_Type=kind)
    assert (await refused(server.url)).code == "unsupported_image_media_type"


async def test_a_body_without_length_and_one_in_chunks(server: Site) -> None:
    server.pages["/open"] = head() + RED
    server.pages["/chunks"] = head(Transfer_Encoding="chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(RED), RED)
    for path in ("/open", "/chunks"):
        assert await fetch(server.url + path, LOOPBACK) == RED


async def test_private_addresses_are_refused_by_default(server: Site) -> None:
    error = await refused(server.url, Limits(http=True))
    assert error.code == "invalid_image_url"
    assert server.asked == []


async def test_the_address_that_was_checked_is_the_one_that_is_asked(server: Site) -> None:
    """DNS rebinding: the second answer of the name server would lead elsewhere, but nobody asks it."""
    answers = iter(["127.0.0.1", "10.0.0.1"])
    asked = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return [next(answers)]

    server.pages["/"] = head(RED)
    assert await fetch(f"http://rebind.example:{server.port}/", LOOPBACK, resolve) == RED
    assert asked == ["rebind.example"]
    assert f"host: rebind.example:{server.port}" in server.asked[0].lower()


@pytest.mark.parametrize("status", ["301 M", "302 Found", "303 S", "307 T", "308 P"])
async def test_redirects_are_followed(server: Site, status: str) -> None:
    server.pages["/a"] = head(b"", status, Location="b/../c")
    server.pages["/c"] = head(RED)
    assert await fetch(f"{server.url}/a", LOOPBACK) == RED


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "//192.168.0.1/x",
        "http://user@127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://[::1",
    ],
)
async def test_every_redirect_is_guarded(server: Site, location: str) -> None:
    server.pages["/"] = head(b"", "302 Found", Location=location)
    assert (await refused(server.url)).code == "invalid_image_url"


async def test_a_redirect_that_never_ends(server: Site) -> None:
    server.pages["/"] = head(b"", "302 Found", Location="/")
    error = await refused(server.url)
    assert "redirects" in error.message
    assert len(server.asked) == module.REDIRECTS + 1


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "204 No Content", "206 Partial Content", "302 Found"])
async def test_other_answers_are_refused(server: Site, status: str) -> None:
    server.pages["/"] = head(b"", status)
    error = await refused(server.url)
    assert (error.code, status[:3] in error.message) == ("failed_to_download_image", True)


async def test_a_body_that_says_it_is_too_large_is_not_read(server: Site) -> None:
    server.pages["/"] = head(Content_Length="1001")
    assert (await refused(server.url, replace(LOOPBACK, image_bytes=1000))).code == "image_file_too_large"


async def test_an_endless_body_is_cut(server: Site) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(head())
        while True:
            writer.write(b"\0" * 65536)
            sent += 65536
            await writer.drain()

    server.pages["/"] = endless
    assert (await refused(server.url, replace(LOOPBACK, image_bytes=100_000))).code == "image_file_too_large"
    assert sent < 50_000_000


async def test_a_length_that_lies(server: Site) -> None:
    server.pages["/short"] = head(RED, Content_Length=str(len(RED) + 10))
    assert "broke off" in (await refused(f"{server.url}/short")).message
    server.pages["/long"] = head(RED + b"more", Content_Length=str(len(RED)))
    assert await fetch(f"{server.url}/long", LOOPBACK) == RED
    server.pages["/no"] = head(RED, Content_Length="many")
    assert (await refused(f"{server.url}/no")).code == "failed_to_download_image"


@pytest.mark.parametrize("after", [b"", b"HTTP/1.1 200 OK\r\n", head(), head() + RED[:20]], ids=range(4))
async def test_a_server_that_falls_silent(server: Site, after: bytes) -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(after)
        await reader.read()  # until the client gives up
        gone.set()

    server.pages["/"] = silent
    error = await refused(server.url, replace(LOOPBACK, seconds=0.1))
    assert (error.code, "0.1 s" in error.message) == ("failed_to_download_image", True)
    await gone.wait()


@pytest.mark.parametrize(
    "page",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"-ERR unknown command\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000],
    ids=["nothing", "ssh", "redis", "headers"],
)
async def test_what_is_no_http(server: Site, page: bytes) -> None:
    server.pages["/"] = page
    assert (await refused(server.url)).code == "failed_to_download_image"


async def test_a_compressed_body_is_refused(server: Site) -> None:
    server.pages["/"] = head(RED, Content_Encoding="gzip")
    assert (await refused(server.url)).code == "failed_to_download_image"


async def test_nobody_listens() -> None:
    async with site() as one:
        url = one.url
    assert "cannot be reached" in (await refused(url)).message


async def test_proxies_of_the_environment_are_not_used(server: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.pages["/"] = head(RED)
    assert await fetch(server.url, LOOPBACK) == RED


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and certificate of `pictures.example`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pictures.example")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("pictures.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "site.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + signed.public_bytes(serialization.Encoding.PEM))
    return path


async def test_over_tls_the_name_of_the_url_is_asked_for_and_verified(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    tls.sni_callback = lambda _, name, __: said.append(name)
    async with site(tls) as one:
        one.pages["/"] = head(RED)
        resolve = names(pictures_example="127.0.0.1", other_example="127.0.0.1")
        limits = replace(LOOPBACK, http=False)
        with pytest.raises(ImageRefused, match="no secure connection"):  # nobody vouches for it
            await fetch(f"https://pictures.example:{one.port}/", limits, resolve)
        monkeypatch.setattr(module, "_tls", lambda: ssl.create_default_context(cafile=certificate))
        assert await fetch(f"https://pictures.example:{one.port}/", limits, resolve) == RED
        assert said[-1] == "pictures.example"
        with pytest.raises(ImageRefused, match="no secure connection"):
            await fetch(f"https://other.example:{one.port}/", limits, resolve)
        one.pages["/"] = head(b"", "302 Found", Location=f"http://127.0.0.1:{one.port}/")
        with pytest.raises(ImageRefused, match="only https"):
            await fetch(f"https://pictures.example:{one.port}/", limits, resolve)
