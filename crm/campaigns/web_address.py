"""What a mail program makes a link of, so that no value of one reader may be it (promise 4)."""

from __future__ import annotations

import re

# In linear time, for it looks at a value of ten thousand letters as well: no two of its repeats
# can begin at every place of the same run. Of a host only the end is looked for, with what makes it
# more than a word after a full stop: a path, a port, a query or a fragment.
_ADDRESS = re.compile(
    r"[a-z0-9+.-]://|www\.[\w-]|//[\w-]+\."
    r"|[\w-]\.(?:xn--[a-z0-9-]{1,59}|[^\W\d_]{2,24})(?:/|:\d|\?[\w-]+=|#\w)"
    r"|(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?:/|:\d)"
    r"|(?<![\w-])(?:javascript:\S|data:[\w-]*[/,;]|mailto:[^\s@]{1,64}@)",
    re.IGNORECASE,
)
# Whom to write to is no page, whatever the domain is called.
_MAILBOX = re.compile(r"[^\s@:/]+@[\w.-]+")


def is_web_address(value: str) -> bool:
    """Say whether there is a web address in a value, or what would be taken for one."""
    # Nearly every value ends here: this is asked for each mail.
    if "." not in value and ":" not in value and "//" not in value:
        return False
    return _ADDRESS.search(value) is not None and _MAILBOX.fullmatch(value.strip()) is None
