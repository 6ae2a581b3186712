"""What a call takes, by subject."""
