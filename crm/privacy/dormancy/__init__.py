"""Records that have been quiet for long: the customer is asked, and then they are erased."""

from crm.privacy.dormancy.actions import Dormancy, due, forget, of_customer, tell, wake

__all__ = ["Dormancy", "due", "forget", "of_customer", "tell", "wake"]
