"""Which words of a bounce's text are about which recipient, and where the returned mail begins."""

import re
from functools import cached_property

# Where the report ends and the mail it returns begins.
_CITED = re.compile(
    r"^[ \t>]*-{2,}.{0,40}(copy of|original|returned|unsent|header|below this line|message)"
    r"|^[ \t]*(below is|message headers follow|the original message|original message follows)"
    r"|^(return-path|received):\s?\S",
    re.IGNORECASE | re.MULTILINE,
)
_CODED = re.compile(r"\b[45]\d\d[ -]|\b[45]\.\d{1,3}\.\d")
_AROUND = 700


def told(text: str) -> str:
    """The report without the mail it returns; all of it where it begins with that."""
    found = _CITED.search(text)
    return text[: found.start()] if found and found.start() > 0 else text


class Report:
    """The words of a bounce, folded and searched once for however many recipients are asked for."""

    def __init__(self, text: str) -> None:
        """Tell of this text, which should be without the mail that it returns."""
        self.text = text
        self._folded = text.casefold()

    def names(self, who: str) -> bool:
        """Whether this address stands in it; nobody's does in any."""
        return who.casefold() in self._folded

    def about(self, who: str, named: list[str]) -> str:
        """What the report says of this recipient: below the address, up to the next one's."""
        start = self._folded.find(who.casefold()) if who else -1
        if start < 0:
            return self.nearest
        others = (
            self._folded.find(other.casefold(), start + len(who))
            for other in named
            if other.casefold() != who.casefold()
        )
        ends = [at for at in others if at > 0]
        if ends:
            return self.text[start + len(who) : min(start + _AROUND, *ends)]
        below = self.text[start : start + 2 * _AROUND]
        if len(named) > 1 or _CODED.search(below):
            return _nearest(below)
        return self.nearest

    @cached_property
    def nearest(self) -> str:
        """The paragraphs that speak in codes, or else the end, where servers give the reason."""
        return _nearest(self.text)


def _nearest(text: str) -> str:
    coded = [one for one in re.split(r"\n\s*\n", text) if _CODED.search(one)]
    return "\n".join(coded) if coded else text[-2 * _AROUND :]
