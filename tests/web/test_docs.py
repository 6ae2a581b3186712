"""x"""
from __future__ import annotations
async def test_them(api, console, portal, stranger_api, stranger_console, stranger_portal, web):
    assert (await api.get("/v1/key")).status_code == 200
    assert (await console.get("/staff/members")).status_code == 200
    assert (await portal.get("/me")).status_code == 200
    assert (await stranger_api.get("/v1/key")).status_code == 200
    assert (await stranger_console.get("/staff/members")).status_code == 200
    assert (await stranger_portal.get("/me")).status_code == 200
    assert (await web.get("/health")).status_code == 200
