"""All that handlers can cause in Redis, as one value: two are equal when nothing has changed."""

from __future__ import annotations

from typing import Any

import redis

_READ = {
    b"string": lambda client, key: client.get(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"hash": lambda client, key: client.hgetall(key),
    b"stream": lambda client, key: client.xrange(key),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
}


def snapshot(client: redis.Redis) -> dict[bytes, Any]:
    """Every key's value: state, sessions, members, topics and streams. Not the nodes' records, and
    not the rings, which remember a refusal too."""
    found: dict[bytes, Any] = {}
    for key in client.scan_iter():
        place = key.partition(b":")[2][:2]
        if place not in (b"n:", b"no", b"ma", b"r:"):
            found[key] = _READ[client.type(key)](client, key)  # type: ignore[index]  # as above
    return found
