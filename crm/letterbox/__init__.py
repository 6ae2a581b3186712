"""For demo and development: an SMTP server that catches mail and shows it on a local page.

It listens on this machine only. Every message accepted is in its log (`log.Log.read`) before the
client is told so; that log is what the sender's own books are checked against.
"""

from crm.letterbox.log import Entry, Log
from crm.letterbox.serve import Ready, main, serve

__all__ = ["Entry", "Log", "Ready", "main", "serve"]
