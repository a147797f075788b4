"""CPU time and places of other processes."""

import os
import socket
import subprocess
import sys
import time

import pytest

from tests.bench import cpu

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:95C7 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 35244 1 0000 100 0 0 10 0
   1: 0100007F:95C7 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 35245 1 0000 100 0 0 10 0
"""


def test_listening_sockets_are_read_from_the_kernels_table() -> None:
    assert cpu.listening(TABLE) == [("35244", 0x95C7)]


@pytest.mark.parametrize(("text", "seconds"), [("0:00.12", 0.12), ("01:02:03", 3723), (" 2:05.50\n", 125.5)])
def test_times_as_ps_prints_them(text: str, seconds: float) -> None:
    assert cpu.seconds_of(text) == pytest.approx(seconds)


def test_a_process_that_is_gone_has_no_time() -> None:
    with pytest.raises(ProcessLookupError):
        cpu.seconds_of("\n")


def test_the_meter_counts_the_work_of_a_child_and_its_own() -> None:
    busy = "import sys, time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.pid in cpu.children(os.getpid())
        meter = cpu.Meter({"child": child.pid})
        assert child.stdout is not None
        child.stdout.readline()
        first = meter.read()
        assert 0.1 < first["child"] < 1
        begin = time.process_time()
        while time.process_time() < begin + 0.05:
            pass
        second = meter.read()
        assert second["child"] < 0.02
        assert 0.04 < second["client"] < 0.5
        child.communicate()


def test_a_listener_is_found_by_its_process() -> None:
    assert cpu.listening_url(os.getppid()) is None or os.getppid() == 1
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert cpu.listening_url(os.getpid()) == f"http://127.0.0.1:{server.getsockname()[1]}"
