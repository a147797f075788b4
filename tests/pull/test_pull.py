"""Models from registries of several kinds: the right bytes or a clear error, and no byte twice without need."""

import random
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from shared.catalog.change import delete
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import MODEL, Layer, Manifest, blob_key, build_manifest
from shared.catalog.names import ModelName
from shared.catalog.registry import Options, Progress, pull, push
from shared.catalog.registry.errors import NotInRegistry, RegistryFailed, RegistryRefused
from shared.catalog.source import Pace
from shared.catalog.store import Conflict
from shared.catalog.upload import PART_LEAST, DigestMismatch
from shared.errors import Cancelled, InvalidRequest, ModelNotFound, ServiceUnavailable
from tests.registry import State, registry
from tests.s3.test_leases import Interrupted

DATA = random.Random(3).randbytes(5 * PART_LEAST + 999)
LOOPBACK = (ip_network("127.0.0.0/8"),)
QUICK = Options(networks=LOOPBACK, stall_s=0.5, pace=Pace(backoff_s=0.01))


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def host(state: State) -> Iterator[str]:
    with registry(state) as host:
        yield host


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "models")


def pulled(store: DirectoryStore, host: str, options: Options = QUICK, **more: Any) -> Manifest:
    return pull(store, f"{host}/library/m", insecure=True, options=options, **more)


def check(store: DirectoryStore, host: str, manifest: Manifest) -> None:
    """The manifest byte for byte, every blob whole, and nothing else."""
    found = store.get(ModelName.parse(f"{host}/library/m").manifest_key)
    assert found is not None
    assert found.data == manifest.raw
    assert store.path(blob_key(manifest.model.digest)).read_bytes() == DATA
    assert {entry.key for entry in store.list("blobs/")} == {blob_key(layer.digest) for layer in manifest.blobs}
    assert list(store.list("leases/")) == []


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("cut", [0, 2])
def test_a_plain_registry(store: DirectoryStore, state: State, host: str, ranges: bool, cut: int) -> None:
    state.ranges, state.cut = ranges, cut
    manifest = state.add("library/m", DATA)
    pulled(store, host)
    check(store, host, manifest)
    small = sum(layer.size for layer in manifest.blobs) - len(DATA)
    if ranges or not cut:
        assert state.served == len(DATA) + small, "bytes were served twice"


@pytest.mark.parametrize("cut", [0, 1])
def test_a_registry_that_does_not_say_how_long_a_blob_is(
    store: DirectoryStore, state: State, host: str, cut: int
) -> None:
    state.ranges, state.chunked, state.cut = False, True, cut
    manifest = state.add("library/m", DATA)
    pulled(store, host)
    check(store, host, manifest)


def test_a_connection_is_used_again(store: DirectoryStore, state: State, host: str) -> None:
    state.challenge = True
    manifest = state.add("library/m", DATA)
    pulled(store, host, Options(networks=LOOPBACK, pace=Pace(parts=1)))
    check(store, host, manifest)
    assert len(state.requests) > 10
    assert state.connections == 1


def test_blobs_elsewhere_and_without_our_token(store: DirectoryStore, state: State, host: str) -> None:
    manifest = state.add("library/m", DATA)
    storage = State(blobs=state.blobs)
    state.challenge = True
    with registry(storage) as other:
        state.redirect = f"http://{other}"
        pulled(store, host)
    check(store, host, manifest)
    assert all("authorization" not in headers for _, _, headers in storage.requests)
    asked = [path for method, path, _ in state.requests if f"blobs/{manifest.model.digest}" in path]
    assert len(asked) == 1, "where the blob is was asked more than once"


def test_a_url_that_expired_is_asked_for_again(store: DirectoryStore, state: State, host: str) -> None:
    manifest = state.add("library/m", DATA)
    with registry(State(blobs=state.blobs, cut=1)) as first, registry(State()) as gone:
        state.redirect = f"http://{gone}"

        def tell(event: Progress) -> None:
            state.redirect = f"http://{first}"

        with pytest.raises(NotInRegistry):
            pulled(store, host)
        pulled(store, host, progress=tell)
    check(store, host, manifest)


def test_a_silence_is_broken_off_and_the_rest_is_asked_for(store: DirectoryStore, state: State, host: str) -> None:
    state.stall = 1
    manifest = state.add("library/m", DATA)
    pulled(store, host)
    check(store, host, manifest)
    assert state.served == manifest.size


def test_a_registry_that_only_stalls_is_given_up(store: DirectoryStore, state: State, host: str) -> None:
    state.add("library/m", b"x" * 64)
    state.stall = 10**6  # half of what is left each time, and in the end nothing
    options = Options(networks=LOOPBACK, stall_s=0.1, pace=Pace(parts=1, tries=2, backoff_s=0.01))
    with pytest.raises(ServiceUnavailable, match="failed 2 times without progress: the connection stalled"):
        pulled(store, host, options)
    assert list(store.list("manifests/")) == []


def test_a_busy_registry_is_asked_again(store: DirectoryStore, state: State, host: str) -> None:
    state.fail = 3
    manifest = state.add("library/m", DATA)
    pulled(store, host)
    check(store, host, manifest)


def test_a_lie_about_a_digest(store: DirectoryStore, state: State, host: str) -> None:
    manifest = state.add("library/m", DATA)
    lie = bytearray(DATA)
    lie[-1] ^= 1
    state.blobs[manifest.model.digest] = bytes(lie)
    told = f"digest mismatch, file must be downloaded again: want {manifest.model.digest}, got sha256:"
    with pytest.raises(DigestMismatch, match=told):
        pulled(store, host)
    assert list(store.list("manifests/")) == []
    assert store.head(blob_key(manifest.model.digest)) is None
    state.blobs[manifest.model.digest] = DATA
    pulled(store, host)
    check(store, host, manifest)


def test_a_lie_about_a_size(store: DirectoryStore, state: State, host: str) -> None:
    manifest = state.add("library/m", DATA)
    false = build_manifest(manifest.config, [Layer(MODEL, manifest.model.digest, len(DATA) + 1)])
    state.manifests["library/m:latest"] = false.raw
    with pytest.raises(RegistryFailed, match="and the manifest says"):
        pulled(store, host)


def test_a_download_goes_on_where_it_stopped(store: DirectoryStore, state: State, host: str) -> None:
    manifest = state.add("library/m", DATA)
    stop = threading.Event()

    def tell(event: Progress) -> None:
        if event.completed > PART_LEAST:
            stop.set()

    state.slow_s = 0.2  # slow enough to be stopped in the middle of the second part
    one_by_one = Options(networks=LOOPBACK, pace=Pace(parts=1, backoff_s=0.02))
    with pytest.raises(Cancelled):
        pulled(store, host, one_by_one, progress=tell, stop=stop)
    state.slow_s = 0
    events: list[Progress] = []
    pulled(store, host, progress=events.append)
    check(store, host, manifest)
    first = next(event for event in events if event.digest == manifest.model.digest and event.completed)
    assert first.completed >= PART_LEAST
    assert state.served < manifest.size + 2 * PART_LEAST, "parts that were there were fetched again"


def test_a_pull_that_is_stopped_lets_go_of_a_silence(store: DirectoryStore, state: State, host: str) -> None:
    manifest = state.add("library/m", DATA)
    state.stall = 1
    stop = threading.Event()

    def tell(event: Progress) -> None:
        if state.silent:
            stop.set()

    patient = Options(networks=LOOPBACK, stall_s=30, pace=Pace(backoff_s=0.01))
    with pytest.raises(Cancelled):
        pulled(store, host, patient, progress=tell, stop=stop)
    pulled(store, host, patient)
    check(store, host, manifest)
    assert state.silent == 1, "the second pull waited for the first one's connection"


def test_the_lines_are_ollamas(store: DirectoryStore, state: State, host: str) -> None:
    manifest = state.add("library/m", DATA)
    events: list[Progress] = []
    pulled(store, host, progress=events.append)
    words = list(dict.fromkeys(event.status for event in events))
    layers = [f"pulling {layer.digest[7:19]}" for layer in (*manifest.layers, manifest.config)]
    assert words == ["pulling manifest", *layers, "verifying sha256 digest", "writing manifest", "success"]
    assert events[-4].line() == {
        "status": layers[-1],
        "digest": manifest.config.digest,
        "total": manifest.config.size,
        "completed": manifest.config.size,
    }


def test_a_replaced_models_layers_go_when_they_are_old(store: DirectoryStore, state: State, host: str) -> None:
    state.add("library/m", b"old")
    old = pulled(store, host).model
    state.add("library/m", DATA)
    events: list[Progress] = []
    options = Options(networks=LOOPBACK, grace_s=0)
    manifest = pulled(store, host, options, progress=events.append)
    assert store.head(blob_key(old.digest)) is None
    assert [event.status for event in events[-2:]] == ["removing unused layers", "success"]
    check(store, host, manifest)


def test_two_pulls_share_a_download(store: DirectoryStore, state: State, host: str) -> None:
    manifest = state.add("library/m", DATA)
    state.stall = 1
    errors: list[BaseException] = []

    def one() -> None:
        try:
            pulled(store, host)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    check(store, host, manifest)
    heavy = [headers for _, path, headers in state.requests if manifest.model.digest in path]
    assert len(heavy) <= 8, "the download was not shared"


@pytest.mark.parametrize("login", ["", "user:secret"])
def test_a_token_challenge(store: DirectoryStore, state: State, host: str, login: str) -> None:
    state.challenge = True
    manifest = state.add("library/m", DATA)
    options = QUICK
    if login:
        state.login = "Basic dXNlcjpzZWNyZXQ="
        with pytest.raises(RegistryFailed, match="gave no token: 401"):
            pulled(store, host)
        options = Options(networks=LOOPBACK, logins=((host, login),))
    pulled(store, host, options)
    check(store, host, manifest)
    asked = next(path for _, path, _ in state.requests if path.startswith("/token"))
    assert asked == "/token?service=test&scope=repository%3Alibrary%2Fm%3Apull"


def test_a_password_goes_to_its_own_host_only(store: DirectoryStore, state: State, host: str) -> None:
    thief = State()
    state.challenge = True
    state.add("library/m", DATA)
    with registry(thief) as other:
        state.realm = f"http://{other}/token"
        pulled(store, host, Options(networks=LOOPBACK, logins=((host, "user:secret"),)))
    assert [("authorization" in headers) for _, _, headers in thief.requests] == [False]


@pytest.mark.parametrize("where", ["manifest", "redirect", "realm"])
def test_private_addresses_are_not_gone_to(store: DirectoryStore, state: State, host: str, where: str) -> None:
    state.add("library/m", DATA)
    options = QUICK
    if where == "manifest":
        options = Options()
    elif where == "redirect":
        state.redirect = "http://169.254.169.254"
    else:
        state.challenge, state.realm = True, "http://10.0.0.1/token"
    with pytest.raises(RegistryRefused, match="has no public address"):
        pulled(store, host, options)


def test_what_is_not_there(store: DirectoryStore, host: str) -> None:
    with pytest.raises(NotInRegistry, match="pull model manifest: file does not exist"):
        pulled(store, host)


def test_a_registry_without_tls_is_not_asked_again(store: DirectoryStore, state: State, host: str) -> None:
    state.add("library/m", DATA)
    with pytest.raises(RegistryFailed, match=f"{host} does not speak TLS; a registry without it has to be allowed"):
        pull(store, f"{host}/library/m", options=QUICK)


def test_a_certificate_that_nobody_knows(store: DirectoryStore, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    subprocess.run([openssl, *made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with registry(State(), context) as host, pytest.raises(RegistryFailed, match=f"the certificate of {host} is not"):
        pull(store, f"{host}/library/m", options=QUICK)


def test_a_host_that_is_none(store: DirectoryStore) -> None:
    with pytest.raises(RegistryRefused, match=r"the host registry\.invalid cannot be found"):
        pull(store, "registry.invalid/library/m", options=QUICK)


def test_plain_http_has_to_be_asked_for(store: DirectoryStore, host: str) -> None:
    with pytest.raises(InvalidRequest, match="insecure protocol http"):
        pull(store, f"http://{host}/library/m", options=QUICK)


@pytest.mark.parametrize("storage", [False, True])
def test_push(store: DirectoryStore, state: State, host: str, storage: bool) -> None:
    manifest = state.add("library/m", DATA)
    pulled(store, host)
    target = State(challenge=not storage)
    events: list[Progress] = []
    with registry(target) as other, registry(State(uploads=target.uploads)) as behind:
        target.storage = f"http://{behind}" if storage else ""
        name = f"{other}/some/copy"
        store.put(ModelName.parse(name).manifest_key, manifest.raw)
        push(store, name, insecure=True, progress=events.append, options=QUICK)
        assert target.manifests == {"some/copy:latest": manifest.raw}
        assert target.blobs == state.blobs
        before = len(target.requests)
        push(store, name, insecure=True, options=QUICK)
        assert {method for method, path, _ in target.requests[before:] if "token" not in path} == {"HEAD", "PUT"}
    words = list(dict.fromkeys(event.status for event in events))
    layers = [f"pushing {layer.digest[7:19]}" for layer in (*manifest.layers, manifest.config)]
    assert words == ["retrieving manifest", *layers, "pushing manifest", "success"]


def test_a_push_of_what_is_removed_meanwhile(store: DirectoryStore, state: State, host: str) -> None:
    """At any moment: it is told at the beginning, or the whole model arrives."""
    manifest = state.add("library/m", DATA[:999])
    outcomes, at, calls = set(), -1, 0
    while calls > at:  # as long as there was such a call
        at += 1
        pulled(store, host)
        target = State()
        with registry(target) as other:
            name = f"{other}/some/copy"
            store.put(ModelName.parse(name).manifest_key, manifest.raw)
            delete(store, f"{host}/library/m")
            interrupted: Any = Interrupted(store, at, partial(delete, store, name))
            try:
                push(interrupted, name, insecure=True, options=QUICK)
                assert (target.manifests, target.blobs) == ({"some/copy:latest": manifest.raw}, state.blobs)
                outcomes.add("pushed")
            except (ModelNotFound, Conflict):
                outcomes.add("refused")
        calls = interrupted.calls
    assert outcomes == {"pushed", "refused"}
