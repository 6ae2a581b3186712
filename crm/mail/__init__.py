"""One message to one address, on the wire."""
