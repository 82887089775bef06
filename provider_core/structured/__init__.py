"""The room for answers that have to fit a JSON schema: reads the schema, checks the answer, words the second try.

How it is asked for on the wire is ``Request.schema``'s way through ``quirks`` and ``repair``; nothing is sent here.
"""

from provider_core.structured._check import Checked, check, retry_message
from provider_core.structured._schema import schema_from
from provider_core.structured._short import short_form

__all__ = ["Checked", "check", "retry_message", "schema_from", "short_form"]
