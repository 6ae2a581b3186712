"""What somebody wrote, parted from the mail she answered and from her signature."""

import re

_LONGEST_LINE = 1_000

# "On Monday, Nora wrote:", over one line or two, as programs write it in their users' languages.
_ATTRIBUTION = re.compile(
    r"^(on\b.*\bwrote|am\b.*\bschrieb\b.*|.*\bschrieb am\b.*|le\b.*\ba écrit|el\b.*\bescribió|"
    r"il\b.*\bha scritto|op\b.*\bschreef\b.*|em\b.*\bescreveu|a\b.*\bescreveu|"
    r"(w dniu|dnia)\b.*\b(pisze|napisał\(?a?\)?)\b.*|den\b.*\bskrev\b.*|.*\bпише[тш]?\b.*|"
    r"في.*كتب.*|.*のメール：?|.*写道)\s?[:：]?$",
    re.IGNORECASE,
)
_DIVIDER = re.compile(
    r"^(-{2,}\s?(original message|original-nachricht|ursprüngliche nachricht|message d'origine|"
    r"message original|mensaje original|messaggio originale|oorspronkelijk bericht|"
    r"mensagem original|wiadomość oryginalna|forwarded message)\s?-{0,}|_{20,})$",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"^\W?(from|von|de|da|van|od|från|من)\W?\s?:\s?\S.*$",
    re.IGNORECASE,
)
_SECOND_HEADER = re.compile(
    r"^\W?(sent|date|to|subject|gesendet|datum|an|betreff|envoyé|à|objet|enviado|fecha|para|asunto|"
    r"inviato|data|a|oggetto|verzonden|aan|onderwerp|assunto|wysłano|do|temat)\W?\s?:\s?\S.*$",
    re.IGNORECASE,
)
_DEVICE = re.compile(
    r"^(sent (from|with|using) (my|mail|proton|yahoo|outlook|the)\b.*|get outlook for .*|"
    r"(von meinem|gesendet (von|mit)) .*|envoyé (de|depuis) .*|enviado (desde|do|de) .*|"
    r"inviato da .*|verzonden (vanaf|met|vanuit) .*|wysłan[eo] z .*)$",
    re.IGNORECASE,
)


def own_words(text: str) -> str:
    """The text down to the mail it answers or the signature, whichever begins first.

    Quoted lines between what was written stay: without them an answer point by point says nothing.
    """
    lines = [line.rstrip()[:_LONGEST_LINE] for line in text.replace("\xa0", " ").splitlines()]
    quoted = _only_quoted(lines)
    end = next((at for at in range(len(lines)) if _ends(lines, at, quoted)), len(lines))
    kept = lines[:end]
    while kept and (not kept[-1].strip() or kept[-1].lstrip().startswith(">")):
        kept.pop()
    return "\n".join(kept).strip("\n")


def unquoted(text: str) -> str:
    """Her own words without a line that is quoted."""
    return "\n".join(
        line for line in own_words(text).splitlines() if not line.lstrip().startswith(">")
    )


def _ends(lines: list[str], at: int, quoted: list[bool]) -> bool:
    line = lines[at].strip()
    if line == "--" or _DIVIDER.match(line) or _DEVICE.match(line):
        return True
    following = lines[at + 1].strip() if at + 1 < len(lines) else ""
    if _HEADER.match(line) and _SECOND_HEADER.match(following):
        return True
    if quoted[at + 1] and _ATTRIBUTION.match(line):
        return True
    return quoted[min(at + 2, len(lines))] and bool(_ATTRIBUTION.match(f"{line} {following}"))


def _only_quoted(lines: list[str]) -> list[bool]:
    """Say for each line, and the end, whether what stands from there on can be the quotation.

    Where lines of it are marked, only marked ones can, down to the signature.
    """
    found = [True]
    any_marked = first_marked = False
    first_own = "--"
    for line in reversed([each.strip() for each in lines]):
        if line:
            first_marked = line.startswith(">")
            any_marked = any_marked or first_marked
            first_own = first_own if first_marked else line
        found.append(not any_marked or (first_marked and first_own == "--"))
    return found[::-1]
