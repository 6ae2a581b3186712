"""Erasure (GDPR Art. 17): planned, called off, and certified."""
