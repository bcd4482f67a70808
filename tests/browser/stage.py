"""Where web pages come from, and a way to a server on which every request is written down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from attrs import Factory, define, field

PATIENCE = 10.0
"""Seconds that a request may be on its way."""

PAGE = "/a-page"
"""Below this path a stage answers itself: a page that says so."""

REDIRECT = f"{PAGE}/redirect"
"""Here it sends a browser to what is told by ``?to=``, with the status that is told by ``?status=``."""

TEXT = "This is a page."

_HTML = f"<!doctype html><title>A page</title><p>{TEXT}</p>"


@define
class Request:
    """A request that came from the browser, and the status and headers of what was answered.

    Names of headers are in lower case.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    answer: dict[str, str] = Factory(dict)


@define
class Stage:
    """A web server that has pages at PAGE. It passes on what else it is asked for, to ``behind``.

    Requests are passed on as they came, ``Host`` included. That is what a name does that is another address'
    from one request to the next. Without a port ``behind`` there is nothing there.
    """

    port: int
    behind: int | None
    _requests: list[Request] = Factory(list)
    _came: threading.Condition = field(factory=threading.Condition, init=False)

    def note(self, request: Request) -> None:
        """Write down a request that was answered."""
        with self._came:
            self._requests.append(request)
            self._came.notify_all()

    def forget(self) -> None:
        """Forget the requests that were written down."""
        with self._came:
            self._requests.clear()

    def request(self, path: str, method: str) -> Request:
        """Return the last request for a path by a method, once there is one; the query isn't compared.

        Raises AssertionError when none comes.
        """
        with self._came:
            found = self._came.wait_for(lambda: self._find(path, method), PATIENCE)
            assert found, f"no {method} {path} but {[(r.method, r.path) for r in self._requests]}"
            return found[-1]

    def _find(self, path: str, method: str) -> list[Request]:
        return [r for r in self._requests if r.method == method and r.path.partition("?")[0] == path]


class _Handler(BaseHTTPRequestHandler):
    """One connection of the browser's."""

    protocol_version = "HTTP/1.1"
    stage: Stage

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        if parts.path == REDIRECT:
            query = parse_qs(parts.query)
            self._write(int(query["status"][0]), [("Location", query["to"][0])], b"")
        elif parts.path.startswith(PAGE):
            self._write(200, [("Content-Type", "text/html; charset=utf-8")], _HTML.encode())
        elif parts.path == "/favicon.ico":
            self._write(204, [], b"")
        else:
            self._pass_on(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _answer  # noqa: N815  # the library's names

    def _pass_on(self, body: bytes) -> None:
        shown = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, shown, body)
        status, headers, answer = self._ask(body)
        request.status = status
        request.answer = {name.lower(): value for name, value in headers}
        self._write(status, headers, answer)
        self.stage.note(request)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        if self.stage.behind is None:
            return 404, [], b""
        with closing(HTTPConnection("127.0.0.1", self.stage.behind, timeout=PATIENCE)) as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()

    def _write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        with suppress(ConnectionError):
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


class _Listener(ThreadingHTTPServer):
    """Knows its connections, so that no thread waits for a browser that keeps one open."""

    daemon_threads = True
    block_on_close = False


@contextmanager
def stage(behind: int | None = None) -> Iterator[Stage]:
    """Run a stage for as long as the context lasts."""
    handler: type[_Handler] = type("Handler", (_Handler,), {})
    with _Listener(("127.0.0.1", 0), handler) as listener:
        handler.stage = Stage(listener.server_address[1], behind)
        serving = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield handler.stage
        finally:
            listener.shutdown()
            serving.join()
