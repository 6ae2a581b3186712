"""What a program of the business writes to one customer, on a contract or a duty, never to sell.

Owns no table: purposes and messages are `crm/mail`'s. Here the message is set in the letterhead,
its final bytes are judged as those of campaigns are (promise 4), and whoever it may not go to is
refused.
"""

from crm.service.actions import send
from crm.service.model import NewServiceMessage

__all__ = ["NewServiceMessage", "send"]
