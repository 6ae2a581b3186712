"""Whose customers these are: the controllers that one installation serves.

Owns `business`, `host`, `theme` and `logo`. A business is always known by its id before anything of
it is read.
"""

from crm.businesses.actions import add, change, change_theme, get, hosts, theme_of
from crm.businesses.model import Business, BusinessStale, NewBusiness, NoPostalAddress, UnusableHost
from crm.businesses.theme import Theme

__all__ = [
    "Business",
    "BusinessStale",
    "NewBusiness",
    "NoPostalAddress",
    "Theme",
    "UnusableHost",
    "add",
    "change",
    "change_theme",
    "get",
    "hosts",
    "theme_of",
]
