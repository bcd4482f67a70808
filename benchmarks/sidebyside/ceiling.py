"""How many messages a second the clients can take: they must be faster than the servers they are to measure.

A process on the server's core sends prepared frames as fast as the sockets take them, one system call a
frame, as a server would; the clients read them as they do in a scenario.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from attrs import frozen

from sidebyside.follower import Follower, Messages
from sidebyside.loop import Loop
from sidebyside.process import on_cores
from sidebyside.rig import Cores
from sidebyside.websocket import Client

CLIENTS: Final = 300
_PAYLOAD: Final = 2700


@frozen
class Ceiling:
    """What the clients managed: messages a second while busy all the time, and CPU a message in seconds."""

    messages_per_second: float
    cpu_per_message: float


def measure(cores: Cores, seconds: float) -> Ceiling:
    """Let the clients read as fast as they can."""
    with _sender(cores.server) as port:
        loop = Loop()
        messages = Messages()
        clients = [Client(port) for _ in range(CLIENTS)]
        followers = [Follower(client) for client in clients]
        for client, follower in zip(clients, followers, strict=True):
            follower.watch(time.monotonic(), messages)
            loop.add(client)
        loop.run(0.5)
        for follower in followers:
            follower.forget_counts()
        began, cpu = time.monotonic(), time.process_time()
        loop.run(seconds)
        wall, used = time.monotonic() - began, time.process_time() - cpu
        loop.close()
    deliveries = sum(follower.deliveries for follower in followers)
    return Ceiling(deliveries / wall, used / deliveries)


@contextmanager
def _sender(core: set[int]) -> Iterator[int]:
    """Run a process that takes websockets and sends updates without end, and say on which port."""
    with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listening, on_cores(core):
        port: int = listening.getsockname()[1]
        child = os.fork()
        if child == 0:
            try:
                _send_for_ever(listening)
            finally:
                os._exit(0)
    try:
        yield port
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _send_for_ever(listening: socket.socket) -> None:
    poll = select.epoll()
    connections: dict[int, socket.socket] = {}
    while len(connections) < CLIENTS:
        connection, _ = listening.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        connection.setblocking(False)
        connections[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLOUT)
    frames = [_frame(number) for number in range(100)]
    turn = 0
    while True:
        for descriptor, _ in poll.poll():
            connections[descriptor].send(frames[turn % 100])
            turn += 1


def _frame(number: int) -> bytes:
    status = {"load": {"text": "." * (_PAYLOAD - 110), "number": 1000 + number}}
    message = {"jsonrpc": "2.0", "method": "notify_status_update", "params": [status, time.monotonic()]}
    text = msgspec.json.encode(message)
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text
