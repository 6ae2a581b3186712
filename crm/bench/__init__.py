"""Measures how fast the service is, each figure beside a ceiling taken in the same run."""
