"""Mail that came back, and what it says."""
