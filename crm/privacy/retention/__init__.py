"""Retention: what is kept how long, declared in one place, swept and told (docs/retention.md)."""
