"""``telex batch --via dask``: results, resuming after a kill, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dask_cluster import KEY, Cluster
from running import provider_table, within
from scripted import Answer, Asked, Pause, Scripted, answer

if TYPE_CHECKING:
    from running import Telex


def test_a_killed_batch_on_a_cluster_is_resumed_without_a_key_on_this_machine(
    telex: Telex, server: Scripted, tmp_path: Path
) -> None:
    def slow(asked: Asked) -> Answer:
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.01}
        return Answer([Pause(0.1), *answer(asked.body["messages"][-1]["content"], usage=usage)])

    server.will(slow)
    settings = Path(telex.home) / "config" / "settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.write_text(provider_table("lab", server.url, key=None, key_env="LAB_API_KEY"))
    (tmp_path / "in.jsonl").write_text("".join(f'{{"id": "r{n}", "body": "text {n}"}}\n' for n in range(150)))
    folder = tmp_path / "cluster"
    folder.mkdir()
    with Cluster(folder, server.url) as cluster:
        cluster.add_worker()
        command = (
            "batch", "in.jsonl", "Say {{ body }}", "-m", "lab/m", "-o", "out.jsonl", "-j", "8", "--columns", "body",
            "--via", "dask", "--scheduler", cluster.address,
        )  # fmt: skip
        process = telex.start(*command, cwd=tmp_path)
        out = tmp_path / "out.jsonl"
        assert within(60, lambda: out.exists() and out.read_bytes().count(b"\n") >= 32)
        process.kill()
        process.communicate()
        before = out.read_bytes().count(b"\n")
        asked = len(server.asked)
        ran = telex(*command, cwd=tmp_path)
        assert ran.code == 0, ran.err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(row["id"] for row in rows) == sorted(f"r{n}" for n in range(150))
    assert all((row["text"], row["cost"]) == (f"Say {row['body']}", 0.01) for row in rows)
    assert f"{before} were done before" in ran.err
    assert len(server.asked) - asked <= 150 - before + 64, "rows that are done are not asked again"
    assert {each.headers["authorization"] for each in server.asked} == {f"Bearer {KEY}"}
    assert KEY not in ran.err + out.read_text()
