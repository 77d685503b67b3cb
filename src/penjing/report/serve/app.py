"""What each address answers. Nothing here changes anything: there is only GET, and files are only read."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from penjing.core import Report
from penjing.errors import DataError
from penjing.report.run_reader import ODD
from penjing.report.runs import RunSummary, list_runs, read_report, read_run, report_bytes
from penjing.report.serve.guards import REPORT, Guard
from penjing.report.serve.listing import Catalogue, asked, select
from penjing.report.serve.merge import merged
from penjing.report.serve.pages import COMPARED, Pages
from penjing.report.serve.shelf import Shelf
from penjing.report.serve.watch import STREAMS, events

HTML = "text/html; charset=utf-8"


class Handlers:
    """The answers; each is given the request and reads the folder anew."""

    def __init__(self, root: Path, stopping: Callable[[], bool]) -> None:
        """`root`: the folder above the runs."""
        self.root, self.stopping = root, stopping
        self.catalogue, self.pages, self.shelf, self.streams = Catalogue(root), Pages(), Shelf(), [0]

    def home(self, request: Request) -> Response:
        """The list, or with `part=1` what changes of it."""
        listing = select(self._read(self.catalogue.runs), asked(request.query_params))
        return self._own(self.pages.list(listing, str(self.root), part=_part(request)))

    def run(self, request: Request) -> Response:
        """A finished run's report; how far it is, for any other."""
        run = self._run(request)
        return self.report(request) if run.status == "done" and run.has_report else self.state(request)

    def state(self, request: Request) -> Response:
        """How far a run is, with the figures so far."""
        run, report, trouble = self._run(request), None, ""
        if run.has_report:
            try:
                report = self._report(run.key)
            except HTTPException as error:
                trouble = str(error.detail)
        try:
            return self._own(self.pages.run(run, report, trouble, part=_part(request)))
        except ODD as error:
            return self._own(self.pages.run(run, None, _odd(run.key, error), part=_part(request)))

    def report(self, request: Request) -> Response:
        """The page of a run's report."""
        run = self._run(request)
        return self._drawn(self._report(run.key), run=run)

    def compare(self, request: Request) -> Response:
        """One page of the reports of the runs that the address names."""
        keys = list(dict.fromkeys(request.query_params.getlist("run")))
        if not 1 <= len(keys) <= COMPARED:
            raise HTTPException(400, f"{len(keys)} runs were chosen; needed 1 to {COMPARED}; choose them in the list")
        named = [(self._named(key).name, self._report(key)) for key in keys]
        try:
            whole = merged(named)
        except ODD as error:
            raise HTTPException(422, _odd(", ".join(keys), error)) from error
        return self._drawn(whole)

    def download(self, request: Request) -> Response:
        """A run's report.json, as it lies there."""
        key = request.path_params["key"]
        data = self._read(lambda: report_bytes(self.root, key))
        name = quote(f"{key}.report.json", safe="")
        return Response(
            data, media_type="application/json", headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        )

    def follow_list(self, request: Request) -> Response:
        """Says when the list changed."""
        return self._stream(lambda: (hash(self.catalogue.runs()), False), every=1.0)

    def follow_run(self, request: Request) -> Response:
        """Says when a run changed, and when it ended."""
        key = self._run(request).key

        def look() -> tuple[int, bool]:
            found = read_run(self.root, key)
            return hash(found), found.status != "running"

        return self._stream(look, every=0.5)

    def refused(self, request: Request, error: Exception) -> Response:
        """The page for what cannot be answered."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = str(error.detail) if isinstance(error, HTTPException) else "this page could not be made; see the console"
        return self._own(self.pages.refusal(status, text), status)

    def _stream(self, look: Callable[[], tuple[int, bool]], *, every: float) -> Response:
        if self.streams[0] >= STREAMS:
            raise HTTPException(503, f"{STREAMS} pages follow already; this one asks again from time to time")

        async def counted() -> AsyncIterator[bytes]:
            self.streams[0] += 1
            try:
                async for event in events(look, every=every, stopping=self.stopping):
                    yield event
            finally:
                self.streams[0] -= 1

        return StreamingResponse(counted(), media_type="text/event-stream")

    def _run(self, request: Request) -> RunSummary:
        return self._named(request.path_params["key"])

    def _named(self, key: str) -> RunSummary:
        return self._read(lambda: read_run(self.root, key))

    def _read(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except DataError as error:
            raise HTTPException(404, str(error)) from error

    def _report(self, key: str) -> Report:
        try:
            return read_report(self.root, key)
        except DataError as error:
            raise HTTPException(422, f"the report of '{key}' cannot be shown: {error}") from error
        except ODD as error:
            raise HTTPException(422, _odd(key, error)) from error

    def _drawn(self, report: Report, *, run: RunSummary | None = None) -> Response:
        try:
            text = self.shelf.page(report)
        except (DataError, *ODD) as error:
            raise HTTPException(422, _odd(run.key if run else report.title, error)) from error
        return Response(self.pages.report(text, run=run), media_type=HTML, headers={"Content-Security-Policy": REPORT})

    def _own(self, body: bytes, status: int = 200) -> Response:
        policy = {"Content-Security-Policy": self.pages.policy}
        return Response(body, status_code=status, media_type=HTML, headers=policy)


def build(root: Path, *, host: str, stopping: Callable[[], bool]) -> Guard:
    """The application, behind its guard: even an answer to a failure of ours carries the headers.

    Raises:
        DataError: `root` is not a folder that can be read.
    """
    list_runs(root)
    on = Handlers(root, stopping)
    app = Starlette(
        routes=[
            Route("/", on.home),
            Route("/events", on.follow_list),
            Route("/compare", on.compare),
            Route("/runs/{key}", on.run),
            Route("/runs/{key}/state", on.state),
            Route("/runs/{key}/report", on.report),
            Route("/runs/{key}/report.json", on.download),
            Route("/runs/{key}/events", on.follow_run),
        ],
        exception_handlers={HTTPException: on.refused, Exception: on.refused},
    )
    app.router.redirect_slashes = False  # an address is right or it is not
    return Guard(app, host)


def _part(request: Request) -> bool:
    return request.query_params.get("part") == "1"


def _odd(key: str, error: Exception) -> str:
    return f"the report of '{key}' cannot be shown ({type(error).__name__}: {str(error)[:200]}); write it again"
