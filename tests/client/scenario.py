"""Twenty calls, from declaring what is held and why to a withdrawal and its events.

The client that a generator makes from the OpenAPI document runs the same (docs/client.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from crm.client import Client
from crm.client.answers.events import Event


async def twenty_calls(client: Client, told: Callable[[], Awaitable[None]]) -> list[Event]:
    """Make them; `told` waits until what happened has its place in the feed."""
    key = await client.keys.get_key()
    assert key.scopes
    await client.attributes.put_attribute(
        "usual_shop",
        label="Usual shop",
        type="text",
        purpose="For opening hours.",
        basis="legitimate_interests",
        origin="From you.",
        retention="P24M",
    )
    await client.interactions.put_interaction_kind(
        "purchase", label="Purchase", purpose="Because tax law says so.", retention="P6Y"
    )
    purpose = await client.purposes.post_purpose(
        slug="corner-letter", name="The Corner Letter", basis="consent"
    )
    notice = await client.purposes.post_notice(
        purpose.id,
        locale="en",
        text="Yes, send me The Corner Letter by e-mail. I can stop at any time.",
        control_label="Send me The Corner Letter",
        accepts=["former_double_opt_in"],
    )
    nora = await client.customers.post_customer(address="nora@example.com", name="Nora")
    assert await client.customers.post_customer_search(address="NORA@example.com") == [nora]
    changed = await client.customers.patch_customer(nora.id, if_match=nora.version, name="Nora B.")
    assert changed
    assert changed.version > nora.version
    await client.attributes.put_customer_attributes(nora.id, {"usual_shop": "Harbour"})
    await client.interactions.post_interaction(nora.id, kind="purchase", title="Two loaves")
    bought = [each.title async for each in client.interactions.get_interactions(nora.id)]
    assert bought == ["Two loaves"]
    given = await client.consent.post_consent_event(
        nora.id,
        purpose=purpose.id,
        status="given",
        notice=notice.id,
        evidence={"kind": "former_double_opt_in"},
    )
    check = await client.consent.get_check(customer=nora.id, purpose=purpose.id)
    assert check.authorises
    assert check.event_id == given.id
    campaign = await client.campaigns.post_campaign(
        purpose_id=purpose.id, subject="Rye on Saturdays", source="# Rye\n\nThere is rye bread."
    )
    assert (await client.campaigns.get_campaign(campaign.id)).state == "draft"
    shop = await client.webhooks.post_webhook(
        name="Shop", url="https://shop.example/firsthand", kinds=["consent.withdrawn"]
    )
    assert shop.secret.startswith("whsec_")
    await client.consent.post_withdrawal(address="nora@example.com", purpose=purpose.id)
    checks = await client.consent.post_checks(purpose=purpose.id, customers=[nora.id])
    assert [each.authorises for each in checks.checks] == [False]
    decided = await client.consent.get_consent_events(nora.id)
    assert [each.status for each in decided] == ["withdrawn", "given"]
    await told()
    return [each async for each in client.events.get_events(order="oldest")]
