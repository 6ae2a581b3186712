"""Who works here, and which programs call.

Owns `member`, `session`, `look_reason`, `api_key` and `attempt`. What a role may do is one table
in `model.py`; a disabled member and a revoked key stop at their next request; each look at a
customer's record is committed before the answer leaves (promise 11).
"""

from crm.staff.actions import (
    Said,
    add_first_owner,
    change_password,
    disable,
    enable,
    export,
    forget,
    forget_address,
    give_reason,
    invite,
    invited,
    member,
    members,
    reason_for,
    reset_password,
    set_role,
)
from crm.staff.attempts import count_attempt, forgive_about, forgive_attempts
from crm.staff.keys import add_key, api_keys, revoke_key
from crm.staff.model import (
    DAY,
    LISTED,
    RIGHTS,
    BeingErased,
    Caller,
    Key,
    LastOwner,
    Member,
    NewKey,
    NewMember,
    NotYourRole,
    ReasonMissing,
    Right,
    Role,
    Scope,
)
from crm.staff.passwords import hashed, one_time
from crm.staff.sessions import close_others, end_sessions, open_sessions, sign_out, sweep

__all__ = [
    "DAY",
    "LISTED",
    "RIGHTS",
    "BeingErased",
    "Caller",
    "Key",
    "LastOwner",
    "Member",
    "NewKey",
    "NewMember",
    "NotYourRole",
    "ReasonMissing",
    "Right",
    "Role",
    "Said",
    "Scope",
    "add_first_owner",
    "add_key",
    "api_keys",
    "change_password",
    "close_others",
    "count_attempt",
    "disable",
    "enable",
    "end_sessions",
    "export",
    "forget",
    "forget_address",
    "forgive_about",
    "forgive_attempts",
    "give_reason",
    "hashed",
    "invite",
    "invited",
    "member",
    "members",
    "one_time",
    "open_sessions",
    "reason_for",
    "reset_password",
    "revoke_key",
    "set_role",
    "sign_out",
    "sweep",
]
