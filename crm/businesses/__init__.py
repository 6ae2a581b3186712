"""Whose customers these are: the controllers that one installation serves.

Owns `business` and `host`. A business is always known by its id before anything of it is read.
"""

from crm.businesses.actions import add, change, get
from crm.businesses.model import Business, NewBusiness, NoPostalAddress, UnusableHost

__all__ = ["Business", "NewBusiness", "NoPostalAddress", "UnusableHost", "add", "change", "get"]
