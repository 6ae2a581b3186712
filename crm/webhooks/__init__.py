"""Events told to other systems: signed, in order for each customer, and proven where it matters.

Owns `endpoint`, `endpoint_secret`, `post` and `post_try`. What is told is the stream of
`crm/events`, by the ids and in the order that it has there; each endpoint keeps its own position.
"""

from crm.webhooks.actions import (
    acknowledge,
    add,
    change,
    endpoint,
    endpoints,
    export,
    forget,
    lapse,
    posts,
    remove,
    replay,
    replay_since,
    rotate,
    switch,
    told,
    tries,
    try_out,
)
from crm.webhooks.model import KEPT, PROOFS, Endpoint, HeldPost, NewEndpoint, Post, Told, Try

__all__ = [
    "KEPT",
    "PROOFS",
    "Endpoint",
    "HeldPost",
    "NewEndpoint",
    "Post",
    "Told",
    "Try",
    "acknowledge",
    "add",
    "change",
    "endpoint",
    "endpoints",
    "export",
    "forget",
    "lapse",
    "posts",
    "remove",
    "replay",
    "replay_since",
    "rotate",
    "switch",
    "told",
    "tries",
    "try_out",
]
