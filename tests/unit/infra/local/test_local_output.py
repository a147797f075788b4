"""What the parts say, on the terminal and in files."""

import io
import os
from pathlib import Path

import pytest

from infra.local import output
from infra.local.output import Lines, Output
from shared import lifeline


def test_a_line_has_its_parts_name_and_goes_to_its_file(tmp_path: Path) -> None:
    stream = io.StringIO()
    said = Output(tmp_path, stream)
    said.line("api", "one [bold]line[/bold] " + "x" * 300)
    said.line("queue", "hidden", shown=False)
    said.close()
    assert stream.getvalue() == f"api    | one [bold]line[/bold] {'x' * 300}\n"
    assert "one [bold]line" in (tmp_path / "api.log").read_text()
    assert (tmp_path / "queue.log").read_text().endswith(" hidden\n")


def test_a_terminal_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    stream = io.StringIO()
    said = Output(tmp_path, stream)
    stream.close()
    said.line("api", "still here")
    said.plain("and here")
    said.close()
    assert "still here" in (tmp_path / "api.log").read_text()


def test_files_are_rotated_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "FILE_BYTES", 200)
    said = Output(tmp_path, io.StringIO())
    for number in range(30):
        said.line("worker", f"line {number}")
    said.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["worker.log", "worker.log.1", "worker.log.2", "worker.log.3"]


async def test_bytes_become_lines_whatever_their_pieces() -> None:
    lines: list[str] = []
    pump = Lines(lines.append)
    for piece in (b"on", b"e\ntwo\r\n\xff", b"\nlast"):
        pump.data_received(piece)
    pump.connection_lost(None)
    assert lines == ["one", "two", "�", "last"]
    assert pump.closed.is_set()


async def test_an_endless_line_is_cut() -> None:
    lines: list[str] = []
    pump = Lines(lines.append)
    pump.data_received(b"x" * (output.LINE_MAX * 2 + 1))
    pump.connection_lost(None)
    assert [len(line) for line in lines] == [output.LINE_MAX, output.LINE_MAX, 1]


def test_without_its_variable_there_is_no_lifeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lifeline.ENV, raising=False)
    before = os.fstat(0)
    assert lifeline.watch() is False
    assert os.fstat(0) == before
