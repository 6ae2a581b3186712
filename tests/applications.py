"""Applications of tests: put together once, and around each test's own stores."""

from __future__ import annotations

import copy
from typing import Any

from litestar import Litestar
from litestar.datastructures import State


def around(made: Litestar, **state: Any) -> Litestar:
    """Give an application that has the routes of `made`, and this state.

    Routes take longer to put together than most tests run, and nothing in them is a test's own:
    what is, the state, is looked up in the application that a request came to.
    """
    application = copy.copy(made)
    application.state = State(state)
    return application
