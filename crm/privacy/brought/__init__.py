"""What she brought along: the copy of another installation, taken over."""

from crm.privacy.brought.actions import (
    bring,
    export,
    forget,
    lapse,
    newest,
    texts,
)

__all__ = [
    "bring",
    "export",
    "forget",
    "lapse",
    "newest",
    "texts",
]
