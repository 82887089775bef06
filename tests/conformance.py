"""What every key store and every transport does, the real ones and those that live in memory: subclass it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest
from calls import call

from provider_core.errors import ConnectionLostError, DeadlineError
from provider_core.testing import Scripted, Silence, cut, lists, refuses, says
from provider_core.types import Call

if TYPE_CHECKING:
    from worlds import World

    from provider_core.keys import KeyStore


class KeyStoreConformance:
    """A subclass has a fixture ``store``: empty, and of the kind under test."""

    def test_the_last_key_of_a_name_can_be_had(self, store: KeyStore) -> None:
        assert store.get("nobody") is None
        for name, key in (("one", "old"), ("two", "key of two"), ("one", "key of one"), ("One", "upper")):
            store.set(name, key)
        found = [store.get(name) for name in ("one", "two", "One")]
        assert found == ["key of one", "key of two", "upper"]

    def test_a_deleted_key_is_gone_and_no_other(self, store: KeyStore) -> None:
        store.set("one", "a")
        store.set("two", "b")
        store.delete("one")
        store.delete("nobody")
        assert (store.get("one"), store.get("two")) == (None, "b")

    def test_a_key_is_stored_unchanged(self, store: KeyStore) -> None:
        key = "sk-" + "".join(map(chr, range(33, 127))) * 20 + " with spaces"
        store.set("one", key)
        assert store.get("one") == key


class TransportConformance:
    """The fixture ``world`` is a transport, and a server that does as it is told."""

    def test_it_carries_method_address_and_body(self, world: World) -> None:
        world.will(lists("a", "b"))
        url = f"{world.url}/models?after=a"
        with world.transport.send(Call(method="GET", url=url, headers={}, provider="prov")) as reply:
            found = json.loads(b"".join(reply.chunks()))
        world.will(Scripted(body=[b"ok"]))
        with world.transport.send(call(f"{world.url}/chat", body=b'{"a": 1}')) as reply:
            assert b"".join(reply.chunks()) == b"ok"
        assert [model["id"] for model in found["data"]] == ["a", "b"]
        seen = world.seen[-1]
        assert (seen.method, seen.url, seen.body) == ("POST", f"{world.url}/chat", b'{"a": 1}')

    def test_the_head_is_there_before_the_body_with_names_in_lower_case(self, world: World) -> None:
        world.will(
            Scripted(body=[Silence(0.05), b"late"], headers={"content-type": "x/y", "retry-after": "3"})
        )
        with world.transport.send(call(world.url)) as reply:
            assert reply.status == 200
            found = dict(reply.headers)
            assert (found["content-type"], found["retry-after"]) == ("x/y", "3")
            assert b"".join(reply.chunks()) == b"late"

    @pytest.mark.parametrize("status", [302, 401, 429, 500])
    def test_an_error_status_raises_nothing_and_its_body_can_be_read(self, world: World, status: int) -> None:
        world.will(refuses(status, "no", code="c", retry_after=2))
        with world.transport.send(call(world.url)) as reply:
            body = json.loads(b"".join(reply.chunks()))
            assert (reply.status, reply.headers["retry-after"]) == (status, "2")
        assert body == {"error": {"message": "no", "type": None, "code": "c"}}
        assert len(world.seen) == 1

    def test_a_cut_comes_after_what_had_arrived_and_counts_it(self, world: World) -> None:
        world.will(Scripted(body=[b"hel", b"lo", cut, b"never"]))
        with world.transport.send(call(world.url)) as reply:
            chunks = reply.chunks()
            received = next(chunks)
            while len(received) < 5:
                received += next(chunks)
            assert received == b"hello"
            with pytest.raises(ConnectionLostError) as caught:
                next(chunks)
        assert caught.value.message == "prov closed the connection in the middle of its answer"
        assert (caught.value.provider, caught.value.received) == ("prov", 5)
        assert caught.value.url == world.url.removesuffix("/v1")

    @pytest.mark.parametrize(
        ("body", "phase"),
        [([Silence(0.6)], "first byte"), ([b"x", Silence(0.6)], "idle")],
        ids=["first", "idle"],
    )
    def test_too_long_a_silence_is_a_deadline_with_its_phase(
        self, world: World, body: list[bytes | Silence], phase: str
    ) -> None:
        world.will(Scripted(body=[*body, b"late"]))
        first_byte = 0.2 if phase == "first byte" else 60.0
        wanted = call(world.url, first_byte_timeout=first_byte, idle_timeout=0.2)
        with pytest.raises(DeadlineError) as caught, world.transport.send(wanted) as reply:
            list(reply.chunks())
        assert (caught.value.phase, caught.value.seconds, caught.value.provider) == (phase, 0.2, "prov")

    def test_with_an_idle_limit_a_pause_is_the_end(self, world: World) -> None:
        world.will(Scripted(body=[b"a", Silence(2), b"b"]))
        with world.transport.send(call(world.url)) as reply:
            chunks = reply.chunks()
            first = next(chunks)
            reply.limit_idle(0.1)
            assert (first, list(chunks)) == (b"a", [])

    def test_reading_goes_on_where_it_was_left(self, world: World) -> None:
        world.will(Scripted(body=[Silence(0.05), b"a", Silence(0.05), b"b"]))  # no silence is too long
        with world.transport.send(call(world.url)) as reply:
            assert next(iter(reply.chunks())) == b"a"
            assert b"".join(reply.chunks()) == b"b"

    def test_a_step_for_each_call_and_the_last_for_all_that_follow(self, world: World) -> None:
        world.will(refuses(503, "busy"), says("one"), says("two"))
        statuses = []
        for _ in range(4):
            with world.transport.send(call(world.url)) as reply:
                statuses.append((reply.status, b"two" in b"".join(reply.chunks())))
        assert statuses == [(503, False), (200, False), (200, True), (200, True)]

    def test_a_callback_reports_when_the_request_is_sent(self, world: World) -> None:
        world.will(says("one"))
        steps: list[str] = []
        wanted = Call(method="POST", url=call(world.url).url, headers={}, body=b"{}", trace=steps.append)
        with world.transport.send(wanted):
            assert any(step.endswith(".send_request_body.complete") for step in steps)

    def test_it_can_be_used_after_an_exception_of_the_reader_and_after_it_was_closed(
        self, world: World
    ) -> None:
        world.will(Scripted(body=[b"ok"]))
        with pytest.raises(KeyboardInterrupt), world.transport.send(call(world.url)):
            raise KeyboardInterrupt
        for _ in range(2):
            with world.transport.send(call(world.url)) as reply:
                assert b"".join(reply.chunks()) == b"ok"
            world.transport.close()

    def test_threads_share_one(self, world: World) -> None:
        world.will(lambda asked: Scripted(body=[asked.body]))
        wrong: list[object] = []

        def ask(number: int) -> None:
            body = str(number).encode()
            with world.transport.send(call(world.url, body=body)) as reply:
                answered = b"".join(reply.chunks())
            if answered != body:
                wrong.append((number, answered))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (wrong, len(world.seen)) == ([], 8)
