"""Firsthand: a consent-first, first-party CRM and newsletter service."""
