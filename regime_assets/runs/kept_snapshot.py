"""In a code server: what it tells of its assets is written once, and not anew for each that asks.

Dagster's daemon asks every minute, a web server whenever a location loads. Writing it takes a twelfth of a second a
universe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TROUBLE = "ExternalRepositoryErrorData"
"""The class of an answer that says why there is none; such an answer is not kept."""


def keep_snapshot_in_code_server() -> None:
    """Let this process's server keep its answers until it has other definitions, with which its id changes."""
    from dagster._grpc.server import DagsterApiServer

    method = "_get_serialized_external_repository_data"
    setattr(DagsterApiServer, method, kept(getattr(DagsterApiServer, method)))


def kept(answer: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
    """`answer`, a method of the server, asked once for each id of the server and way of asking."""
    answers: dict[tuple[str, bool], tuple[str, str]] = {}

    def kept_answer(server: Any, request: Any) -> str:
        asked = (request.serialized_repository_python_origin, request.defer_snapshots)
        server_id, text = answers.get(asked, ("", ""))
        if server_id != server._server_id:
            server_id, text = server._server_id, answer(server, request)
            if TROUBLE not in text[:200]:
                answers[asked] = (server_id, text)
        return text

    return kept_answer
