"""The default lists of models, for providers whose own list was not asked yet or does not exist.

Sources: the price lists of litellm, catwalk and models.dev as of November 2026; models that their makers had
switched off by then are left out. Azure has no list here: a request names the user's own deployment.
"""

from __future__ import annotations

from provider_core.presets.lists import clouds_china, gateways, hosts, labs, labs_china
from provider_core.types import Model

__all__ = ["TABLE", "models"]

TABLE = {**labs.MODELS, **labs_china.MODELS, **clouds_china.MODELS, **hosts.MODELS, **gateways.MODELS}


def models(preset: str) -> tuple[Model, ...]:
    """The models of a preset, the default first; empty where no list is known."""
    return tuple(
        Model(
            id=id_,
            name=name,
            context=context,
            max_output=max_output,
            reasoning=reasoning,
            tools=tools,
            reasoning_levels=levels,
        )
        for id_, context, max_output, reasoning, tools, name, levels in TABLE.get(preset, ())
    )
