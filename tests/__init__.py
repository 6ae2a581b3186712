"""Tests: one folder per domain, one file per verb."""
