"""Customers from elsewhere: files of other tools, taken in with their evidence of consent."""
