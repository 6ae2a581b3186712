"""A restore that could not do all of it does not end as one that could."""

from __future__ import annotations

import json

import pytest

from crm import mail
from crm.journal import Journal
from crm.mail import Scope, Why
from crm.restore import DatabaseLacks
from tests import make
from tests.campaigns.test_killed import environ
from tests.commands import crm
from tests.conftest import Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import backed_up, execute, put_back, replayed
from tests.smtpd import smtpd

REFUSES = """
CREATE FUNCTION crm.no() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'no' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER no BEFORE INSERT ON crm.suppression FOR EACH ROW EXECUTE FUNCTION crm.no()
"""
# What takes something from a database, and what gives it back.
TAKEN = [
    (
        "REVOKE INSERT ON crm.suppression FROM crm_app",
        "GRANT INSERT ON crm.suppression TO crm_app",
    ),
    (
        "ALTER TABLE crm.suppression RENAME TO elsewhere",
        "ALTER TABLE crm.elsewhere RENAME TO suppression",
    ),
]


@pytest.mark.timeout(300)
async def test_what_the_database_lacks_ends_it_and_a_line_that_is_wrong_is_named_last(
    own_cluster: Cluster, journal: Journal, redis_url: str
) -> None:
    """A grant that is missing would fail every line; a trigger that refuses one row, that alone."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            for number in range(2):
                async with database.write(business.id) as db:
                    address = bytes([number] * 16)
                    await mail.suppress(db, make.SYSTEM, address, Scope.all, Why.bounced)
        async with put_back(backup, journal) as (_, watch), smtpd() as relay:
            for taken, given in TAKEN:
                await execute(backup, taken)
                with pytest.raises(DatabaseLacks, match="Line 1 of the journal needs"):
                    await replayed(backup, watch.keeper, business.id)
                assert (await watch.look()).put_back == (business.id,)
                await execute(backup, given)
            await execute(backup, REFUSES)
            found = environ(backup, redis_url, relay, make.place_of(journal))
            settings = {name: each for name, each in found.items() if name.startswith("CRM_")}
            status, out, err = await crm("restore", **settings)
            assert (status, "What is left to you" in out) == (1, True)
            last = out.rstrip().splitlines()[-1]
            # The first is known to have been committed, the second is in the journal.
            assert last.startswith(f"Not carried out, business {business.id}: line 1, 2 of")
            said = [json.loads(line) for line in err.splitlines()]
            why = [each["exception"] for each in said if each["event"] == "line_not_replayed"]
            assert len(why) == 2
            assert all(" at " in each and "\n" not in each for each in why)
            assert "line_not_replayed" not in out
            assert not (await watch.look()).put_back
