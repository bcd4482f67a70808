"""Attackers who want in, or to know: forged tokens, smuggled headers, odd paths, secrets left about."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from tests.integration.people import (
    ABROAD,
    HOME,
    UNAUTHORIZED,
    Server,
    Visitor,
    ask_from,
    ask_on,
    bearer,
    guarded_server,
    identification,
    raw_from,
    restarted,
)
from tests.integration.process import PATIENCE
from txraker.api.caller import Transport
from txraker.authorization.jwt import Claims, TokenMint, new_key
from txraker.describe import declared_endpoints

PASSWORD = "correct horse battery staple"


@define
class Target:
    """A server, and what its administrator knows."""

    server: Server
    user: dict[str, str]
    api_key: str

    @property
    def port(self) -> int:
        """The port to attack."""
        return self.server.port

    def claims(self) -> dict[str, Any]:
        """Return what the administrator's token says."""
        claims: dict[str, Any] = json.loads(decoded(self.user["token"].split(".")[1]))
        return claims


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Serve a virtual printer to attackers."""
    with guarded_server(tmp_path_factory.mktemp("attacks"), "--simulate") as server:
        server.process.wait_for(server.port, "ready")
        yield Target(server, server.add_user("admin", PASSWORD), server.admin("/access/api_key"))


def encoded(data: bytes) -> str:
    """Return bytes as they are written in a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Return what is written in a part of a token."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unsigned(header: object, claims: object) -> str:
    """Return a token up to its signature."""
    return f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"


def public_key(target: Target) -> bytes:
    """Return the server's public key, which is no secret."""
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415  # only this needs it

    with closing(target.server.database()) as database:
        ((seed,),) = database.execute("SELECT value FROM secrets WHERE name = 'signing_key'")
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def forgeries(target: Target) -> dict[str, str]:
    """Return tokens that must open nothing."""
    claims, good = target.claims(), target.user["token"]
    head, body, signature = good.split(".")
    hs256 = unsigned({"alg": "HS256", "typ": "JWT"}, claims)
    by_public_key = hmac.new(public_key(target), hs256.encode(), hashlib.sha256).digest()
    other = Claims(claims["username"], claims["session"], "access")
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": encoded(bytes(32))}
    flipped = decoded(signature)[:-1] + bytes([decoded(signature)[-1] ^ 1])
    return {
        "alg none": unsigned({"alg": "none", "typ": "JWT"}, claims) + ".",
        "alg None": unsigned({"alg": "None", "typ": "JWT"}, claims) + ".",
        "alg none, signed": unsigned({"alg": "none", "typ": "JWT"}, claims) + "." + signature,
        "no alg": unsigned({"typ": "JWT"}, claims) + "." + signature,
        "alg is a list": unsigned({"alg": ["EdDSA"]}, claims) + "." + signature,
        "header is a list": unsigned([], claims) + "." + signature,
        "claims are a list": f"{head}.{encoded(b'[]')}.{signature}",
        "HS256 with the public key": f"{hs256}.{encoded(by_public_key)}",
        "another server's key": TokenMint(new_key()).make(other, time.time(), time.time() + 60),
        "a key in the header": unsigned({"alg": "EdDSA", "jwk": jwk}, claims) + "." + signature,
        "critical extension": unsigned({"alg": "EdDSA", "crit": ["x"], "x": 1}, claims) + "." + signature,
        "not encoded": unsigned({"alg": "EdDSA", "b64": False, "crit": ["b64"]}, claims) + "." + signature,
        "longer life": f"{head}.{encoded(json.dumps({**claims, 'exp': 9e9}).encode())}.{signature}",
        "signature flipped": f"{head}.{body}.{encoded(flipped)}",
        "signature empty": f"{head}.{body}.",
        "no signature": f"{head}.{body}",
        "too many parts": f"{good}.{signature}",
        "deep header": f"{encoded(b'[' * 6000)}.{body}.{signature}",
        "deep claims": f"{head}.{encoded(b'[' * 6000)}.{signature}",
        "long number": f"{encoded(b'9' * 6000)}.{body}.{signature}",
        "not UTF-8": f"{encoded(bytes([255] * 9))}.{body}.{signature}",
        "not base64": f"{head}.{body}.%%%%",
        "not ASCII": "\xe4.\xf6.\xfc",
        "dots": "..",
        "nothing": " ",
        "refresh token": target.user["refresh_token"],
        "expired": target.server.forge("admin", -0.001),
        "nobody's": target.server.forge("admin", 60.0).replace("a", "b"),
    }


def test_forged_tokens_over_http(target: Target) -> None:
    """No forged token opens anything, not even where the address alone would."""
    assert target.server.is_let_in(**bearer(target.user["token"]))
    for name, token in forgeries(target).items():
        reply = ask_from(ABROAD, target.port, "/access/users/list", **bearer(token))
        assert (name, reply.status) == (name, 401)
        if token.strip():
            reply = ask_from(HOME, target.port, "/access/users/list", **bearer(token))
            assert (name, reply.status) == (name, 401)


def test_forged_tokens_over_a_websocket(target: Target) -> None:
    """No forged token is taken for an identification, nor for a refresh token, and none is a fault."""
    with closing(Visitor.come(ABROAD, target.port)) as client:
        for name, token in forgeries(target).items():
            error = client.call("server.connection.identify", **identification(access_token=token))["error"]
            assert (name, error) == (name, UNAUTHORIZED)
            if name not in ("refresh token", "deep header", "deep claims", "long number"):
                error = client.call("access.refresh_jwt", refresh_token=token)["error"]
                assert (name, error["code"]) == (name, -32602)
        assert not client.may()
        deep = f"{encoded(b'[' * 2500)}.e30.AA"
        assert client.call("access.refresh_jwt", refresh_token=deep)["error"]["code"] == -32602


def test_odd_secrets(target: Target) -> None:
    """Secrets that are no text, or far too long, are refused like any others."""
    with closing(Visitor.come(ABROAD, target.port)) as client:
        for secret in ("", "\0", "\xe4" * 32, "\U0001f512", "x" * 10_000):
            for name in ("access_token", "api_key"):
                error = client.call("server.connection.identify", **identification(**{name: secret}))["error"]
                assert error["code"] == -32602
            error = client.call("access.login", username="admin", password=secret)["error"]
            assert error["code"] in (400, 429)
        no_texts: tuple[Any, ...] = (None, True, [], {})
        for odd in no_texts:
            error = client.call("access.login", username=odd, password=odd)["error"]
            assert error["code"] == 400
        raw = '{"jsonrpc": "2.0", "method": "access.login", "id": "raw", "params": '
        client.send(raw + '{"username": "\\ud800", "password": "\\udfff"}}')
        assert client.receive()["error"]["code"] in (400, 429, -32700)
        assert not client.may()


SMUGGLED = [
    *({name: value} for name in ("X-Forwarded-For", "X-Real-IP") for value in (
        "127.0.0.1", "::1", "::ffff:127.0.0.1", "127.0.0.1, 127.0.0.1", "", ",", "localhost", "127.1",
        "127.0.0.1:80", "[::1]", "2130706433", "0x7f.1", "127.0.0.1\t", "unknown", "192.0.2.1, 127.0.0.1",
    )),
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"Client-IP": "127.0.0.1"},
    {"True-Client-IP": "127.0.0.1"},
    {"X-Client-IP": "127.0.0.1"},
    {"X-Scheme": "https"},
    {"X_Api_Key": "KEY"},
    {"X-Api-Key ": "KEY"},
    {"Api-Key": "KEY"},
    {"Cookie": "token=TOKEN; X-Api-Key=KEY"},
    {"Authorization": "Basic dXNlcjpLRVk="},
    {"Authorization": "BearerTOKEN"},
    {"Authorization": "Bearer"},
    {"Host": "127.0.0.1"},
    {"Host": "localhost"},
    {"X-HTTP-Method-Override": "OPTIONS"},
]  # fmt: skip


def head(path: str, headers: list[tuple[str, str]]) -> bytes:
    """Return a request as it is on the wire; the connection ends after it."""
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if not any(name == "Host" for name, _ in headers):
        lines.append("Host: 127.0.0.1")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")


@pytest.mark.parametrize("headers", SMUGGLED, ids=str)
def test_smuggled_headers(target: Target, headers: dict[str, str]) -> None:
    """What a client says of its address, or says where nobody looks, opens nothing."""
    secrets = {"KEY": target.api_key, "TOKEN": target.user["token"]}
    shown = []
    for name, value in headers.items():
        for placeholder, secret in secrets.items():
            value = value.replace(placeholder, secret)  # noqa: PLW2901  # filled in
        shown.append((name, value))
    answer = raw_from(ABROAD, target.port, head("/access/api_key", shown))
    assert answer.split(b" ", 2)[1] in (b"400", b"401", b"403")
    assert target.api_key.encode() not in answer


@pytest.mark.parametrize("name", ["X-Api-Key", "Authorization", "X-Access-Token"])
def test_headers_that_come_twice(target: Target, name: str) -> None:
    """Of a header that comes twice one counts: two that are wrong open nothing, and nothing breaks."""
    right = {"X-Api-Key": target.api_key, "X-Access-Token": target.user["token"]}.get(
        name, f"Bearer {target.user['token']}"
    )
    wrong = right[:-8] + "0" * 8
    for source in (ABROAD, HOME):
        answer = raw_from(source, target.port, head("/access/user", [(name, wrong), (name, wrong)]))
        assert b" 401 " in answer.split(b"\r\n")[0]
        answer = raw_from(source, target.port, head("/access/user", [(name, right), (name, wrong)]))
        assert b" 401 " in answer.split(b"\r\n")[0]


def test_what_is_shown_beside_something_wrong(target: Target) -> None:
    """Who shows a wrong token isn't let in by anything else that is shown."""
    wrong = bearer(target.user["token"][:-8] + "00000000")
    assert not target.server.is_let_in(X_Api_Key=target.api_key, **wrong)
    assert not target.server.is_let_in(X_Access_Token=target.user["token"], **wrong)
    assert not target.server.is_let_in(
        HOME, f"/access/users/list?access_token={target.user['token']}", **wrong
    )


PATHS = [
    "//access/api_key", "/access//api_key", "/access/api_key/", "/access/api_key//", "/access/api_key/.",
    "/access/%61pi_key", "/%61ccess/api_key", "/access%2fapi_key", "/access/./api_key", "/./access/api_key",
    "/access/../access/api_key", "/access/info/../api_key", "/access/info/%2e%2e/api_key",
    "/access/info/..%2fapi_key", "/access/info%2f..%2fapi_key", "/%2e/access/api_key", "/access/%2e/api_key",
    "/access/info/..;/api_key", "/access/info;/../api_key", "/access/info?/../api_key",
    "/access/info#/../api_key", "/access/info%3f/../api_key", "/access/info%23/api_key",
    "/ACCESS/API_KEY", "/Access/api_key", "/access/api_key%00", "/access/api_key%20", "/access/api_key;",
    "/access/api_key;x=1", "/access\\api_key", "\\access\\api_key", "/access/api_key?x", "/access/api_key#x",
    "/access/api_key?token=", "/access/api_key?token=x&token=y", "/access/api_key?method=access.info",
    "/access/api_key?access_token=", "/access/api_key?_method=OPTIONS", "access/api_key",
    "http://127.0.0.1/access/api_key", "HTTP://127.0.0.1//access/api_key", "http:///access/api_key",
    "https://user@127.0.0.1/access/api_key", "/server/jsonrpc/../access/api_key", "/server/jsonrpc/",
    "/websocket/../access/api_key", "/websocket/access/api_key", "/printer/../access/api_key",
    "/access/info/access/api_key", "*", "/", "//", "/.", "/..", "/%2e%2e/", "/\xe4", "/access/api_key\xa0",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_odd_paths(target: Target, path: str) -> None:
    """However a path is written, nobody who isn't known gets to what is behind it."""
    answer = raw_from(ABROAD, target.port, head(path, []))
    status = answer.split(b" ", 2)[1]
    assert target.api_key.encode() not in answer
    is_for_anybody = b'"login_required"' in answer or b"<title>txraker</title>" in answer
    assert status in (b"400", b"401", b"404", b"405") or is_for_anybody


@pytest.mark.parametrize("verb", ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "get", "PATCH", "X"])
def test_odd_verbs(target: Target, verb: str) -> None:
    """No verb tells somebody who isn't known more than that, or what could be asked for."""
    connection = HTTPConnection("127.0.0.1", target.port, timeout=PATIENCE, source_address=(ABROAD, 0))
    with closing(connection):
        reply = ask_on(connection, "/access/api_key", verb)
        assert target.api_key.encode() not in reply.body
        assert reply.status == 204 if verb == "OPTIONS" else reply.status in (400, 401)
    assert target.server.admin("/access/api_key") == target.api_key


def test_a_request_within_a_request(target: Target) -> None:
    """A request whose length is told in two ways, in which another one hides, is refused as a whole."""
    hidden = f"GET /access/api_key HTTP/1.1\r\nHost: x\r\nX-Api-Key: {target.api_key}\r\n\r\n"
    outer = (
        "POST /access/info HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    )
    answer = raw_from(ABROAD, target.port, outer.encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_no_secret_is_told(tmp_path: Path) -> None:
    """No password, key or token is in a log, the audit log, the configuration that is shown, or an error."""
    with guarded_server(tmp_path, server="enable_debug_logging: True\n") as server:
        said = []

        def ask(path: str, method: str = "GET", arguments: object = None, **headers: str) -> Any:
            reply = ask_from(ABROAD, server.port, path, method, arguments, **headers)
            if path.partition("?")[0] not in ("/access/login", "/access/oneshot_token", "/access/api_key"):
                said.append(reply.body)
            return reply

        user = server.add_user("secretive", "SECRET-password")
        login = ask("/access/login", "POST", {"username": "secretive", "password": "SECRET-password"})
        tokens = [
            user["token"],
            user["refresh_token"],
            *map(login.json["result"].get, ("token", "refresh_token")),
        ]
        tokens.append(server.add_token("named", "admin"))
        key = ask("/access/api_key", **bearer(user["token"])).json["result"]
        new_key = ask("/access/api_key", "POST", {}, X_Api_Key=key).json["result"]
        oneshot = ask("/access/oneshot_token", **bearer(user["token"])).json["result"]
        for path in ("/access/user", "/nosuch", "/server/config", "/machine/system_info", "/printer/info"):
            ask(f"{path}?token={oneshot}&access_token={user['token']}")
            ask(f"{path}?access_token={user['token']}")
            ask(path, X_Api_Key=key)
        ask("/access/login", "POST", {"username": "secretive", "password": ["SECRET-list"]})
        ask("/access/login", "POST", {"username": "secretive", "password": "SECRET-wrong"})
        ask("/access/login?username=secretive&password:int=SECRET-query", "POST")
        ask("/access/login?password:json=SECRET-json", "POST")
        ask("/access/refresh_jwt", "POST", {"refresh_token": ["SECRET-refresh"]})
        ask("/access/refresh_jwt", "POST", {"refresh_token": "SECRET-refresh"})
        change = {"password": "SECRET-password", "new_password": {"x": "SECRET-new"}}
        ask("/access/user/password", "POST", change, **bearer(user["token"]))
        ask("/machine/sudo/password", "POST", {"password": ["SECRET-sudo"]}, **bearer(user["token"]))
        with closing(Visitor.come(ABROAD, server.port, f"/websocket?token={oneshot}")) as client:
            for shown in ({"access_token": "SECRET-token"}, {"api_key": "SECRET-key"}, {"api_key": key}):
                said.append(
                    json.dumps(client.call("server.connection.identify", **identification(**shown))).encode()
                )
            client.send(
                '{"jsonrpc": "2.0", "method": "access.login", "params": {"password": "SECRET-garbled"'
            )
            said.append(json.dumps(client.receive()).encode())
        restarted(server)
        said.append(json.dumps(server.admin("/server/config")).encode())
        said.append(json.dumps(server.admin("/server/info")).encode())
        server.process.terminate()
        logs = [
            file.read_bytes() for folder in ("logs", "audit") for file in (server.data / folder).iterdir()
        ]
        assert any(b'"access.post_token"' in text for text in logs)
        assert any(b"Listening" in text for text in logs)
        everything = b"\n".join([*said, *logs, server.process.log.read_bytes()])
        assert everything.count(b"SECRET") == 0
        for secret in (*tokens, key, new_key, oneshot):
            assert secret.encode() not in everything
            assert secret.rpartition(".")[2].encode() not in everything


def test_files_of_the_database(target: Target) -> None:
    """Nobody else on the machine can read what is kept of users, and no password is in it."""
    folder = target.server.data / "database"
    files = list(folder.iterdir())
    assert files
    assert {(file.name, oct(file.stat().st_mode & 0o777)) for file in files} == {
        (file.name, "0o600") for file in files
    }
    kept = b"".join(file.read_bytes() for file in files)
    assert b"scrypt$" in kept
    assert PASSWORD.encode() not in kept
    assert target.user["token"].encode() not in kept


def test_a_signing_key_is_never_shown(target: Target) -> None:
    """Whatever an administrator may ask for, the key that signs tokens isn't told."""
    with closing(target.server.database()) as database:
        ((seed,),) = database.execute("SELECT value FROM secrets WHERE name = 'signing_key'")
    told = b""
    with closing(target.server.local()) as local:
        for endpoint in declared_endpoints():
            if endpoint.reads_only and Transport.UNIX in endpoint.transports:
                told += json.dumps(local.call(endpoint.name)).encode()
    for written in (seed.hex().encode(), base64.b64encode(seed).rstrip(b"="), encoded(seed).encode()):
        assert written not in told
