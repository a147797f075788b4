"""`python -m worker.runtime.llama_host --model PATH …`: llama.cpp's HTTP server in a process of its own.

The only file that imports the engine. Prints `listening on URL` when the model is loaded. SIGTERM has its
default effect, so it works at any moment, also in the middle of a load; so does the end of standard input.
"""

import argparse
import socket
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from shared import lifeline

LOAD_FAILED = 3
"""Exit code when the model cannot be loaded."""

HTTP_THREADS_SPARE = 8
"""HTTP threads beyond one per slot: for health checks, and requests that follow on cancelled ones."""

_PROBE_S = 0.02
"""Between two looks at whether the model is loaded (s)."""

PROMPT_CACHE_MIB = 1024
"""Memory for the KV states of past prompts. llama.cpp's own 8192 is more than a laptop has to give."""

CPU_BATCH = 128
"""Tokens per step without a GPU. A step cannot be cancelled, and all slots wait for it: with llama.cpp's 2048 a
cancelled 3,000 token prompt went on for 25 s on one core. Prefill is as fast with 128 (165 tokens/s for both)."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line as a namespace."""
    parser = argparse.ArgumentParser(prog="worker.runtime.llama_host")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--ctx-size", type=int, required=True, help="tokens, all slots together")
    parser.add_argument("--parallel", type=int, required=True, help="slots")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--gpu-layers", type=int, default=-1)
    parser.add_argument("--mmproj", type=Path)
    parser.add_argument("--lora", type=Path, help="an adapter")
    parser.add_argument("--chat-template-file", type=Path)
    parser.add_argument("--embedding", action="store_true", help="embed, and nothing else")
    parser.add_argument("--batch-size", type=int, help="tokens per step, at most")
    parser.add_argument("--ubatch-size", type=int, help="tokens per step of the device, at most")
    return parser.parse_args(argv)


def params_of(options: argparse.Namespace) -> Any:
    """llama.cpp's parameters. Raises OSError when the chat template cannot be read."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.n_ctx = options.ctx_size
    params.n_parallel = options.parallel
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.n_gpu_layers = options.gpu_layers
    params.n_threads_http = options.parallel + HTTP_THREADS_SPARE
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.embedding = options.embedding
    if options.batch_size:
        params.n_batch, params.n_ubatch = options.batch_size, options.ubatch_size or options.batch_size
    elif options.gpu_layers == 0 or not _has_gpu():
        params.n_batch = params.n_ubatch = max(CPU_BATCH, options.parallel)
    params.hostnames = ["127.0.0.1"]
    params.cors_origins = ""  # no web page talks to the engine
    params.ui = False
    params.endpoint_slots = True
    params.endpoint_metrics = True
    if options.mmproj:
        params.mmproj.path = str(options.mmproj)
    if options.lora:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = str(options.lora), 1.0
        params.lora_adapters = [adapter]
    if options.chat_template_file:
        params.chat_template = options.chat_template_file.read_text()
    return params


def _has_gpu() -> bool:
    import xllamacpp

    return any("GPU" in device["type"].name for device in xllamacpp.get_device_info())


def main() -> None:
    """Entry point: serve until told to stop."""
    lifeline.exit_with_parent()
    options = parse()
    import xllamacpp

    try:
        params = params_of(options)
        params.port = _free_port()
        # Not when the constructor returns: on a busy machine it misses about once in forty times that the server is up,
        # and waits for ever while that answers (seen with xllamacpp 2026.10.11549).
        threading.Thread(target=_announce, args=(params.port,), daemon=True).start()
        server = xllamacpp.Server(params)
    except (RuntimeError, OSError) as error:
        print(f"cannot load {options.model.name}: {error}", file=sys.stderr, flush=True)
        sys.exit(LOAD_FAILED)
    threading.Event().wait()
    del server


def _free_port() -> int:
    """A port that nothing listens on. Should another process take it meanwhile, the engine ends and is started anew."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _announce(port: int) -> None:
    """Say where the server listens, once its model is loaded."""
    while not _healthy(port):
        time.sleep(_PROBE_S)
    print(f"listening on http://127.0.0.1:{port}", flush=True)


def _healthy(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
