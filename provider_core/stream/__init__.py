"""The room where the bytes of an answer become events and one verdict, and error bodies errors; no I/O is done here."""

from provider_core.stream.decoder import Decoder
from provider_core.stream.failures import failure
from provider_core.stream.waiting import retry_after

__all__ = ["Decoder", "failure", "retry_after"]
