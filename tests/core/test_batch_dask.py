"""A batch on a Dask cluster: a real scheduler, worker processes on loopback, one of which is killed."""

from __future__ import annotations

import pickle
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from dask_cluster import KEY, Cluster
from running import provider_table
from scripted import Answer, Asked, Pause, Scripted, answer

from provider_core import __version__, errors
from provider_core.batches import BatchLimits, Result, planner, rows_of
from provider_core.batches.dask_runner import DaskRun, Spec, run_chunk
from provider_core.templates import inline
from provider_core.types import Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAN = planner(prompt=inline("Say {{ body }}", "the prompt"), request=Request(model="", messages=()))


def spec(**how: Any) -> Spec:
    return Spec(version=__version__, planner=PLAN, models=((("lab/m", None),),), **how)


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"r{n}", "body": f"text {n}"} for n in range(count)]


@pytest.fixture
def cluster(tmp_path: Path, server: Scripted) -> Iterator[Cluster]:
    with Cluster(tmp_path, server.url) as made:
        yield made


def echo(asked: Asked) -> Answer:
    return Answer(
        answer(asked.body["messages"][-1]["content"], usage={"prompt_tokens": 3, "completion_tokens": 2})
    )


def test_rows_run_on_workers_with_their_own_key_and_a_killed_worker_loses_none(
    cluster: Cluster, server: Scripted
) -> None:
    server.will(lambda asked: Answer([Pause(0.3), *echo(asked).body]))  # type: ignore[list-item]
    first = cluster.add_worker()
    cluster.add_worker()
    notes: list[str] = []
    run = DaskRun(rows_of(rows(200)), spec(), cluster.address, note=notes.append)
    found: list[Result] = []
    killed = False
    for result in run:
        if result is not None:
            found.append(result)
        if not killed and len(found) > 40 and len(run._workers) == 2:
            first.kill()
            killed = True
    assert killed
    assert run.error is None
    ids = Counter(str(each.row.id) for each in found)
    assert ids == Counter(f"r{n}" for n in range(200)), "each row once"
    assert {each.answer and each.answer.text for each in found} == {f"Say text {n}" for n in range(200)}
    assert notes == ["A worker was lost; what it had begun runs again."]
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    assert 200 <= len(server.asked) < 200 + 3 * 32


def test_no_key_is_in_a_task_or_in_what_it_returns(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "home" / "config" / "settings.toml"
    settings.parent.mkdir(parents=True, mode=0o700)
    secret = "canary-in-a-header"
    settings.write_text(
        provider_table("lab", f"{server.url}?k=canary-in-the-address", key=None, key_env="LAB_API_KEY")
        + f'headers = {{ X-Api-Token = "env:HEADER", X-Plain = "{secret}" }}\n'
    )
    monkeypatch.setenv("TELEX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAB_API_KEY", KEY)
    monkeypatch.setenv("HEADER", secret)
    server.will(lambda asked: echo(asked) if b"text 1" in asked.raw else Answer([b'{"error": "no"}'], 400))
    task = pickle.dumps((run_chunk, spec(), list(rows_of(rows(3)))))
    returned = pickle.dumps(run_chunk(*pickle.loads(task)[1:]))
    results, _ = pickle.loads(returned)
    ok = [each.ok for each in sorted(results, key=lambda each: each.row.number)]
    assert ok == [False, True, False]
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.asked[0].headers["x-plain"] == secret
    for travels in (task, returned):
        assert b"canary" not in travels
        assert b"127.0.0.1" not in travels, "nor an address"


def test_what_ends_a_batch_on_a_worker_ends_all_of_it(cluster: Cluster, server: Scripted) -> None:
    server.will(Answer([b'{"error": {"message": "bad key"}}'], 401, {"content-type": "application/json"}))
    cluster.add_worker()
    run = DaskRun(rows_of(rows(100)), spec(), cluster.address)
    assert [each for each in run if each] == []
    assert isinstance(run.error, errors.AuthenticationError)
    assert "environment variable LAB_API_KEY" in run.error.key_source
    nobody = Spec(version=__version__, planner=PLAN, models=((("nobody/m", None),),))
    run = DaskRun(rows_of(rows(3)), nobody, cluster.address)
    assert [each for each in run if each] == []
    assert isinstance(run.error, errors.ModelError)


def test_bad_rows_limits_and_a_stop(cluster: Cluster, server: Scripted) -> None:
    server.will(lambda asked: echo(asked) if b"text" in asked.raw else Answer([], 400))
    cluster.add_worker()
    found = [each for each in DaskRun(rows_of([{"x": 1}, *rows(3)]), spec(most=2), cluster.address) if each]
    assert sorted(each.ok for each in found) == [False, True, True, True]
    run = DaskRun(rows_of([{"body": "bad"}] * 200), spec(), cluster.address, limits=BatchLimits(max_errors=5))
    assert len([each for each in run if each]) < 200
    assert run.ended_by == "errors"
    server.will(lambda asked: Answer([Pause(0.5), *echo(asked).body]))  # type: ignore[list-item]
    run = DaskRun(rows_of(rows(2000)), spec(), cluster.address)
    for _ in run:
        if len(server.asked) > 4:
            run.stop()
    assert (run.ended_by, run.in_flight) == ("stop", 0)
    assert run.done <= 64


def test_versions_are_compared_and_an_address_where_nothing_listens_is_reported(cluster: Cluster) -> None:
    _, error = run_chunk(Spec(version="0.0", planner=PLAN, models=()), [])
    assert str(error) == f"a worker of the cluster has telex {__version__}, and this is telex 0.0"
    folder = cluster.folder / "none" / "provider_core"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError")
    cluster.add_worker(PYTHONPATH=str(folder.parent))
    run = DaskRun(rows_of(rows(3)), spec(), cluster.address)
    list(run)
    assert "a worker of the cluster cannot import telex, and this is telex" in str(run.error)
    for address, kind in (("not an address", errors.CoreError), ("tcp://127.0.0.1:1", errors.ConnectError)):
        run = DaskRun(rows_of(rows(3)), spec(), address)
        assert list(run) == []
        assert isinstance(run.error, kind)


def test_without_dask_an_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    run = DaskRun(rows_of(rows(3)), spec(), "tcp://127.0.0.1:1")
    assert list(run) == []
    assert str(run.error) == "--via dask needs the package distributed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of Dask's own tasks
def test_a_scheduler_that_is_gone_ends_the_batch_and_no_row_fails(
    cluster: Cluster, server: Scripted, capfd: pytest.CaptureFixture[str]
) -> None:
    server.will(lambda asked: Answer([Pause(0.3), *echo(asked).body]))  # type: ignore[list-item]
    cluster.add_worker()
    run = DaskRun(rows_of(rows(500)), spec(), cluster.address)
    found = []
    for result in run:
        if result is not None:
            found.append(result)
        if len(found) == 1:
            cluster.processes[0].kill()
    assert isinstance(run.error, errors.ConnectionLostError)
    assert 0 < len(found) < 500
    assert all(result.ok for result in found)
    assert "Traceback" not in capfd.readouterr().err
