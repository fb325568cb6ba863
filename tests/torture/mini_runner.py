"""A runner with nothing but a guardian: it arms, injects and undoes until it is told otherwise, or dies.

    mini_runner run FOLDER RUN VICTIM-PID {"cycles": n, "lease": s, "die": "injected" | "", "kind": "pause"}
    mini_runner rollback FOLDER RUN

Of kind `acts` it does those of the file that `acts` names, once, and holds them until a signal asks it to undo.
It says what it does, one word a line. Lost its guardian, it rolls back, as the real one does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, wait
from pathlib import Path

import msgspec

from runner import clock, processes
from runner.errors import GuardianLost, OperationFailed, Refused
from runner.guardian import launch
from runner.guardian.client import GuardianClient
from runner.guardian.rollback import rollback
from runner.guardian.state import MachineLock
from runner.operations.record import (
    Act,
    CheckLink,
    CheckNetem,
    CheckProcess,
    Identity,
    LinkSet,
    Netem,
    NetemGone,
    Run,
    Signal,
    Spawn,
    Stop,
)

PATIENCE = 15.0 * float(os.environ.get("TORTURE_SLOWER", "1"))
REMOTE = 45.0  # where helpers do it, whom an engine that hangs may keep waiting


def main() -> None:
    verb, folder, run, *rest = sys.argv[1:]
    if plan := os.environ.pop("TORTURE_PLAN", ""):
        launch.GUARDIAN = linekill("guardian", plan)
    state = Path(folder) / "squall"
    if verb == "rollback":
        sys.exit(0 if rolled_back(state, run) else 5)
    lock = MachineLock.take(state, run)
    sys.exit(Mini(Path(folder), run, int(rest[0]), json.loads(rest[1]), lock).run())


def linekill(role: str, plan: str) -> tuple[str, ...]:
    return (sys.executable, "-I", str(Path(__file__).with_name("linekill.py")), role, plan)


def say(word: str) -> None:
    print(word, flush=True)


def rolled_back(state: Path, run: str) -> bool:
    result = rollback(state, run=run)
    for line in result.lines():
        say(f"# {line}")
    return result.clean


class Mini:
    """One run."""

    def __init__(self, folder: Path, run: str, victim: int, how: dict, lock: MachineLock) -> None:
        self.folder, self.name, self.how, self.lock = folder, run, how, lock
        self.victim = processes.identify(victim)
        self.asked = threading.Event()
        self.given: list[Act] = []
        if how.get("kind") == "acts":
            self.given = msgspec.json.decode(Path(how["acts"]).read_bytes(), type=list[Act])
            self.how["cycles"] = len(self.given)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda *_: self.asked.set())

    def run(self) -> int:
        try:
            guardian = GuardianClient.start(
                run=self.name,
                state=self.folder / "squall",
                lock_fd=self.lock.descriptor,
                report=self.folder,
                anchor=clock.anchor(),
                lease=self.how.get("lease", 2.0),
            )
        except Refused as refused:
            say(f"# {refused}")
            return 0 if rolled_back(self.folder / "squall", self.name) else 5
        say(f"guardian {guardian.pid}")
        if self.how.get("leak"):
            kept = guardian._guardian.fileno()
            say(
                f"leaked {subprocess.Popen(['sleep', '60'], pass_fds=(kept,), stdout=subprocess.DEVNULL).pid}"
            )
        beating = threading.Thread(target=self.beat, args=(guardian,), daemon=True)
        beating.start()
        clean = False
        try:
            self.live(guardian)
            clean = guardian.close()
        except (GuardianLost, OperationFailed, Refused, TimeoutError) as lost:
            say(f"lost {clock.now()} {lost}")
            guardian.kill()
        return 0 if clean or rolled_back(self.folder / "squall", self.name) else 5

    def beat(self, guardian: GuardianClient) -> None:
        while not guardian.lost.wait(0.05):
            guardian.beat()

    def live(self, guardian: GuardianClient) -> None:
        if not self.given:
            self.have_started(guardian)
        say("started")
        if other := self.how.get(
            "other"
        ):  # the victim is hurt before the lines count; then another has its turn
            first = self.act(99)
            guardian.arm(first).result(PATIENCE)
            guardian.inject(first.id).result(PATIENCE)
            self.victim = processes.identify(other)
            (self.folder / "mark").touch()
        patience = REMOTE if self.given else PATIENCE
        for number in range(self.how.get("cycles", 1)):
            act = self.act(number)
            say("arming")
            guardian.arm(act).result(patience)
            say("injecting")
            if not self.waited(guardian.inject(act.id), patience):
                say("undoing")
                guardian.undo_all(rank_at_least=1).result(patience)
                say("undone")
                return
            say("injected")
            if self.how.get("die") == "injected":
                os.kill(os.getpid(), signal.SIGKILL)
            guardian.confirm(act.id).result(patience)
            self.hold(guardian)
            say("undoing")
            guardian.undo(act.id).result(patience)
            say("undone")

    def have_started(self, guardian: GuardianClient) -> None:
        """Let the guardian start what the run starts itself."""
        start = self.start(guardian)
        guardian.arm(start).result(PATIENCE)
        guardian.inject(start.id).result(PATIENCE)
        until = clock.now() + PATIENCE
        while (
            self.how.get("kind") == "link" and not (self.folder / "control").exists() and clock.now() < until
        ):
            time.sleep(0.005)  # the proxy is coming up

    def waited(self, doing: Future, patience: float) -> bool:
        """Wait until it is done; False where somebody asks to undo meanwhile: that waits for nothing."""
        until = clock.now() + patience
        while not self.asked.is_set() and clock.now() < until:
            if wait([doing], 0.01).done:
                break
        if self.asked.is_set() and not doing.done():
            return False
        doing.result(0)
        return True

    def hold(self, guardian: GuardianClient) -> None:
        until = clock.now() + self.how.get("hold", 0.02)
        while (left := until - clock.now()) > 0 and not self.asked.is_set():
            if guardian.lost.wait(min(left, 0.01 if self.given else left)):
                return

    def start(self, guardian: GuardianClient) -> Act:
        """What the run starts itself: a sleeper, or the proxy of a link to the victim's port."""
        argv: tuple[str, ...] = ("sleep", "300")
        listeners: tuple[str, ...] = ()
        if self.how.get("kind") == "link":
            port = guardian.listen("store", "127.0.0.1", 0)
            say(f"port {port}")
            argv = (sys.executable, "-m", "runner.links.proxy", "--link", "store")
            argv += ("--upstream", self.how["upstream"], "--control", str(self.folder / "control"))
            listeners = ("store", "lifeline")
        return Act(
            id="start/mine",
            fault="",
            kind="start",
            instance="mine",
            rank=0,
            do=(
                Spawn(
                    run=self.name,
                    instance="mine",
                    argv=argv,
                    listeners=listeners,
                    log=str(self.folder / "mine.log"),
                ),
            ),
            undo=(Stop(run=self.name, instance="mine"),),
        )

    def act(self, number: int) -> Act:
        if self.given:
            return self.given[number]
        if self.how.get("kind") == "link":
            return self.blackhole(number)
        if self.how.get("kind") == "netem":
            return self.late_packets(number)
        assert isinstance(self.victim, Identity)
        slow = (Run(argv=("sleep", str(self.how["slow"]))),) if "slow" in self.how else ()
        return Act(
            id=f"pause/{number}/victim",
            fault="pause",
            kind="pause",
            instance="victim",
            occurrence=number,
            do=(*slow, Signal(process=self.victim, signal="STOP"), *slow),
            undo=(
                Signal(process=self.victim, signal="CONT"),
                CheckProcess(expect="running", process=self.victim),
            ),
            confirm=(CheckProcess(expect="stopped", process=self.victim),),
        )

    def blackhole(self, number: int) -> Act:
        link = {"link": "store", "socket": str(self.folder / "control"), "property": "blackhole"}
        hurt: dict[str, float | str | bool] = {"share": 1.0}
        return Act(
            id=f"blackhole/{number}/store",
            fault="blackhole",
            kind="blackhole",
            instance="store",
            occurrence=number,
            do=(LinkSet(**link, value=hurt),),
            undo=(LinkSet(**link, expect=hurt),),
            confirm=(CheckLink(**link),),
        )

    def late_packets(self, number: int) -> Act:
        """In the network namespace in which all of this runs."""
        return Act(
            id=f"latency/{number}/near",
            fault="latency",
            kind="latency",
            instance="near",
            occurrence=number,
            do=(Netem(delay=1.0),),
            undo=(NetemGone(),),
            confirm=(CheckNetem(),),
        )


if __name__ == "__main__":
    main()
