"""The web process with one handler more, which does nothing: `python -m crm.bench.web`."""

from __future__ import annotations

import os

import uvloop
from litestar import Router, get

from crm import app
from crm.log import configure
from crm.settings import Settings
from crm.staff import Scope
from crm.staff.auth import needs, with_key
from crm.web.refusals import PROBLEMS

PATH = "/v1/bench/nothing"


@get(PATH, guards=[with_key, needs(Scope("consents:read"))], exception_handlers=PROBLEMS)
async def get_nothing() -> dict[str, bool]:
    """Answer a caller who may ask, with nothing."""
    return {}


async def serve(settings: Settings) -> None:
    """Serve the product and that handler until stopped."""
    configure(settings.log_level)
    async with app.opened(settings) as state:
        nothing = Router("/", route_handlers=[get_nothing], include_in_schema=False)
        await app.listen(settings, app.application(settings, state, nothing))


if __name__ == "__main__":
    # As `crm web` is run.
    uvloop.run(serve(Settings.read(os.environ)))
