"""A small HTTP server to load in tests: it counts, and can be slow, hang, stall or fail on demand."""

from __future__ import annotations

import socket
import threading
import time


class Target:
    """Answers on 127.0.0.1, a thread per connection; `answers` counts by path what was sent back."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: dict[str, int] = {}  # requests read, by path
        self.answered: list[float] = []  # when answers were sent, on the monotonic clock
        self.closing = threading.Event()
        self.open_gate = threading.Event()  # answers wait for it
        self.open_gate.set()
        self.delay = 0.0
        self.status = "200 OK"
        self.headers = ""
        self.asked_once = threading.Event()
        self._lock = threading.Lock()
        self._counted = threading.Condition(self._lock)
        self._connections: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def count(self) -> int:
        return sum(self.asked.values())

    def wait_for(self, count: int, within: float = 10.0) -> None:
        with self._counted:
            assert self._counted.wait_for(lambda: sum(self.asked.values()) >= count, within), self.asked

    def close(self) -> None:
        self.open_gate.set()
        self.closing.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for connection in self._connections:
                connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        rest = b""
        try:
            while True:
                while b"\r\n\r\n" not in rest:
                    data = connection.recv(65536)
                    if not data:
                        return
                    rest += data
                head, _, rest = rest.partition(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                with self._lock:
                    self.asked[path] = self.asked.get(path, 0) + 1
                    self._counted.notify_all()
                self.asked_once.set()
                if self.delay:
                    time.sleep(self.delay)
                (self.closing if path.startswith("/hangs") else self.open_gate).wait()
                self.answered.append(time.monotonic())
                status = "503 Service Unavailable" if path.startswith("/fails") else self.status
                connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n{self.headers}\r\nok".encode())
        except OSError:
            return
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()
