"""What is known to watch readers: lists of trackers by their public formats, and facts of our own.

Read are Adblock filter lists (EasyList, uBlock, AdGuard's `removeparam`), hosts files and plain
lists of hosts, and the JSON of DuckDuckGo (Tracker Radar, URL parameters), Disconnect and
ClearURLs. They are loaded from files that the operator names; none is part of this project.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec
from msgspec import Struct

from crm.characters import parted

_OWN = Path(__file__).parent / "lists" / "own.txt"
_LARGEST = 50_000_000
_HOSTS_LINE = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s+(\S+)")
_HOST = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*\.[a-z0-9-]{2,}", re.IGNORECASE)
_HOST_RULE = re.compile(r"\|\|([a-z0-9._-]+)\^?", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9%]{3,}")
_IMAGE_ONLY = frozenset({"image"})
# Options that narrow a rule to a place or a site that a mail is not.
_NARROW = re.compile(r"(?:domain|app|sitekey|badfilter|csp|redirect|replace|cookie|generichide)\b")


class BadLists(Exception):
    """The directory of tracker lists cannot be used; the message says which file, and why."""


class Rule(Struct, frozen=True):
    """One pattern of a list, as it was written; `image` rules say nothing about links."""

    written: str
    pattern: re.Pattern[str]
    image: bool = False


class Lists(Struct, frozen=True):
    """All that is known, indexed so that tens of thousands of patterns cost a link little."""

    hosts: dict[str, str]
    by_word: dict[str, list[Rule]]
    others: list[Rule]
    parameters: dict[str, str]
    parameter_rules: list[tuple[re.Pattern[str], re.Pattern[str]]]
    except_for: list[re.Pattern[str]]
    # What a verdict cites: SHA-256 over the files, in the order of their names.
    digest: str

    def tracker(self, url: str, *, image: bool) -> str:
        """Return the rule by which this URL is a tracker's, or nothing.

        A host that only lists of hosts name is one for what is loaded, not for a link: to write
        about a company and link to it watches nobody.
        """
        low = url.lower()
        if any(each.search(low) for each in self.except_for):
            return ""
        host = (_split(low).hostname or "").rstrip(".")
        if image:
            labels = host.split(".")
            for start in range(len(labels) - 1):
                name = ".".join(labels[start:])
                if name in self.hosts:
                    return self.hosts[name]
        words = dict.fromkeys(_WORD.findall(low))
        candidates = [rule for word in words for rule in self.by_word.get(word, ())]
        for rule in (*candidates, *self.others):
            if (image or not rule.image) and rule.pattern.search(low):
                return rule.written
        return ""

    def parameter(self, url: str) -> str:
        """Return the first parameter of the URL that is there for tracking, or nothing."""
        parts = _split(url)
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        names += [name for name, _ in parse_qsl(parts.fragment) if "=" in parts.fragment]
        for name in names:
            low = name.lower()
            if low in self.parameters or low.startswith("utm_"):
                return name
            for place, pattern in self.parameter_rules:
                if pattern.fullmatch(low) and place.search(url):
                    return name
        return ""


def _split(url: str) -> SplitResult:
    """Take a URL to pieces; one that cannot be read has none."""
    try:
        return urlsplit(parted(url))
    except ValueError:
        return urlsplit("")


def load(directory: str = "") -> Lists:
    """Read our own facts and every file of the directory, or refuse with BadLists."""
    found = _Gathered()
    seal = hashlib.sha256()
    for path in (_OWN, *_files(directory)):
        try:
            raw = path.read_bytes()
            seal.update(len(raw).to_bytes(8, "big") + raw)
            found.take(raw.decode("utf-8-sig"))
        except (OSError, UnicodeDecodeError, ValueError, re.error) as wrong:
            message = f"{path}: is no list of trackers that can be read ({wrong})"
            raise BadLists(message) from None
    return found.done(seal.hexdigest())


def _files(directory: str) -> list[Path]:
    if not directory:
        return []
    try:
        found = sorted(each for each in Path(directory).iterdir() if each.is_file())
    except OSError as wrong:
        message = f"{directory}: cannot be read ({wrong.strerror})"
        raise BadLists(message) from None
    for each in found:
        if each.stat().st_size > _LARGEST:
            message = f"{each}: is larger than {_LARGEST // 1_000_000} MB"
            raise BadLists(message)
    return [each for each in found if each.suffix.lower() in {".txt", ".json", ".hosts", ".list"}]


class _Gathered:
    def __init__(self) -> None:
        self.hosts: dict[str, str] = {}
        self.rules: list[Rule] = []
        self.parameters: dict[str, str] = {}
        self.parameter_rules: list[tuple[re.Pattern[str], re.Pattern[str]]] = []
        self.exceptions: list[re.Pattern[str]] = []

    def take(self, text: str) -> None:
        """Take one file, by what is in it."""
        if text.lstrip()[:1] in {"{", "["} and not text.lstrip().lower().startswith("[adblock"):
            self._json(msgspec.json.decode(text))
            return
        for line in text.splitlines():
            self._line(line.strip())

    def done(self, digest: str) -> Lists:
        """Index what was taken."""
        by_word: dict[str, list[Rule]] = {}
        others = []
        for rule in self.rules:
            word = _rarest(rule.written)
            if word:
                by_word.setdefault(word, []).append(rule)
            else:
                others.append(rule)
        return Lists(
            hosts=self.hosts,
            by_word=by_word,
            others=others,
            parameters=self.parameters,
            parameter_rules=self.parameter_rules,
            except_for=self.exceptions,
            digest=digest,
        )

    def _line(self, line: str) -> None:
        if not line or line[0] in "!#[" or "##" in line or "#@#" in line or "#?#" in line:
            return
        listed = _HOSTS_LINE.match(line)
        if listed or _HOST.fullmatch(line):
            self._host(listed[1] if listed else line, line)
            return
        body, dollar, said = line.rpartition("$")
        options = said.lower().split(",") if dollar and re.fullmatch(r"[\w=,~|.*-]+", said) else []
        body = body if options else line
        if any(_NARROW.match(each.lstrip("~")) for each in options):
            return
        for each in options:
            if each.startswith("removeparam="):
                self._remove(body, each.removeprefix("removeparam="))
                return
        if body.startswith("@@"):
            self.exceptions.append(_compiled(body[2:]))
            return
        whole = _HOST_RULE.fullmatch(body)
        if whole and not options:
            self._host(whole[1], line)
        kinds = {each for each in options if each in {"image", "script", "xmlhttprequest", "all"}}
        self.rules.append(Rule(body, _compiled(body), image=kinds == _IMAGE_ONLY))

    def _host(self, host: str, written: str) -> None:
        if "." in host:
            self.hosts.setdefault(host.lower().rstrip("."), written)

    def _remove(self, place: str, name: str) -> None:
        if place:
            self.parameter_rules.append((_compiled(place), re.compile(re.escape(name.lower()))))
        else:
            self.parameters[name.lower()] = name

    def _json(self, found: Any) -> None:
        if not isinstance(found, dict):
            message = "it is JSON of no known format"
            raise ValueError(message)  # noqa: TRY004  (what is wrong is the file)
        if "features" in found:
            self._duckduckgo_parameters(found["features"])
        elif "providers" in found:
            self._clearurls(found["providers"])
        elif "categories" in found and isinstance(found["categories"], dict):
            self._disconnect(found["categories"])
        elif "trackers" in found:
            for host, said in found["trackers"].items():
                self._radar({"domain": host, "resources": said.get("rules") or []})
        elif "domain" in found:
            self._radar(found)
        else:
            message = "it is JSON of no known format"
            raise ValueError(message)

    def _duckduckgo_parameters(self, features: dict[str, Any]) -> None:
        said = features.get("trackingParameters", {}).get("settings", {}).get("parameters", [])
        for name in said:
            self.parameters[str(name).lower()] = str(name)

    def _radar(self, said: dict[str, Any]) -> None:
        self._host(str(said["domain"]), f"||{said['domain']}^")
        for each in said.get("resources") or []:
            rule = str(each.get("rule", ""))
            if rule:
                self.rules.append(Rule(rule.lower(), re.compile(rule.lower()), image=True))

    def _disconnect(self, categories: dict[str, Any]) -> None:
        for name, services in categories.items():
            if name == "Content":  # what pages are made of, not what watches
                continue
            for service in services:
                for urls in service.values():
                    for hosts in urls.values():
                        for host in hosts if isinstance(hosts, list) else ():
                            self._host(host, f"||{host}^")

    def _clearurls(self, providers: dict[str, Any]) -> None:
        for said in providers.values():
            place = re.compile(said["urlPattern"], re.IGNORECASE)
            if said.get("completeProvider"):
                self.rules.append(Rule(said["urlPattern"], place))
            for rule in said.get("rules") or []:
                self.parameter_rules.append((place, re.compile(rule, re.IGNORECASE)))


def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile an Adblock pattern: `||`, `|`, `*` and `^` as EasyList writes them."""
    low = pattern.lower()
    if len(low) > 1 and low.startswith("/") and low.endswith("/") and re.search(r"[\\(\[]", low):
        return re.compile(pattern[1:-1], re.IGNORECASE)
    start = ""
    if low.startswith("||"):
        start, low = r"^[a-z][a-z0-9+.-]*:/+(?:[^/?#]*\.)?", low[2:]
    elif low.startswith("|"):
        start, low = "^", low[1:]
    elif _HOST.match(low) and low[0] not in "/.":
        # A rule that begins with a host means it, not the end of another name.
        start = r"(?<![a-z0-9-])"
    end = ""
    if low.endswith("|"):
        end, low = "$", low[:-1]
    low = re.sub(r"\*+", "*", low).strip("*")
    body = re.escape(low).replace(r"\*", ".*?").replace(r"\^", r"(?:[^\w.%-]|$)")
    return re.compile(start + body + end)


def _rarest(pattern: str) -> str:
    """Return a whole word that every URL of the pattern has, or nothing (a regular expression)."""
    if "\\" in pattern or "(" in pattern or "[" in pattern:
        return ""
    low = pattern.lower()
    whole = [
        each[0]
        for each in _WORD.finditer(low)
        if each.start() > 0 and each.end() < len(low)
        if low[each.start() - 1] != "*" and low[each.end()] != "*"
    ]
    return max(whole, key=len, default="")


def patterns(text: str) -> Iterator[str]:
    """Yield the patterns of a filter list without comments and options: to look at one."""
    for line in text.splitlines():
        if line and line[0] not in "!#[" and "##" not in line:
            yield line.partition("$")[0]


class _Known:
    """The lists of this process, read once where it starts."""

    def __init__(self) -> None:
        self._lists: Lists | None = None

    def use(self, directory: str) -> None:
        """Read the lists of a directory, or refuse with BadLists."""
        self._lists = load(directory)

    @property
    def lists(self) -> Lists:
        """Return them; without a directory there are our own facts."""
        if self._lists is None:
            self._lists = load()
        return self._lists


known = _Known()


def named(hosts: Iterable[str]) -> frozenset[str]:
    """Fold hosts as they are compared."""
    return frozenset(host.lower().rstrip(".") for host in hosts if host)
