"""x"""

from __future__ import annotations

import os


async def test_them(web):
    a = await web.get("/docs/openapi.json")
    print(a.status_code, len(a.text))
    assert a.status_code == 200
    d = a.json()
    b = await web.get("/docs")
    assert b.status_code == 200, b.text
    open(os.environ["OUT"] + "/docs.html", "w").write(b.text)
    open(os.environ["OUT"] + "/docs.json", "w").write(a.text)
    for p in [
        "/docs/",
        "/docs/nope",
        "/docs/swagger",
        "/problems/not_found",
        "/problems/nope",
        "/problems/exhausted",
    ]:
        c = await web.get(p)
        print(p, c.status_code, c.text[:300] if "problems" not in p else c.text[800:1500])
