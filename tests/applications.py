"""Applications of tests: put together once, and around each test's own stores."""

from __future__ import annotations

import copy
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from crm.staff import Member, Right
from crm.staff.model import NotYourRole


def around(made: Litestar, **state: Any) -> Litestar:
    """Give an application that has the routes of `made`, and this state.

    Routes take longer to put together than most tests run, and nothing in them is a test's own:
    what is, the state, is looked up in the application that a request came to.
    """
    application = copy.copy(made)
    application.state = State(state)
    return application


def check_right(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Ask for the right that a handler names, as `staff.auth.signed_in` does."""
    who: Member | None = connection.scope["state"].get("who")
    if "right" in handler.opt and not (who and who.may(Right(handler.opt["right"]))):
        raise NotYourRole
