"""What mail servers write where they give no enhanced code, as the code that RFC 3463 has for it.

So that `crm.mail.outcome` stays the one table of meanings. The order is the rule: what speaks for
the person is asked first. Every text is one that a known server writes; none names a server.
"""

import re

_ = re.IGNORECASE

_TEXTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    # Our own address, not hers; before anything that says "unknown".
    (
        "5.1.8",
        re.compile(
            r"sender (address|domain|e-?mail)|sender (was |is )?(rejected|denied|refused|unknown)|"
            r"sender verif|return.?path|mail from:\s?<|domain of sender",
            _,
        ),
    ),
    (
        "4.2.1",
        re.compile(
            r"receiving (e?-?mail|messages) (at a rate|too quickly|too fast)|"
            r"temporar(y|ily) (locked|disabled|unavailable|suspended|deferred)|"
            r"(account|mailbox|user)[^.\n]{0,40}(suspended|on hold|locked|inactive|not active)",
            _,
        ),
    ),
    (
        "5.2.2",
        re.compile(
            r"(mail ?box|mail ?folder|inbox|quota|storage|maildir|account)[^.\n]{0,40}"
            r"(\bfull\b|exceed|over (the )?(limit|quota))|over ?quota|exceed[^.\n]{0,40}quota|"
            r"(insufficient|not enough)[^.\n]{0,20}(space|storage)|disk (is )?full|"
            r"quota (exceeded|violation)",
            _,
        ),
    ),
    (
        "5.3.4",
        re.compile(
            r"(message|mail|size|content)[^.\n]{0,30}(too (big|large|long)|exceed[^.\n]{0,40}size)|"
            r"(message|maximum|fixed|mail) size (limit|exceed)|size limit",
            _,
        ),
    ),
    ("5.4.6", re.compile(r"too many hops|hop count exceeded|mail loop|loops? back to", _)),
    (
        "5.7.1",
        re.compile(
            r"relay(ing)? (access )?(is )?(denied|not (permitted|allowed)|prohibited)|"
            r"not (in|on) (my|our) list of allowed|virus|authenticat|access denied|"
            r"not (authori[sz]ed|permitted|allowed)|(does(n't| not) have|without|no) permission|"
            r"not accepting (e-?)?mail from|reverse dns|\bptr\b|pointer record",
            _,
        ),
    ),
    (
        "5.1.10",
        re.compile(r"null mx|does not accept (e-?)?mail|indicated no smtp service", _),
    ),
    (
        "4.4.7",
        re.compile(
            r"(retry|delivery) time(out)?[^.\n]{0,20}(expired|exceeded)|timed? ?out|"
            r"connection refused|no route to host|network is unreachable|"
            r"has been in (the )?queue|(delivery|message)[^.\n]{0,30}(been )?delayed|"
            r"not yet been delivered|will (keep|continue)[^.\n]{0,10} try|try again later|"
            r"temporar(y|ily) (failure|error|lookup)|host not responding",
            _,
        ),
    ),
    (
        "5.1.6",
        re.compile(
            r"(mailbox|user|recipient|account|address)[^.\n]{0,30}(has |have )?moved|"
            r"no longer (on|at|with) (this |the )?(server|system|company|address)",
            _,
        ),
    ),
    (
        "5.1.2",
        re.compile(
            r"(no such|unknown|non-?existent|invalid) (host|domain)|"
            r"(host|domain)( name)?( is| was)? (unknown|not found|invalid)|"
            r"(host|domain)( name)? (does not|doesn't|do not) exist|nxdomain|"
            r"(could ?n.t|could not|can ?not|can't|unable to) (find|resolve|lookup)[^.\n]{0,20}"
            r"(host|domain)|no mx (record|host)[^.\n]{0,10} found|unrout(e)?able mail domain|"
            r"name or service not known",
            _,
        ),
    ),
    (
        "5.2.1",
        re.compile(
            r"(mail ?box|account|user|address|recipient)[^.\n]{0,30}"
            r"(disabled|deactivated|discontinued|closed|terminated|expired)",
            _,
        ),
    ),
    (
        "5.1.1",
        re.compile(
            # Not "recipient not found": gateways write it when their own directory fails.
            r"(user|mail ?box|account|address)[^.\n]{0,20}\bnot found|"
            r"(user|recipient|mail ?box|account|address)[^.\n]{0,20}\b(unknown|invalid)|"
            r"(unknown|no such|invalid|non-?existent|unrecogni[sz]ed|bad) ((local |e-?mail |user )?"
            r"(user|recipient|mail ?box|account|address|name|person)|local part|user.?id)|"
            r"(user|recipient|mail ?box|account|address)[^.\n]{0,40}"
            r"((does not|doesn't|do not|did not) exist|not exist)|no mail ?box here|"
            r"(user|person|recipient)[^.\n]{0,60}"
            r"(doesn't|does not|do not|don't) have an?[^\n]{0,30} account|"
            r"not listed in[^.\n]{0,30}directory|not a (known|valid) (user|mailbox|recipient)|"
            r"(account|address)( that)? you tried to reach does not exist|unrout(e)?able address|"
            r"recipnotfound|not our customer|no account by that name",
            _,
        ),
    ),
)

# Anything here says that the same address may take mail another day.
TEMPORARY = re.compile(
    r"temporar(y|ily)|try(ing)? (again|later)|later|at a rate|too (quickly|fast|many|much)|"
    r"over ?quota|\bfull\b|timed? ?out|greylist|suspend|locked|on hold",
    _,
)


def status_of(text: str) -> str:
    """The enhanced code that this text amounts to, or nothing."""
    return next((status for status, wording in _TEXTS if wording.search(text)), "")
