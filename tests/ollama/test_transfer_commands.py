"""`puna pull`, `push`, `create` and the others about models, as processes of their own against a running stack."""

import random
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.gguf_files import gguf
from tests.harness import Stack, free_port, running_stack, wait_for
from tests.registry import State, registry
from tests.terminal import Terminal

pytestmark = pytest.mark.redis

PUNA = ["-c", "from infra.cli.main import main; main()"]


def weights(seed: int) -> bytes:
    """A model with something to transfer, another one for each test: what the catalog has is not transferred."""
    return gguf({"general.architecture": "llama"}) + random.Random(seed).randbytes(12 << 20)


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A registry that wants another password than the stack knows."""
    state = State(challenge=True, login=f"Basic {b64encode(b'user:right').decode()}")
    state.add("library/m", b"weights")
    with registry(state) as host:
        yield host


@pytest.fixture(scope="module")
def stack(guarded: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = {"PUNA_REGISTRY_NETWORKS": "127.0.0.0/8", "PUNA_REGISTRY_LOGINS": f"{guarded}=user:wrong"}
    with running_stack(tmp_path_factory.mktemp("commands"), **environ) as stack:
        stack.start_worker()
        stack.start_api()
        yield stack


def environ(stack: Stack) -> dict[str, str]:
    return {"PUNA_HOME": str(stack.folder), "PUNA_PORT": stack.url.rpartition(":")[2]}


class Puna:
    """Runs commands whose output nobody watches."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack, self._folder = stack, folder

    def run(self, *words: str, stdin: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *PUNA, *words],
            env={**environ(self._stack), "PYTHONPATH": ":".join(sys.path), **more},
            cwd=self._folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def __call__(self, *words: str, stdin: str = "") -> list[str]:
        """The lines of a command that ends well, what it says of its progress first."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return [*done.stderr.splitlines(), *done.stdout.splitlines()]

    def refused(self, *words: str, **more: str) -> str:
        """What a command says that fails: progress, and one line at the end."""
        done = self.run(*words, **more)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith("puna: ")
        assert "Traceback" not in done.stderr
        return last.removeprefix("puna: ")


@pytest.fixture
def puna(stack: Stack, tmp_path: Path) -> Puna:
    return Puna(stack, tmp_path)


def test_a_pull_and_a_push_in_plain_lines(puna: Puna, state: State, host: str) -> None:
    manifest = state.add("library/m", weights(1))
    name, other = f"{host}/library/m", f"{host}/library/n"
    layers = [f"pulling {layer.digest[7:19]}" for layer in (*manifest.layers, manifest.config)]
    end = ["verifying sha256 digest", "writing manifest", "success"]
    assert puna("pull", "--insecure", name) == ["pulling manifest", *layers, *end]
    assert any(line.startswith(f"{name}:latest ") for line in puna("list"))
    assert puna("cp", name, other) == [f"copied '{name}' to '{other}'"]
    pushed = [line.replace("pulling", "pushing") for line in layers]
    said = puna("push", "--insecure", other)
    assert said[:-4] == ["retrieving manifest", *pushed, "pushing manifest", "success"]
    assert said[-4:] == ["", "You can find your model at:", "", f"\t{other}:latest"]
    assert state.manifests["library/n:latest"] == manifest.raw
    assert puna("rm", name, other) == [f"deleted '{name}'", f"deleted '{other}'"]
    assert not any(line.startswith(host) for line in puna("list"))


def test_a_model_s_life(puna: Puna, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(weights(2))
    (tmp_path / "Modelfile").write_text("FROM ./model.gguf\nSYSTEM Be kind.\nPARAMETER temperature 0.7\n")
    assert puna("create", "kind")[-2:] == ["writing manifest", "success"]
    assert "    temperature    0.7" in puna("show", "kind")
    assert puna("show", "kind", "--system") == ["Be kind."]
    assert puna("create", "brief", "-f", "-", stdin="FROM kind\nSYSTEM Be brief.\n")[-1] == "success"
    assert [line.split()[0] for line in puna("list", "b")] == ["NAME", "brief:latest"]
    assert puna("run", "fake", "Hi")[-1].startswith("0 1 2 ")
    wait_for(lambda: len(puna("ps", "fake")) == 2, "it is loaded")
    assert puna("stop", "fake") == []
    wait_for(lambda: len(puna("ps", "fake")) == 1, "it is unloaded")
    puna("rm", "kind", "brief")


def test_bars_on_a_terminal(stack: Stack, state: State, host: str) -> None:
    manifest = state.add("library/bars", weights(3))
    state.slow_s = 0.5
    name = f"pulling {manifest.model.digest[7:19]}"
    with Terminal([*PUNA, "pull", "--insecure", f"{host}/library/bars"], environ(stack)) as terminal:
        terminal.read_until(lambda text: "MB/s" in text and "0:00:0" in text)
        state.slow_s = 0
        state.waiting.set()
        assert terminal.wait() == 0
        lines = [line.rstrip() for line in terminal.text.splitlines() if line.strip()]
    assert lines[0] == "pulling manifest"
    at = lines.index("verifying sha256 digest")
    assert any(line.startswith(f"{name} 100%") and "12.6/12.6 MB" in line for line in lines[:at]), lines[:at]
    assert lines[at:] == ["verifying sha256 digest", "writing manifest", "success"], "below the bars, in their order"


def test_ctrl_c_stops_a_pull_and_the_next_one_goes_on(stack: Stack, puna: Puna, state: State, host: str) -> None:
    state.add("library/stopped", weights(4))
    state.slow_s = 0.5
    with Terminal([*PUNA, "pull", "--insecure", f"{host}/library/stopped"], environ(stack)) as terminal:
        terminal.read_until(lambda text: "MB/s" in text)
        terminal.press("\x03")
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.text
        assert "success" not in terminal.text
    wait_for(lambda: not stack.residue(), "its job is cancelled")
    state.slow_s = 0
    assert puna("pull", "--insecure", f"{host}/library/stopped")[-1] == "success"


class _Deaf(BaseHTTPRequestHandler):
    """Has no blob, and does not read the one that is sent."""

    ended = threading.Event()
    outwaited = False

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def do_POST(self) -> None:
        _Deaf.outwaited = not self.ended.wait(20)

    def log_message(self, *_: Any) -> None: ...


def test_ctrl_c_stops_an_upload(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(gguf({"general.architecture": "llama"}) + bytes(64 << 20))
    (tmp_path / "Modelfile").write_text("FROM ./model.gguf\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Deaf) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        place = {"PUNA_HOME": str(tmp_path), "PUNA_PORT": str(server.server_port)}
        try:
            with Terminal([*PUNA, "create", "x", "-f", str(tmp_path / "Modelfile")], place) as terminal:
                terminal.read_until(lambda text: "copying" in text)
                terminal.press("\x03")
                assert terminal.wait() == 130
                assert "Traceback" not in terminal.text
                assert not _Deaf.outwaited, "it waited for the server"
        finally:
            _Deaf.ended.set()
            server.shutdown()
            thread.join()


def test_what_is_not_there(puna: Puna, state: State, host: str) -> None:
    assert puna.refused("pull", "--insecure", f"{host}/library/nobody") == "pull model manifest: file does not exist"
    assert puna.refused("push", "--insecure", f"{host}/library/nobody").endswith("nobody' not found")
    assert (
        puna.refused("create", "x", "-f", "absent") == "no Modelfile can be read at absent: No such file or directory"
    )
    assert (
        puna.refused("create", "x", "-f", "-", stdin="FROM ./absent.gguf\n") == "./absent.gguf: there is no such file"
    )
    assert puna.refused("create", "x", "-f", "-", stdin="PARAMETER top_k 1\n") == "no FROM line"
    assert puna.refused("cp", "nobody", "x") == 'model "nobody" not found'
    for command in ("rm", "show"):
        assert puna.refused(command, "nobody") == "model 'nobody' not found"
    assert puna.refused("run", "nobody", "Hi") == "model 'nobody' not found"
    assert puna.refused("stop", "nobody") == 'couldn\'t find model "nobody" to stop'
    assert puna.refused("pull", "a b") == "invalid model name"


def test_a_wrong_password(puna: Puna, guarded: str) -> None:
    words = f"{guarded} gave no token: 401"
    assert puna.refused("pull", "--insecure", f"{guarded}/library/m") == words
    puna("cp", "fake", f"{guarded}/library/mine")
    assert puna.refused("push", "--insecure", f"{guarded}/library/mine") == words


def test_a_server_that_is_away(puna: Puna) -> None:
    port = str(free_port())
    for words in (["list"], ["ps"], ["pull", "m"], ["push", "m"], ["rm", "m"], ["stop", "m"], ["run", "m", "Hi"]):
        assert puna.refused(*words, PUNA_PORT=port).startswith(f"no server at http://127.0.0.1:{port}: start one with")


def test_a_server_that_goes_away_in_the_middle(stack: Stack, state: State, host: str) -> None:
    state.add("library/left", weights(5))
    state.slow_s = 0.5
    url = stack.url
    api = stack.start_api()
    try:
        with Terminal([*PUNA, "pull", "--insecure", f"{host}/library/left"], environ(stack)) as terminal:
            terminal.read_until(lambda text: "MB" in text)
            api.kill()
            assert terminal.wait() == 1
            assert f"puna: the connection to {stack.url} broke: " in terminal.text
            assert "Traceback" not in terminal.text
    finally:
        stack.url = url
