"""Who may ask what, and how much of it: the guards in front of the routes.

`guard` is all that the application calls. `keys` is a file format, which the command line uses too
and which loads no web framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mmsearch.server.settings import Settings


def guard(app: FastAPI, settings: Settings) -> None:
    """Put the guards in front of `app`, and its `state.metrics` behind /metrics.

    Raises UsageError for an open address without keys, InputError for a bad file of keys.
    """
    from mmsearch.server.security.layers import add_layers

    add_layers(app, settings)
