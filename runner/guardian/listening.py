"""Listening sockets that outlive their proxies, and the lifeline that does not outlive the guardian."""

from __future__ import annotations

import os
import socket

from runner.guardian.messages import Listen, Listening, Refusal

BACKLOG = 1024


class Listeners:
    """What children can inherit, by name; `lifeline` is a pipe whose write end only we hold."""

    def __init__(self) -> None:
        lifeline, self._held = os.pipe2(os.O_CLOEXEC)
        self.descriptors: dict[str, int] = {"lifeline": lifeline}
        self._sockets: list[socket.socket] = []

    def listen(self, request: Listen, moment: float) -> Listening | Refusal:
        """Hold one more."""
        try:
            listener = _listener(request.host, request.port)
        except OSError as error:
            where = f"{request.host}:{request.port}"
            reason = f"{request.name}: {where}: {error.strerror or error}; free the port or choose another"
            return Refusal(request=request.request, moment=moment, reason=reason)
        self._sockets.append(listener)
        self.descriptors[request.name] = listener.fileno()
        return Listening(request=request.request, moment=moment, port=listener.getsockname()[1])

    def close(self) -> None:
        """Stop listening: with its proxy gone, a socket that still accepts is a black hole."""
        for listener in self._sockets:
            listener.close()
        self._sockets.clear()


def _listener(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
