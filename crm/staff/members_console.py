"""Pages of owners about staff: who works here, as what, with which way in.

What makes somebody an owner, or takes a password or a second factor away, asks an owner for her
own password first: an open browser is not enough for it (ASVS 7.5.3).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import staff
from crm.db import Db, ReadDb
from crm.errors import Refused
from crm.staff import Member, NewMember, Right, Role, second_factor
from crm.staff.auth import may
from crm.staff.console import ACCOUNT
from crm.staff.entering import check_again, tell
from crm.staff.model import ROLES, News, OwnAccount, WrongPassword
from crm.staff.second_factor import insisting, with_factor
from crm.web.csrf import FIELD
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.transaction import reading, writing

_MEMBERS = "/staff/members"


@get("/members", guards=[may(Right.manage_staff)])
async def get_members(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show who works here and a form to invite somebody."""
    return await _members(db, Form.of(role=Role.viewer))


@post("/members", guards=[may(Right.manage_staff)], status_code=200)
async def post_member(
    request: Request[Any, Any, Any], who: NamedDependency[Member]
) -> Response[Any]:
    """Invite somebody; the answer shows the password for one use, this once."""
    form = await read_form(request)
    name = form.text("name")
    address = form.address("address")
    role = form.choice("role", Role)
    if form.problems or role is None:
        return await _again(request, form)
    if role is Role.owner:
        asked = await _proof(request, who, form, f"make {name} an owner")
        if asked is not None:
            return asked
    # Not before: no transaction is open while Argon2 works.
    once = staff.one_time()
    kept = await staff.hashed(once, once=True)
    new = NewMember(name=name, address=address, role=role)
    try:
        async with writing(request) as db:
            added = await staff.invite(db, who.actor, new, kept)
    except Refused as refusal:
        form.wrong("address", refusal.message)
        return await _again(request, form)
    return page("staff/pages/one_time.html", member=added, password=once, invited=True)


@post("/members/{member_id:uuid}/role", guards=[may(Right.manage_staff)], status_code=303)
async def post_role(
    request: Request[Any, Any, Any], who: NamedDependency[Member], member_id: FromPath[UUID]
) -> Response[Any]:
    """Change what somebody may do."""
    form = await read_form(request)
    role = form.choice("role", Role)
    form.refuse()
    if role is Role.owner:
        asked = await _proof(request, who, form, f"make {await _name(request, member_id)} an owner")
        if asked is not None:
            return asked
    async with writing(request) as db:
        changed = await staff.set_role(db, who.actor, member_id, role or Role.viewer)
    say = f"{changed.name} is {_a(changed.role)} from the next press on."
    # Who is no owner any more cannot see the list.
    return redirect(_MEMBERS if _still(who, changed) else ACCOUNT, say=say)


@post("/members/{member_id:uuid}/access", guards=[may(Right.manage_staff)], status_code=303)
async def post_access(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    member_id: FromPath[UUID],
) -> Response[Any]:
    """Take somebody's access away at once, or give it back."""
    form = await read_form(request)
    stop = form.choice("decision", ["stop", "start"]) == "stop"
    form.refuse()
    change = staff.disable if stop else staff.enable
    changed = await change(db, who.actor, member_id)
    ended = "can no longer sign in, and is signed out everywhere"
    say = f"{changed.name} {ended if stop else 'can sign in again'}."
    return redirect(_MEMBERS, say=say)


@post("/members/{member_id:uuid}/password", guards=[may(Right.manage_staff)], status_code=200)
async def post_reset(
    request: Request[Any, Any, Any], who: NamedDependency[Member], member_id: FromPath[UUID]
) -> Response[Any]:
    """Make a password for one use for somebody who forgot hers; shown this once."""
    if member_id == who.id:
        raise OwnAccount
    name = await _name(request, member_id)
    asked = await _proof(request, who, await read_form(request), f"make a new password for {name}")
    if asked is not None:
        return asked
    once = staff.one_time()
    kept = await staff.hashed(once, once=True)
    async with writing(request) as db:
        await staff.reset_password(db, who.actor, member_id, kept)
        member = await staff.member(db, member_id)
        await tell(request, db, member, News.password_reset)
    return page("staff/pages/one_time.html", member=member, password=once, invited=False)


@post("/members/{member_id:uuid}/second-factor", guards=[may(Right.manage_staff)], status_code=303)
async def post_drop(
    request: Request[Any, Any, Any], who: NamedDependency[Member], member_id: FromPath[UUID]
) -> Response[Any]:
    """Take away the second factor of somebody who lost it; she signs in by password and anew."""
    if member_id == who.id:
        raise OwnAccount
    name = await _name(request, member_id)
    asked = await _proof(
        request, who, await read_form(request), f"take the second factor of {name} away"
    )
    if asked is not None:
        return asked
    async with writing(request) as db:
        if await second_factor.drop(db, who.actor, member_id):
            await tell(request, db, await staff.member(db, member_id), News.factor_removed)
    say = f"{name} is signed out, and signs in by password until a new one is set up."
    return redirect(_MEMBERS, say=say)


@post("/members/second-factor", guards=[may(Right.manage_staff)], status_code=303)
async def post_rule(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Insist on a second factor for everybody who works here, or leave it open again."""
    form = await read_form(request)
    on = form.choice("decision", ["on", "off"]) == "on"
    form.refuse()
    await second_factor.insist(db, who.actor, on=on)
    say = (
        "From now on nobody works here without a second factor."
        if on
        else "Everybody decides about a second factor for herself or himself again."
    )
    return redirect(_MEMBERS, say=say)


async def _again(request: Request[Any, Any, Any], form: Form) -> Response[Any]:
    async with reading(request) as db:
        return await _members(db, form, status=422)


async def _name(request: Request[Any, Any, Any], member_id: UUID) -> str:
    async with reading(request) as db:
        return (await staff.member(db, member_id)).name


async def _proof(
    request: Request[Any, Any, Any], who: Member, form: Form, what: str
) -> Response[Any] | None:
    """Ask for her own password before `what` is done; None once it was right."""
    proof = form.typed("proof")
    if proof:
        try:
            await check_again(request, who, proof)
        except WrongPassword as refusal:
            form.wrong("proof", refusal.message)
        else:
            return None
    given = [
        (name, value)
        for name, values in form.values.items()
        if name not in {"proof", FIELD}
        for value in values
    ]
    status = 422 if form.problems else 200
    return page(
        "staff/pages/proof.html",
        status=status,
        form=form,
        action=request.url.path,
        given=given,
        what=what,
    )


async def _members(db: ReadDb, form: Form, *, status: int = 200) -> Response[Any]:
    return page(
        "staff/pages/members.html",
        status=status,
        form=form,
        members=await staff.members(db),
        invited=await staff.invited(db),
        roles=ROLES,
        with_factor=await with_factor(db),
        insisting=await insisting(db),
    )


def _still(who: Member, changed: Member) -> bool:
    return changed.id != who.id or changed.may(Right.manage_staff)


def _a(role: Role) -> str:
    return {Role.owner: "an owner", Role.editor: "an editor", Role.care: "in customer care"}.get(
        role, f"a {role}"
    )


handlers = [
    get_members,
    post_member,
    post_role,
    post_access,
    post_reset,
    post_drop,
    post_rule,
]
