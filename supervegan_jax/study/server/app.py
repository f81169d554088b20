"""The study as an ASGI application."""

import contextlib
import dataclasses
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from supervegan_jax.study.ballot_box import BallotBox
from supervegan_jax.study.folder import MEDIA, TOKEN, keep_secret, media_files, read_plan
from supervegan_jax.study.page import read_page
from supervegan_jax.study.progress import summarize
from supervegan_jax.study.server.guard import (
    RateLimit,
    SecurityHeaders,
    address,
    read_object,
    same_secret,
)
from supervegan_jax.study.server.poll import Poll, Refused
from supervegan_jax.study.votes import read_votes

COOKIE: Final = "observer"
COOKIE_SECONDS: Final = 90 * 24 * 3600
_MEDIA_TYPES: Final = {".mp4": "video/mp4", ".webm": "video/webm"}
_PAGES: Final = {
    "index.html": "text/html; charset=utf-8",
    "admin.html": "text/html; charset=utf-8",
    "study.css": "text/css; charset=utf-8",
    "ballot.js": "text/javascript; charset=utf-8",
    "study.js": "text/javascript; charset=utf-8",
    "admin.js": "text/javascript; charset=utf-8",
}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Requests that are answered, each as (a second for long, at once).

    Attributes:
      requests: from one address, of any kind; a page asks for some ten a pair.
      entries: new observers from one address.
      votes: answers of one observer.
      tokens: wrong tokens of the admin page, from one address.
    """

    requests: tuple[float, float] = (200.0, 2000.0)
    entries: tuple[float, float] = (0.5, 30.0)
    votes: tuple[float, float] = (4.0, 10.0)
    tokens: tuple[float, float] = (0.1, 5.0)


class StudyServer:
    """The routes' functions and what they share."""

    def __init__(self, folder: Path, limits: Limits):
        """Reads the folder.

        Raises:
          ValueError: it holds no study, or an incomplete one.
          OSError: it cannot be read or written.
        """
        plan = read_plan(folder)
        # What can be asked for is listed once; no path is ever made of a request's words.
        self._media = media_files(folder, plan)
        self._media_folder = (folder / MEDIA).resolve()
        self._pages = {name: read_page(name).encode() for name in _PAGES}
        self._token = keep_secret(folder, TOKEN)
        self._folder = folder
        self._box = BallotBox(folder)
        self._poll = Poll(plan, self._box)
        self._requests = RateLimit(*limits.requests)
        self._entries = RateLimit(*limits.entries)
        self._votes = RateLimit(*limits.votes)
        self._tokens = RateLimit(*limits.tokens)

    def application(self) -> Starlette:
        """What an ASGI server runs."""
        routes = [
            Route("/", self._page("index.html")),
            Route("/admin", self._page("admin.html")),
            *(
                Route(f"/static/{name}", self._page(name))
                for name in _PAGES
                if not name.endswith(".html")
            ),
            Route("/media/{name}", self._video),
            Route("/api/state", self._state),
            Route("/api/begin", self._begin, methods=["POST"]),
            Route("/api/vote", self._vote, methods=["POST"]),
            Route("/api/progress", self._progress),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(SecurityHeaders)],
            exception_handlers={HTTPException: _told, Refused: _refused, 500: _failed},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self._box.close()

    def _page(self, name: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            self._requests.check(address(request))
            return Response(self._pages[name], headers={"content-type": _PAGES[name]})

        return answer

    async def _video(self, request: Request) -> Response:
        self._requests.check(address(request))
        path = self._media.get(request.path_params["name"])
        # A file that has become a link since the start is not followed out of the folder.
        if path is None or path.resolve().parent != self._media_folder or not path.is_file():
            raise HTTPException(404, "no such video")
        headers = {
            "cache-control": "private, max-age=86400, immutable",
            # The pages of Mechanical Turk may show them too.
            "cross-origin-resource-policy": "cross-origin",
        }
        return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers=headers)

    async def _state(self, request: Request) -> Response:
        self._requests.check(address(request))
        return JSONResponse(await run_in_threadpool(self._poll.state, _token_of(request)))

    async def _begin(self, request: Request) -> Response:
        self._requests.check(address(request))
        content = await read_object(request)
        known = await run_in_threadpool(self._poll.state, _token_of(request))
        if known["done"] is not None:  # pressed twice
            return JSONResponse(known)
        self._entries.check(address(request))
        token, state = await run_in_threadpool(self._poll.begin, content)
        response = JSONResponse(state)
        response.set_cookie(
            COOKIE,
            token,
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def _vote(self, request: Request) -> Response:
        self._requests.check(address(request))
        token = _token_of(request)
        if token is not None:
            self._votes.check(token)
        content = await read_object(request)
        return JSONResponse(await run_in_threadpool(self._poll.vote, token, content))

    async def _progress(self, request: Request) -> Response:
        self._requests.check(address(request))
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same_secret(given.strip(), self._token):
            self._tokens.check(address(request))
            raise HTTPException(401, "another token is needed", {"www-authenticate": "Bearer"})
        return JSONResponse(await run_in_threadpool(self._summary))

    def _summary(self) -> dict[str, Any]:
        return summarize(self._poll.plan, read_votes(self._folder), self._box.observers())


def _token_of(request: Request) -> str | None:
    return request.cookies.get(COOKIE)


def _told(request: Request, failure: Exception) -> Response:
    error = cast(HTTPException, failure)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def _refused(request: Request, failure: Exception) -> Response:
    error = cast(Refused, failure)
    content: dict[str, Any] = {"error": error.reason}
    headers = {}
    if error.retry_after is not None:
        content["retry_after"] = error.retry_after  # seconds; the header takes whole ones only
        headers["retry-after"] = str(math.ceil(error.retry_after))
    return JSONResponse(content, error.status, headers=headers)


def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed"}, 500)
