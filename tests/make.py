"""Rows with sane defaults, made by the actions themselves so that they keep every invariant."""

from __future__ import annotations

import tempfile
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm import businesses, consent
from crm.businesses import Business, NewBusiness
from crm.consent import NewNotice, NewPurpose, Notice, Purpose
from crm.db import Database, Db
from crm.events import Actor

SYSTEM = Actor.system()


def short_directory(factory: pytest.TempPathFactory) -> str:
    """Make a directory whose path leaves room for a socket's 100 characters."""
    directory = tempfile.mkdtemp(prefix="fh-")
    factory.mktemp("servers")
    return directory


async def business(database: Database, **changes: Any) -> Business:
    """Add a business that answers on a host of its own."""
    business_id = uuid4()
    given: dict[str, Any] = {
        "name": "Corner Bakery",
        "legal_name": "Corner Bakery Ltd",
        "postal_address": "4 Mill Lane, Exampleton EX1 2AB",
        "sender_name": "Corner Bakery",
        "sender_address": "letter@corner-bakery.example",
        "privacy_contact": "privacy@corner-bakery.example",
        "origin": f"http://{business_id.hex}.example",
    }
    async with database.write(business_id) as db:
        return await businesses.add(db, NewBusiness(**given | changes))


async def purpose(db: Db, **changes: Any) -> Purpose:
    """Add a newsletter."""
    given: dict[str, Any] = {
        "slug": f"letter-{uuid4().hex[:8]}",
        "name": "The Corner Letter",
        "description": "What we bake, why, and when.",
    }
    return await consent.add_purpose(db, SYSTEM, NewPurpose(**given | changes))


async def notice(db: Db, purpose_id: UUID, **changes: Any) -> Notice:
    """Publish a text for a purpose."""
    given: dict[str, Any] = {
        "locale": "en",
        "text": "Yes, send me The Corner Letter by e-mail. I can stop at any time.",
        "control_label": "Send me The Corner Letter",
        "accepts": [consent.EvidenceKind.former_double_opt_in],
    }
    return await consent.publish_notice(db, SYSTEM, purpose_id, NewNotice(**given | changes))
