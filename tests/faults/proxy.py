"""A TCP proxy between workers and a server, which can refuse, delay or cut what passes."""

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Literal

Mode = Literal["pass", "refuse", "refuse_reads", "slow", "cut"]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing resets the connection


class Proxy:
    """Passes everything on until it is told otherwise; a change of mode closes what is open."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.delay = 0.3
        self.n_disturbed = 0
        self._mode: Mode = "pass"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def become(self, mode: Mode) -> None:
        """Change how connections are treated, those that are open included."""
        self._mode, self.n_disturbed = mode, 0
        with self._lock:
            open_now = list(self._open)
        for connection in open_now:
            self._end(connection)

    def close(self) -> None:
        self.become("refuse")
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._mode == "refuse":
                self._disturb(client)
                continue
            server = socket.create_connection(self.target)
            with self._lock:
                self._open |= {client, server}
            for ends in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while part := source.recv(1 << 16):
                if self._mode == "slow":
                    self.n_disturbed += 1
                    time.sleep(self.delay)
                is_read = not is_answer and part.startswith(b"GET ")
                if self._mode == "refuse_reads" and is_read:
                    self._disturb(source)
                    break
                if self._mode == "cut" and is_answer:
                    # within the first line, or in the middle of what is sent together
                    sink.sendall(part[: len(part) // 2 if self.n_disturbed % 2 else 12])
                    self._disturb(sink)
                    break
                sink.sendall(part)
        self._end(source)
        self._end(sink)

    def _disturb(self, connection: socket.socket) -> None:
        self.n_disturbed += 1
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it
        connection.close()
