"""A process that holds an effect afar as a hand of the guardian does, to be killed, stopped or left alone by tests."""

import contextlib
import select
import signal
import subprocess
import sys
import time
import uuid

import msgspec

from runner.helper.posting import name_of
from runner.operations import Context, perform
from runner.operations.record import Afar, AfarGone, CheckAfar, CheckFile, Operation, WriteFile
from runner.places import Post

RUN = f"test-{uuid.uuid4().hex[:6]}"
LIMIT = "cgroup:/pids.max"
DO = (WriteFile(path=LIMIT, value="77"),)
UNDO = (WriteFile(path=LIMIT, value="max", expect="77", gone_is_fine=True),)
CONFIRM = (CheckFile(path=LIMIT, expect="77"),)


def hold() -> None:
    """Read an operation from standard input, perform it, tick until told to let go; say how it went."""
    operation = msgspec.json.decode(sys.stdin.readline(), type=Operation)
    try:
        held = perform(operation, Context())
        print("done", held.reading.evidence, flush=True)
        while not select.select([sys.stdin], [], [], held.tick())[0]:
            pass
    except Exception as error:
        print("failed", error, flush=True)
        with contextlib.suppress(NameError):
            held.release()
        return
    held.release()
    print("released", flush=True)


class Holder:
    """That process."""

    def __init__(
        self, post: Post, act: str = "", *, lease: float = 5.0, do=DO, undo=UNDO, confirm=CONFIRM
    ) -> None:
        self.post, self.act, self.lease, self.undo = post, act or uuid.uuid4().hex, lease, undo
        operation = Afar(run=RUN, act=self.act, post=post, do=do, undo=undo, confirm=confirm, lease=lease)
        code = "import warnings; warnings.simplefilter('ignore'); from tests.afar_parts import hold; hold()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process.stdin.write(msgspec.json.encode(operation).decode() + "\n")
        self.process.stdin.flush()

    def name(self, role: str) -> str:
        return name_of(RUN, self.act, role)

    def says(self) -> str:
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def let_go(self) -> None:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def gone(self):
        """Perform AfarGone until it can be told, as the guardian does."""
        operation = AfarGone(run=RUN, act=self.act, post=self.post, undo=self.undo, lease=self.lease)
        return perform(operation, Context())

    def check(self):
        return perform(CheckAfar(run=RUN, act=self.act, post=self.post), Context())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.process.send_signal(signal.SIGCONT)
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


def time_until(wanted, within: float = 20.0) -> float:
    """Seconds until *wanted* gives true."""
    began = time.monotonic()
    while not wanted():
        assert time.monotonic() < began + within, f"not within {within} s"
        select.select([], [], [], 0.005)
    return time.monotonic() - began
