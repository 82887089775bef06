"""What every key store does, the real keyring and those that live in memory: subclass it and give a ``store``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provider_core.keys import KeyStore


class KeyStoreConformance:
    """A subclass has a fixture ``store``: empty, and of the kind under test."""

    def test_what_was_set_can_be_had(self, store: KeyStore) -> None:
        store.set("one", "key of one")
        store.set("two", "key of two")
        assert (store.get("one"), store.get("two")) == ("key of one", "key of two")

    def test_what_was_never_set_is_none(self, store: KeyStore) -> None:
        assert store.get("nobody") is None

    def test_a_second_key_takes_the_place_of_the_first(self, store: KeyStore) -> None:
        store.set("one", "old")
        store.set("one", "new")
        assert store.get("one") == "new"

    def test_a_deleted_key_is_gone_and_no_other(self, store: KeyStore) -> None:
        store.set("one", "a")
        store.set("two", "b")
        store.delete("one")
        assert (store.get("one"), store.get("two")) == (None, "b")

    def test_deleting_what_is_not_there_is_no_error(self, store: KeyStore) -> None:
        store.delete("nobody")
        assert store.get("nobody") is None

    def test_names_differ_by_case(self, store: KeyStore) -> None:
        store.set("Lab", "upper")
        store.set("lab", "lower")
        assert (store.get("Lab"), store.get("lab")) == ("upper", "lower")

    def test_a_key_is_kept_as_it_is(self, store: KeyStore) -> None:
        key = "sk-" + "".join(map(chr, range(33, 127))) * 20 + " with spaces"
        store.set("one", key)
        assert store.get("one") == key
