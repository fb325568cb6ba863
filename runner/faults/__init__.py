"""Every fault kind Squall knows: one line each."""

from __future__ import annotations

from typing import TypeAlias

from runner.faults.command import Command
from runner.faults.cpu import Cpu
from runner.faults.kill import Kill
from runner.faults.links import Bandwidth, Blackhole, Latency, Refuse, Reset, SlowClose
from runner.faults.memory import Memory
from runner.faults.pause import Pause
from runner.faults.record import Fault

KINDS: dict[str, type[Fault]] = {
    "kill": Kill,
    "pause": Pause,
    "cpu": Cpu,
    "memory": Memory,
    "latency": Latency,
    "bandwidth": Bandwidth,
    "blackhole": Blackhole,
    "reset": Reset,
    "refuse": Refuse,
    "slow_close": SlowClose,
    "command": Command,
}
AnyFault: TypeAlias = (
    Kill | Pause | Cpu | Memory | Latency | Bandwidth | Blackhole | Reset | Refuse | SlowClose | Command
)
