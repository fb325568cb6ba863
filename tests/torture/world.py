"""One try's world: a victim, a foreign bystander, a mini-runner, and the question whether all is as it was."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from runner import processes
from runner.guardian.marks import environment_of
from runner.guardian.state import armed_runs
from tests.network_parts import Room, cable, serving

ROOT = Path(__file__).resolve().parents[2]
SLOWER = float(os.environ.get("TORTURE_SLOWER", "1"))  # how many times, an emulated machine
PATIENCE = 20.0 * SLOWER  # seconds after which a world will not get clean any more


@dataclass(frozen=True)
class Try:
    """What came of one strike. *landed*: harm was seen; else *phase* says why it could not be."""

    landed: bool
    clean: bool
    seconds: float  # from the strike until the victim was well
    phase: str
    why: str = ""


class World:
    """Use as a context: everything that it started ends with it."""

    pause = 0.005  # seconds between two looks at what is left

    def __init__(self, kind: str = "pause") -> None:
        self.run, self.kind = f"t{uuid.uuid4().hex[:10]}", kind
        self._parts = contextlib.ExitStack()
        self.words: list[str] = []
        self.harmed = False
        self.port = 0

    def __enter__(self) -> Self:
        self.folder = Path(
            self._parts.enter_context(tempfile.TemporaryDirectory(prefix="squall-", dir="/dev/shm"))
        )
        self.errors = self._parts.enter_context((self.folder / "mini.err").open("ab"))
        self.victim, self.bystander = self._sleeper(), self._sleeper()
        self.bystander_before = processes.identify(self.bystander.pid)
        self.other = self._sleeper()
        os.kill(self.bystander.pid, signal.SIGSTOP)  # somebody else's stop: not ours to undo
        self.other_before = processes.identify(self.other.pid)
        self.me = processes.identify(self.victim.pid)
        if self.kind == "link":
            self._upstream()
        if self.kind == "netem":
            self._room = self._parts.enter_context(cable()).ours
            self._packets_before = self._packets()
        return self

    def __exit__(self, *_: object) -> None:
        for process in processes.marked(self.run):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self._parts.close()

    def start(self, plan: dict | None = None, **how: object) -> subprocess.Popen[str]:
        if self.kind == "link":
            how |= {"kind": "link", "upstream": f"127.0.0.1:{self._upstream_port}"}
        if self.kind == "netem":
            how |= {"kind": "netem"}
        self.runner = self._mini("run", str(self.victim.pid), json.dumps(how), plan=plan)
        listening = threading.Thread(target=self._listen, args=(self.runner,), daemon=True)
        listening.start()
        self._parts.callback(listening.join, 5.0)
        self._parts.callback(self.runner.kill)
        return self.runner

    def rollback(self, plan: dict | None = None, *, seconds: float = PATIENCE) -> int:
        mini = self._mini("rollback", plan=plan)
        mini.communicate(timeout=seconds)
        return mini.returncode

    def wait_for(self, word: str, times: int = 1, seconds: float = PATIENCE) -> bool:
        """Wait until the runner has said *word* so many times; False where it never will."""
        until = time.monotonic() + seconds
        while sum(said.startswith(word) for said in self.words) < times:
            if time.monotonic() > until or (self.runner.poll() is not None and not self._listening):
                return False
            time.sleep(0.001)
        return True

    def guardian_pid(self) -> int:
        return int(next(word for word in self.words if word.startswith("guardian ")).split()[1])

    def hands(self) -> list[int]:
        return [each.pid for each in processes.marked(self.run) if environment_of(each.pid).get("SQUALL_ROLE") == "hand"
                and "SQUALL_INSTANCE" not in environment_of(each.pid)]  # fmt: skip

    def hurt(self) -> bool:
        """Look whether the victim is harmed right now."""
        match self.kind:
            case "link":
                hurt = self._link_is_dead()
            case "netem":
                hurt = self._packets() != self._packets_before
            case _:
                hurt = processes.state_of(self.me) == "T"
        self.harmed = self.harmed or hurt
        return hurt

    def wait_until_well(self, seconds: float = PATIENCE) -> float:
        """Wait for the victim to be well; return how long that took, inf if it never was."""
        began = time.monotonic()
        while self.hurt():
            if time.monotonic() - began > seconds:
                return float("inf")
            time.sleep(0.0005)
        return time.monotonic() - began

    def remains(self, seconds: float = PATIENCE, *, but: tuple[int, ...] = ()) -> str:
        """Wait until nothing of the run is left; say what is."""
        until = time.monotonic() + seconds
        while True:
            left = self._what_is_left(but)
            if not left or time.monotonic() > until:
                return left
            time.sleep(self.pause)

    def judged(self, seconds: float, phase: str) -> Try:
        """Wait until nothing is left, and make a Try of it."""
        left, code = self.remains(), self.runner.poll()
        if not left and code not in (0, -signal.SIGKILL):
            left = f"the runner said {code}: {self.words[-3:]} {self.complaints()}"
        return Try(landed=self.harmed, clean=not left, seconds=seconds, phase=phase, why=left)

    def never_started(self) -> Try:
        """A try that could not be struck."""
        return Try(False, False, 0.0, "never started", f"{self.words} {self.complaints()}")

    def phase(self) -> str:
        """Say how far the runner has come."""
        return next((word for word in reversed(self.words) if word[:1] != "#"), "")

    def complaints(self) -> str:
        """The end of what runner and guardian wrote to their logs."""
        logs = (self.folder / "mini.err", self.folder / "logs" / "guardian.log")
        return " ".join(path.read_text()[-800:] for path in logs if path.exists())

    def _what_is_left(self, but: tuple[int, ...]) -> str:
        if self.hurt():
            return "the victim is not well"
        if living := [each.pid for each in processes.marked(self.run) if each.pid not in but]:
            return f"processes {living} live"
        if armed := armed_runs(self.folder / "squall"):
            return f"{armed} is armed"
        if processes.state_of(self.other_before) == "T":
            return "the other victim is not well"
        if processes.state_of(self.bystander_before) != "T":
            return "a bystander was touched"
        return ""

    def _sleeper(self) -> subprocess.Popen[bytes]:
        sleeper = subprocess.Popen(["sleep", "300"])
        self._parts.callback(sleeper.wait)
        self._parts.callback(sleeper.kill)
        return sleeper

    def _mini(self, verb: str, *arguments: str, plan: dict | None) -> subprocess.Popen[str]:
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        if plan:
            environment["TORTURE_PLAN"] = json.dumps(plan)
        argv = [
            sys.executable,
            "-m",
            "tests.torture.mini_runner",
            verb,
            str(self.folder),
            self.run,
            *arguments,
        ]
        mini = subprocess.Popen(
            self._room.argv(*argv) if self._room else argv,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self._parts.callback(_end, mini)
        return mini

    def _listen(self, mini: subprocess.Popen[str]) -> None:
        assert mini.stdout is not None
        with mini.stdout:
            for line in mini.stdout:
                self.words.append(line.strip())
                if line.startswith("port "):
                    self.port = int(line.split()[1])
        self._listening = False

    _listening = True
    _room: Room | None = None  # the namespace in which runner, guardian and hands are

    def _packets(self) -> str:
        """What may hurt packets in that namespace."""
        assert self._room is not None
        return self._room.run("sh", "-c", "tc qdisc show; tc filter show dev near; nft list ruleset")

    def _upstream(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self._upstream_port = listener.getsockname()[1]

        def answer(server: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    with peer, contextlib.suppress(OSError):
                        peer.sendall(peer.recv(64))

        serving(self._parts, listener, answer)

    def _link_is_dead(self) -> bool:
        """Connected, but never answered: that is a blackhole. Refused or closed: the proxy has gone."""
        if not self.port:
            return False
        with contextlib.suppress(ConnectionError), socket.socket() as client:
            client.settimeout(0.02)
            try:
                client.connect(("127.0.0.1", self.port))
                client.sendall(b"x")
                client.recv(1)
            except TimeoutError:
                return True
        return False


def _end(mini: subprocess.Popen[str]) -> None:
    mini.kill()
    mini.wait()
