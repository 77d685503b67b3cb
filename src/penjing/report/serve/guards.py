"""What every request passes and every answer carries: the Host check, and headers that let pages do little."""

import ipaddress
import re
import socket

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = frozenset({"0.0.0.0", "::", ""})
HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::\d{1,5})?", re.IGNORECASE)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""The policy of answers that say none of their own."""
REPORT = (
    "sandbox allow-scripts allow-downloads allow-modals; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The policy of a report's page. Its scripts are inline, its charts' expressions are interpreted and not compiled; the
sandbox gives it an origin that can read nothing here, and it may ask nothing of any network."""


def own(hashes: dict[str, list[str]]) -> str:
    """The policy of our own pages: the styles and scripts of these hashes, and requests to this server alone."""
    parts = [f"{kind}-src {' '.join(hashes[kind])}" for kind in sorted(hashes)]
    return "; ".join(
        ["default-src 'none'", *parts, "connect-src 'self'", "img-src data:", "form-action 'self'",
         "frame-ancestors 'none'", "base-uri 'none'"]
    )  # fmt: skip


class Guard:
    """Refuses requests under a foreign name (how DNS rebinding arrives) and adds the headers to every answer."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        """`host`: where the server listens."""
        self.app, self.host = app, host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", NOTHING)
            await send(message)

        names = Headers(scope=scope).getlist("host")
        if len(names) == 1 and allowed(names[0], self.host):
            await self.app(scope, receive, guarded)
        else:
            text = "this server answers to localhost and to the name given with --host; open it under one of these\n"
            await PlainTextResponse(text, status_code=421)(scope, receive, guarded)


def allowed(header: str, host: str) -> bool:
    """Whether a Host header names this server, which listens on `host`.

    A server on all addresses is also reached by its addresses and its machine's name. An address cannot be rebound:
    only a name can.
    """
    found = HOST.fullmatch(header)
    if not found:
        return False
    name = (found["six"] or found["name"]).lower()
    if name in LOOPBACK or name == host:
        return True
    return host in EVERYWHERE and (_is_address(name) or name == socket.gethostname().lower())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
