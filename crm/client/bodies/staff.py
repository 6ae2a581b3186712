"""What a call takes: staff. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, TypedDict


class Access(TypedDict):
    """Whether somebody is let in."""

    on: bool


class NewMember(TypedDict):
    """Whom an owner invites."""

    name: str
    address: str
    role: Role


class NewRole(TypedDict):
    """What somebody is here for."""

    role: Role


Role = Literal["owner", "editor", "care", "viewer"]
