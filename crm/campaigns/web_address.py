"""What a mail program makes a link of, so that no value of one reader may be it (promise 4)."""

from __future__ import annotations

import re

# In linear time, for it looks at a value of ten thousand letters as well: no two of its repeats
# can begin at every place of the same run.
_ADDRESS = re.compile(
    r"[a-z0-9+.-]://|www\.|//[\w-]+\.|[\w-]\.[a-z]{2,20}/|(?:javascript|data|mailto):(?!\s)",
    re.IGNORECASE,
)
# Whom to write to is no page, whatever the domain is called.
_MAILBOX = re.compile(r"[^\s@:/]+@[\w.-]+")


def is_web_address(value: str) -> bool:
    """Say whether there is a web address in a value, or what would be taken for one."""
    # Nearly every value ends here: this is asked for each mail.
    if "/" not in value and ":" not in value and "w." not in value and "W." not in value:
        return False
    return _ADDRESS.search(value) is not None and _MAILBOX.fullmatch(value.strip()) is None
