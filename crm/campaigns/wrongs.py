"""What the linter can find: each with its code, and a sentence that says what to do."""

from __future__ import annotations

from msgspec import Struct

from crm.languages import marked

# Elements that have no place in a mail, and the code under which they are found.
ELEMENTS = {
    "script": "script", "form": "form", "input": "form", "button": "form", "textarea": "form",
    "select": "form", "iframe": "frame", "frame": "frame", "object": "frame", "embed": "frame",
    "applet": "frame", "portal": "frame", "fencedframe": "frame", "base": "base",
    "video": "media", "audio": "media", "source": "media", "track": "media", "bgsound": "media",
    "svg": "svg", "math": "svg",
}  # fmt: skip
# What is loaded beside pictures by something that is allowed itself, or the code for any other.
LOADED_BY = {"style": "style-url"}
LOADED = "prefetch"
# Of these the tag or the attribute is found, wherever it leads.
FOUND_ITSELF = frozenset({*ELEMENTS, "link", "meta", "ping"})

# Hosts whose short links count the presses for whoever made them.
COUNTING_SHORTENERS = frozenset({
    "bit.ly", "bitly.com", "j.mp", "t.co", "ow.ly", "buff.ly", "lnkd.in", "hubs.ly", "hubs.la",
    "mailchi.mp", "eepurl.com", "rebrand.ly", "dlvr.it", "ift.tt", "cutt.ly", "short.io", "t.ly",
    "rb.gy", "bl.ink", "smarturl.it", "linktr.ee", "trib.al", "spr.ly", "shorturl.at", "goo.gl",
})  # fmt: skip
# Short links of which the one who made them learns little; still, nobody sees where they lead.
SHORTENERS = frozenset({
    "tinyurl.com", "is.gd", "v.gd", "forms.gle", "amzn.to", "aka.ms", "g.co", "fb.me", "wp.me",
    "git.io", "maps.app.goo.gl", "photos.app.goo.gl", "a.co", "da.gd", "w.wiki",
})  # fmt: skip
# Those of them below which their makers have ordinary pages, as support.bitly.com.
WITH_PAGES = frozenset({"bitly.com", "short.io", "bl.ink"})
# Pages that are handed an address to do something with it, and lead nobody on unseen.
SHARING = (
    "twitter.com/intent/", "twitter.com/share", "x.com/intent/", "x.com/share",
    "www.facebook.com/sharer", "facebook.com/sharer", "www.linkedin.com/sharing/",
    "www.linkedin.com/sharearticle", "www.linkedin.com/shareArticle", "www.reddit.com/submit",
    "reddit.com/submit", "news.ycombinator.com/submitlink", "t.me/share", "telegram.me/share",
    "wa.me/", "api.whatsapp.com/send", "bsky.app/intent/", "mastodon.social/share",
    "web.archive.org/", "archive.org/", "archive.ph/", "archive.today/", "validator.w3.org/",
    "translate.google.com/", "www.google.com/calendar/", "calendar.google.com/",
    "www.youtube.com/", "github.com/", "gist.github.com/",
)  # fmt: skip

_WATCHES = {
    "pixel": "An image that nobody sees tells when this mail is opened. Take it out.",
    "spacer": "An image without content is fetched from elsewhere. Take it out; space is made by "
    "the layout.",
    "tracker": "This address belongs to somebody who counts opens or clicks (rule {}). Link to the "
    "page itself.",
    "parameter": "The parameter {} is there to follow whoever presses the link. Take it out of the "
    "address.",
    "address-in-url": "An e-mail address stands in this address, so it tells who reads. Take it "
    "out.",
    "sign-in-in-url": "What stands before the @ of this address is a name and password, and may "
    "tell who reads. Take it out.",
    "redirector": "This link counts who presses it before it leads on. Link to the page itself.",
    "redirect": "This link leads to one host by way of another. Link to the page itself.",
    "per-reader": "This address is not the same for all readers, which is tracking. Only the links "
    "to stop, to choose and to the reason may be a reader's own.",
    "per-reader-header": "This header field is not the same for all readers.",
    "own-link-loaded": "A reader's own link is loaded by the mail itself. It may be pressed only.",
    "list-unsubscribe": "The mail has another way to stop than ours, or none.",
    "read-receipt": "This field asks mail programs to report that the mail was read. Take it out.",
    "image-host": "This picture is fetched from {}, which learns who opens the mail and when. "
    "Attach it to the mail, or allow this host in the settings.",
    "image-query": "The address of this picture has a long value in it, which may tell who reads. "
    "Use its plain address.",
    "image-address": "This picture has no full https address. Attach it, or use one.",
    "stylesheet": "A style sheet is fetched from elsewhere. Take it out.",
    "import": "A style sheet is fetched from elsewhere (@import). Take it out.",
    "style-url": "The style fetches a font or a picture from elsewhere. Take it out.",
    "prefetch": "This asks mail programs to fetch something by themselves. Take it out.",
    "ping": "This reports each press of the link to somebody. Take the attribute out.",
    "script": "A program has no place in a mail. Take it out.",
    "form": "A form has no place in a mail. Link to a page with it.",
    "frame": "An embedded page has no place in a mail. Link to it.",
    "media": "Sound and film are fetched from elsewhere. Link to a page with them.",
    "svg": "A drawing in the text can fetch what it likes. Attach it as a PNG.",
    "base": "This changes where every link leads. Take it out.",
    "meta-refresh": "This leads readers elsewhere by itself. Take it out.",
    "amp": "An AMP part fetches and runs what it likes. Take it out.",
    "active-attachment": "This attached file can fetch something when it is opened. Attach another "
    "kind.",
    "cid": "No picture is attached under this name. Attach it, or take the image out.",
}
_PLEASE = {
    "passed-on": marked(
        "This link seems to lead to one host by way of another. If it does, link to the "
        "page itself."
    ),
    "short-link": marked(
        "A short link hides where it leads, and its maker may count. Better link to the "
        "page itself."
    ),
}


class Finding(Struct, frozen=True):
    """One thing found: `line` is that of the decoded part, 0 in a header field named by `part`."""

    code: str
    sentence: str
    part: str
    line: int
    text: str
    blocking: bool


def finding(code: str, part: str, line: int, text: str, about: str = "") -> Finding:
    """Make a finding of a known code; `about` is what its sentence names."""
    blocking = code in _WATCHES
    sentence = (_WATCHES if blocking else _PLEASE)[code]
    return Finding(code, sentence.replace("{}", about), part, line, text[:500], blocking)


def codes() -> dict[str, str]:
    """Every code with its sentence: for the docs, which must name them all."""
    return _WATCHES | _PLEASE
