"""The calls, by subject. Written by `make calls`."""

from crm.client.calls.attributes import AttributesCalls
from crm.client.calls.business import BusinessCalls
from crm.client.calls.campaigns import CampaignsCalls
from crm.client.calls.consent import ConsentCalls
from crm.client.calls.customers import CustomersCalls
from crm.client.calls.events import EventsCalls
from crm.client.calls.imports import ImportsCalls
from crm.client.calls.interactions import InteractionsCalls
from crm.client.calls.keys import KeysCalls
from crm.client.calls.privacy import PrivacyCalls
from crm.client.calls.purposes import PurposesCalls
from crm.client.calls.segments import SegmentsCalls
from crm.client.calls.service_messages import ServiceMessagesCalls
from crm.client.calls.sign_ups import SignUpsCalls
from crm.client.calls.staff import StaffCalls
from crm.client.calls.suppressions import SuppressionsCalls
from crm.client.calls.tags import TagsCalls
from crm.client.calls.webhooks import WebhooksCalls
from crm.client.exchange import Exchange


class Calls:
    """Every call there is, with the others of its subject."""

    def __init__(self, exchange: Exchange) -> None:
        """Speak through this exchange."""
        self.attributes = AttributesCalls(exchange)
        self.business = BusinessCalls(exchange)
        self.campaigns = CampaignsCalls(exchange)
        self.consent = ConsentCalls(exchange)
        self.customers = CustomersCalls(exchange)
        self.events = EventsCalls(exchange)
        self.imports = ImportsCalls(exchange)
        self.interactions = InteractionsCalls(exchange)
        self.keys = KeysCalls(exchange)
        self.privacy = PrivacyCalls(exchange)
        self.purposes = PurposesCalls(exchange)
        self.segments = SegmentsCalls(exchange)
        self.service_messages = ServiceMessagesCalls(exchange)
        self.sign_ups = SignUpsCalls(exchange)
        self.staff = StaffCalls(exchange)
        self.suppressions = SuppressionsCalls(exchange)
        self.tags = TagsCalls(exchange)
        self.webhooks = WebhooksCalls(exchange)
