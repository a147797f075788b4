"""The parts of the stack that need no process: backoff, banner, commands, record, lock, port."""

import errno
import json
import os
import shlex
import socket
import tempfile
from pathlib import Path

import pytest

from infra.local import banner, children, listen, record, valkey
from infra.local.backoff import Backoff
from infra.local.home import Home, StackError, is_locked, locked
from infra.local.process import born, ended
from shared.settings import Settings


def test_backoff_doubles_up_to_its_limit_and_forgets_after_a_healthy_life() -> None:
    backoff = Backoff()
    assert [backoff.next(0.1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.next(59.9) == 30
    assert backoff.next(60.0) == 0.5
    assert backoff.next(1.0) == 1.0


def test_backoff_survives_a_child_that_never_lives() -> None:
    backoff = Backoff(deaths=100_000)
    assert backoff.next(0) == 30


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with code 0"),
        (1, "exited with code 1"),
        (-9, "was killed by SIGKILL"),
        (-99, "was killed by signal 99"),
    ],
)
def test_an_end_is_said_with_its_code_or_signal(code: int, words: str) -> None:
    assert ended(code) == words


def test_the_curl_line_is_one_shell_command_with_valid_json() -> None:
    words = shlex.split(banner.curl("http://127.0.0.1:1", "it's:latest"))
    assert words[:3] == ["curl", "-N", "http://127.0.0.1:1/v1/chat/completions"]
    assert json.loads(words[-1])["model"] == "it's:latest"


def test_the_banner_names_url_model_and_base_url() -> None:
    text = banner.banner("http://127.0.0.1:11434", ("smollm2:135m", "all-minilm"), "/tmp/logs")
    assert "http://127.0.0.1:11434 with smollm2:135m, all-minilm." in text
    assert '"model": "smollm2:135m"' in text
    assert 'base_url="http://127.0.0.1:11434/v1"' in text


def test_a_childs_environment_is_the_settings_as_they_were_read(tmp_path: Path) -> None:
    chosen = Settings(home=tmp_path / "a b", port=0, origins=("x", "y"))
    environ = children.environment(chosen, "unix:///s", 5555, {"PATH": "/bin", "REDIS_URL": "old"})
    again = Settings.load(environ)
    assert (again.home, again.port, again.redis_url, again.origins) == (chosen.home, 5555, "unix:///s", ("x", "y"))
    assert environ["PATH"] == "/bin"
    assert environ["PUNA_LIFELINE"] == "1"


def test_each_model_gets_a_worker_of_its_own() -> None:
    chosen = Settings(models=("a", "b:1"), drain_s=3.0)
    first, second = children.workers(chosen, chosen.environ(), chosen.models)
    assert (first.name, Settings.load(first.environ).models) == ("worker", ("a",))
    assert (second.name, Settings.load(second.environ).models) == ("worker-2", ("b:1",))
    assert first.command == second.command
    assert first.grace_s == second.grace_s == 8.0


def test_with_a_budget_one_worker_serves_all_models() -> None:
    chosen = Settings.load({"PUNA_MODEL": "a,b", "PUNA_MEMORY": "6G"})
    (worker,) = children.workers(chosen, chosen.environ(), chosen.models)
    served = Settings.load(worker.environ)
    assert (worker.name, served.models, served.memory) == ("worker", ("a", "b"), 6 << 30)


def test_the_api_child_inherits_the_listening_socket_and_gets_its_drain_time() -> None:
    spec = children.api(Settings(drain_s=3.0), {}, 7)
    assert spec.command[-4:] == ("-m", "infra.local.api", "--fd", "7")
    assert spec.fds == (7,)
    assert spec.grace_s == 8.0


def test_valkey_keeps_its_jobs_on_disk_and_listens_on_no_port() -> None:
    words = valkey.command("valkey-server", Path("/a b/v.sock"), Path("/a b/queue"))
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--port"] == "0"
    assert options["--unixsocket"] == "/a b/v.sock"
    assert options["--unixsocketperm"] == "700"
    assert (options["--appendonly"], options["--appendfsync"]) == ("yes", "everysec")
    assert options["--maxmemory-policy"] == "noeviction"


def test_the_queues_url_is_read_back_by_redis_with_spaces() -> None:
    from redis.connection import parse_url

    assert parse_url(valkey.url(Path("/a b/v%.sock")))["path"] == "/a b/v%.sock"


def test_a_plain_socket_path_stays_in_the_home() -> None:
    with valkey.socket_path(Home(Path("/home/me/.puna"))) as path:
        assert path == Path("/home/me/.puna/run/valkey.sock")


@pytest.mark.parametrize("name", ["x" * 100, "a b", "a=b", "zuñi"])
@pytest.mark.parametrize("temporary", ["tmp", "t m p", "t" * 80])
def test_a_long_or_odd_socket_path_moves_to_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, temporary: str
) -> None:
    (tmp_path / temporary).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / temporary))
    with valkey.socket_path(Home(tmp_path / name)) as path:
        assert valkey.usable(path)
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.parent.exists()


def test_the_folder_of_a_killed_runs_socket_is_removed_and_no_other(tmp_path: Path) -> None:
    for name in ("puna-abc", "other"):
        (tmp_path / name).mkdir()
        valkey.remove_folder(valkey.url(tmp_path / name / "valkey.sock"))
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_record_survives_its_file_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    assert record.read(path) is None
    words = record.StackRecord(1, "http://x", "redis://u:secret@h", 2.5, {"api": 3}, {"api": "boot:4"})
    record.write(path, words)
    assert record.read(path) == words
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{}")
    assert record.read(path) is None
    record.remove(path)
    record.remove(path)


def test_a_second_start_on_the_same_home_names_the_first(tmp_path: Path) -> None:
    home = Home(tmp_path / "a home")
    home.make()
    assert not is_locked(home)
    with locked(home):
        record.write(home.record, record.StackRecord(os.getpid(), "http://127.0.0.1:9", "", 0.0))
        assert is_locked(home)
        with pytest.raises(StackError, match=rf"pid {os.getpid()}\) at http://127.0.0.1:9\."), locked(home):
            pass
    assert not is_locked(home)


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="PUNA_HOME="):
        Home(tmp_path / "file").make()


def test_a_port_in_use_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} is in use. Set PUNA_PORT="):
            listen.bind("127.0.0.1", port)
    with pytest.raises(StackError, match="PUNA_HOST"):
        listen.bind("192.0.2.1", 0)


def test_the_default_port_in_use_points_at_ollama() -> None:
    error = OSError(errno.EADDRINUSE, "in use")
    assert "(Ollama?)" in listen.refused(error, "127.0.0.1", 11434).message


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1")],
)
def test_the_url_is_one_that_a_client_here_can_use(host: str, url: str) -> None:
    assert listen.url(host, 1) == url


def test_a_process_has_one_birth_mark_and_a_missing_one_has_none() -> None:
    mark = born(os.getpid())
    assert mark
    assert born(os.getpid()) == mark
    assert born(2**22 + 1) is None
