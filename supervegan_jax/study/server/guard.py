"""What keeps the server safe: rates, headers, the size of what is sent, tokens."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES: Final = 2048  # of a request's body
_KEPT_BUCKETS: Final = 10_000

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class SecurityHeaders:
    """Adds `HEADERS` to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RateLimit:
    """A bucket of tokens for each key, which fill up steadily."""

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Lets each key do `burst` things at once and `per_second` of them for long."""
        self._rate, self._burst, self._clock = per_second, burst, clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def check(self, key: str) -> None:
        """Takes a token.

        Raises:
          HTTPException: 429, there is none.
        """
        tokens, at = self._level(key)
        if tokens < 1:
            wait = max(1, round((1 - tokens) / self._rate + 0.5))
            raise HTTPException(429, "too many requests", headers={"retry-after": str(wait)})
        self._buckets[key] = (tokens - 1, at)

    def _level(self, key: str) -> tuple[float, float]:
        now = self._clock()
        if len(self._buckets) > _KEPT_BUCKETS:
            # One that would be full by now says nothing.
            self._buckets = {
                name: (tokens, at)
                for name, (tokens, at) in self._buckets.items()
                if tokens + (now - at) * self._rate < self._burst
            }
        tokens, at = self._buckets.get(key, (self._burst, now))
        return min(self._burst, tokens + (now - at) * self._rate), now


def address(request: Request) -> str:
    """Where a request comes from; kept in memory only."""
    return request.client.host if request.client else ""


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object that a page of ours has sent.

    Raises:
      HTTPException: another site sent it, it is too long or no JSON object.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403, "sent by another site")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "application/json is accepted")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"more than {MOST_BYTES} bytes")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "no JSON") from None
    if not isinstance(content, dict):
        raise HTTPException(400, "a JSON object is accepted")
    return content


def same_secret(given: str, expected: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode(), expected.encode())


def pseudonym(token: str) -> str:
    """The name votes are kept under; the token that gives it cannot be told from it."""
    return hashlib.sha256(token.encode()).hexdigest()[:20]
