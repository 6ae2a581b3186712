"""The fixtures of the console's tests, for the settings."""

from tests.staff.conftest import app, browser, clock, clocked, owner

__all__ = ["app", "browser", "clock", "clocked", "owner"]
