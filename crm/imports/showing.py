"""Text of a file as it may stand in a report or an answer: printable, and not too long."""

# No label is longer, in small letters: what is called by more can be no declared attribute or tag.
LONGEST = 600
_SHOWN = 60


def printable(text: str, most: int) -> str:
    """So much of a text that PostgreSQL can keep and people can read; it may be empty."""
    return "".join(filter(str.isprintable, text))[:most]


def shown(*path: str) -> str:
    """A field or column as it is named in a report."""
    return f"“{printable('.'.join(part for part in path if part), _SHOWN)}”"
