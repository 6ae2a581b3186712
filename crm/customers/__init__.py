"""Whom we know: customers, their attributes and interactions."""
