"""Runs the study's page until it is interrupted."""

import socket
from pathlib import Path

import uvicorn

from supervegan_jax.study.folder import TOKEN
from supervegan_jax.study.server.app import Limits, StudyServer


def serve(folder: Path, host: str, port: int, enter_per_minute: int) -> None:
    """Serves a study; tells its address on standard output once it listens.

    Args:
      folder: of a prepared study.
      host, port: to listen at; port 0 takes a free one.
      enter_per_minute: new observers let in from one address.

    Raises:
      ValueError: the folder holds no study, or a number is out of range.
      OSError: the address is taken or not this machine's.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port}; 0 to 65535 is accepted")
    if enter_per_minute < 1:
        raise ValueError(f"enter per minute {enter_per_minute}; at least 1 is accepted")
    limits = Limits(entries=(enter_per_minute / 60, float(enter_per_minute)))
    application = StudyServer(folder, limits).application()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(f"cannot listen at {host}:{port}: {error.strerror or error}") from None
    shown = f"[{host}]" if ":" in host else host
    print(f"the study: http://{shown}:{listener.getsockname()[1]}/")
    print(f"progress: the same address with admin; token in {folder / TOKEN}", flush=True)
    # Addresses of observers are personal data, so no access is logged.
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listener])
