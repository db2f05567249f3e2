"""What a code server tells of its assets is written once for each set of definitions, and an error never kept."""

import inspect
from types import SimpleNamespace

from dagster._core.remote_representation.external_data import RepositoryErrorSnap
from dagster._grpc.server import DagsterApiServer
from dagster._serdes import serialize_value
from dagster._utils.error import SerializableErrorInfo

from regime_assets.runs.kept_snapshot import kept


def request(*, defer: bool = True) -> SimpleNamespace:
    return SimpleNamespace(serialized_repository_python_origin="origin", defer_snapshots=defer)


def test_it_is_written_again_for_other_definitions_and_for_another_way_of_asking() -> None:
    written: list[tuple[str, bool]] = []

    def answer(server: SimpleNamespace, asked: SimpleNamespace) -> str:
        written.append((server._server_id, asked.defer_snapshots))
        return f"assets of {server._server_id}"

    server, kept_answer = SimpleNamespace(_server_id="first"), kept(answer)
    assert [kept_answer(server, request()) for _ in range(3)] == ["assets of first"] * 3
    server._server_id = "second"
    assert kept_answer(server, request()) == "assets of second"
    kept_answer(server, request(defer=False))
    assert written == [("first", True), ("second", True), ("second", False)]


def test_an_error_is_told_anew_each_time() -> None:
    trouble = RepositoryErrorSnap(error=SerializableErrorInfo("broken", [], None))
    answers = iter([serialize_value(trouble), "assets"])
    kept_answer = kept(lambda _, __: next(answers))
    server = SimpleNamespace(_server_id="first")
    assert "broken" in kept_answer(server, request())
    assert kept_answer(server, request()) == "assets"


def test_the_server_has_the_method_and_another_id_with_other_definitions() -> None:
    source = inspect.getsource(DagsterApiServer)
    assert source.count("self._get_serialized_external_repository_data(request)") == 2
    assert "self._loaded_repositories = loaded_repos.update_repo_defs" in source
    assert source.count("self._server_id = str(uuid.uuid4())") == 1
