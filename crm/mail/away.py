"""Why a relay cannot be used, in words for staff."""

from __future__ import annotations

_SENTENCES = {
    "cannot_connect": "Nobody answers at its address and port.",
    "no_answer": "It does not answer in time.",
    "connection_lost": "It hangs up before a session has begun.",
    "name_not_found": "There is no such name: look at how its host is written.",
    "name_no_answer": "No name server says in time where its name leads.",
    "name_private": "It is on this machine or in a private network. Whoever runs this installation "
    "can allow that (CRM_SMTP__LOCAL_RELAYS).",
    "certificate_wrong": "Its certificate is not valid for its name, is out of date, or is vouched "
    "for by nobody this machine knows. Nothing is handed over until it is.",
    "tls_failed": "It cannot agree with us on TLS. Nothing is handed over in clear.",
    "tls_not_offered": "It does not offer STARTTLS. Nothing is handed over in clear.",
    "tls_missing": "It is on another machine and set to be used without TLS. Choose STARTTLS or "
    "implicit TLS.",
    "sign_in_without_tls": "A password would be sent without TLS. Choose STARTTLS or implicit TLS.",
    "sign_in_not_offered": "It does not let anybody sign in, at least not inside TLS.",
    "sign_in_refused": "It does not accept the user name and password.",
    "relay_refuses": "It refuses the session.",
    "no_session": "It does not speak SMTP as it should.",
    "no_relay": "No relay is in use.",
}


def sentence(trouble: str) -> str:
    """Return what a trouble means, followed by what the relay itself said, if anything."""
    reason, _, text = trouble.partition(" ")
    told = _SENTENCES.get(reason, reason.replace("_", " "))
    return f"{told} ({text})" if text else told
