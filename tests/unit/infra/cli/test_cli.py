"""The `puna` command: what it prints, and how it fails."""

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli import chat, doctor, text, workers
from infra.cli.client import Status, Text, events
from infra.cli.main import app, main
from infra.cli.place import CommandError
from infra.local import record
from infra.local.home import Home, locked
from shared.catalog.manifest import MODEL, Layer, blob_key, build_manifest, encode_config
from shared.catalog.names import ModelName
from shared.catalog.store import open_store
from shared.settings import Settings, settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in Settings().environ():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PUNA_HOME", str(tmp_path / "a home"))
    settings.cache_clear()
    yield tmp_path / "a home"
    settings.cache_clear()


def invoke(*words: str, stdin: str | None = None) -> Any:
    settings.cache_clear()
    return CliRunner().invoke(app, words, input=stdin)


def put_model(name: str) -> None:
    store = open_store(Settings.load())
    config = encode_config({"model_family": "llama", "model_type": "134.52M", "file_type": "Q4_1"})
    layers = [Layer.of(MODEL, b"weights")]
    manifest = build_manifest(Layer.of("application/vnd.docker.container.image.v1+json", config), layers)
    store.put(blob_key(manifest.config.digest), config)
    store.put(blob_key(layers[0].digest), b"weights")
    store.put(ModelName.parse(name).manifest_key, manifest.raw)


def test_help_is_fast_and_names_every_command() -> None:
    began = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", "from infra.cli.main import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    # 0.4 s on an idle machine; this one may be busy.
    assert time.monotonic() - began < 5
    for name in (
        *("serve", "worker", "list", "show", "ps", "run", "doctor", "version"),
        *("pull", "push", "create", "cp", "rm", "stop", "workers"),
    ):
        assert f" {name} " in answer.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, infra.cli.main; "
        "print([m for m in ('httpx', 'redis', 'fastapi', 'uvicorn', 'boto3', 'pydantic') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_version() -> None:
    assert invoke("version").stdout.strip() == "0.1.0"


def test_a_known_error_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for words, expected in (
        (["ps"], "no server at http://127.0.0.1:9"),
        (["create", "m", "-f", "/absent"], "no Modelfile can be read at /absent"),
        (["create", "m"], "there is no Modelfile here, and . holds no model: neither"),
        (["workers"], "no stack runs on"),
        (["worker"], "no stack runs on"),
        (["run", "m", "hello"], "no server at http://127.0.0.1:9"),
    ):
        monkeypatch.chdir(home.parent)
        monkeypatch.setenv("PUNA_PORT", "9")
        monkeypatch.setattr(sys, "argv", ["puna", *words])
        settings.cache_clear()
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert expected in lines[0]


def test_a_wrong_setting_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("PUNA_PORT", "many")
    monkeypatch.setattr(sys, "argv", ["puna", "serve"])
    settings.cache_clear()
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert capsys.readouterr().err.startswith("puna: PUNA_PORT='many'")


def test_workers_says_what_they_say() -> None:
    word = {"name": "w1", "model": "m:1", "state": "ready", "slots": 4, "running": 2, "started": 100.0}
    table = text.table(workers.HEAD, workers.rows([word], now=100.0 + 7200)).splitlines()
    assert table[1].split() == ["m:1", "w1", "ready", "2/4", "2", "hours"]


def test_the_running_stack_gives_its_queue(home: Path) -> None:
    from infra.cli.place import api_url, redis_url

    place = Home(home)
    place.make()
    record.write(place.record, record.StackRecord(1, "http://127.0.0.1:77", "unix:///q", 0.0))
    with pytest.raises(CommandError):
        redis_url(Settings.load())  # a record that a killed stack has left
    with locked(place):
        assert redis_url(Settings.load()) == "unix:///q"
        assert api_url(Settings(home=home, port=0)) == "http://127.0.0.1:77"
    assert api_url(Settings(home=home, port=5)) == "http://127.0.0.1:5"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_500, "1.5 KB"),
        (2_000, "2 KB"),
        (91_739_413, "91 MB"),
        (1_234_567_890, "1.2 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_sizes_are_ollamas(count: int, shown: str) -> None:
    assert text.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "Less than a second ago"),
        (1, "1 second ago"),
        (30, "30 seconds ago"),
        (60, "About a minute ago"),
        (3_599, "59 minutes ago"),
        (3_600, "About an hour ago"),
        (47 * 3600, "47 hours ago"),
        (86_400 * 3, "3 days ago"),
        (86_400 * 15, "2 weeks ago"),
        (86_400 * 90, "3 months ago"),
        (1e8, "3 years ago"),
        (-290, "4 minutes from now"),
        (-1e10, "Forever"),
    ],
)
def test_times_are_ollamas(seconds: float, shown: str) -> None:
    assert text.ago(seconds) == shown


def chunk(content: str) -> str:
    return "data: " + json.dumps({"choices": [{"delta": {"content": content}}]})


def test_a_stream_is_states_then_text() -> None:
    lines = [": queued", "", ":", chunk("Hel"), "", chunk("lo"), chunk(""), 'data: {"choices": []}', "data: [DONE]"]
    assert list(events(lines)) == [Status("queued"), Text("Hel"), Text("lo")]


def test_an_error_or_a_cut_in_the_stream_is_said() -> None:
    with pytest.raises(CommandError, match="engine crashed"):
        list(events(['data: {"error": {"message": "engine crashed"}}']))
    with pytest.raises(CommandError, match="before the answer was complete"):
        list(events([chunk("Hel")]))


class Api(BaseHTTPRequestHandler):
    """Answers chats with the number of messages it got; the model `missing` does not exist."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        missing = body["model"] == "missing"
        self.send_response(404 if missing else 200)
        self.end_headers()
        answer = f": loading\n\n{chunk('got ' + str(len(body['messages'])))}\n\ndata: [DONE]\n\n"
        self.wfile.write(b'{"error": {"message": "no such model"}}' if missing else answer.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("PUNA_PORT", str(server.server_port))
        yield server
        server.shutdown()
        thread.join()


def test_run_answers_a_prompt_or_what_is_piped_in(api: HTTPServer) -> None:
    assert invoke("run", "m", "one", "question").stdout == "got 1\n"
    assert invoke("run", "m", stdin="piped").stdout == "got 1\n"
    assert "no prompt" in str(invoke("run", "m", stdin="").exception)
    assert "no such model" in str(invoke("run", "missing", "hello").exception)


def test_run_keeps_the_conversation(
    api: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    settings.cache_clear()
    monkeypatch.setattr(sys, "stdin", Terminal("first\n\nsecond\n/bye\nnever\n"))
    chat.run("m", "")
    assert capsys.readouterr().out.replace(chat.PROMPT, "").splitlines()[1:] == ["got 1", "got 3"]


def test_doctor_says_what_is_missing_and_how_to_get_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNA_PORT", "0")
    answer = invoke("doctor")
    assert answer.exit_code == 1
    assert "✗ model: smollm2:135m — it is not in the catalog: `puna serve` fetches" in answer.stdout
    assert "✓ python: 3." in answer.stdout
    assert not home.exists()
    put_model("smollm2:135m")
    assert "✗ model: all-minilm — it is not in the catalog" in invoke("doctor").stdout
    put_model("all-minilm")
    answer = invoke("doctor")
    assert answer.exit_code == 0, answer.stdout
    assert "✗" not in answer.stdout


def test_doctor_finds_an_engine_that_is_no_program(home: Path) -> None:
    assert not doctor.engine(Settings(home=home, engine="/nowhere/llama-server")).ok
    assert doctor.engine(Settings(home=home, engine=sys.executable)).ok


def test_doctor_finds_a_redis_that_does_not_answer(home: Path) -> None:
    check = doctor.queue_server(Settings(home=home, redis_url=f"unix://{home}/absent.sock"))
    assert not check.ok
