"""Every fault kind Squall knows: one line each."""

from __future__ import annotations

from typing import TypeAlias

from runner.faults.answers import Dns, Http
from runner.faults.clock import Clock
from runner.faults.command import Command
from runner.faults.cpu import Cpu
from runner.faults.disk_fill import DiskFill
from runner.faults.io import Io
from runner.faults.kill import Kill
from runner.faults.links import Bandwidth, Blackhole, Latency, Refuse, Reset, SlowClose
from runner.faults.memory import Memory
from runner.faults.network import Corrupt, Duplicate, Loss, Partition, Reorder
from runner.faults.nodes import Cordon, DrainNode, Taint
from runner.faults.pause import Pause
from runner.faults.pids import Pids
from runner.faults.record import Fault
from runner.faults.workloads import Restart, Scale

KINDS: dict[str, type[Fault]] = {
    "kill": Kill,
    "pause": Pause,
    "cpu": Cpu,
    "memory": Memory,
    "io": Io,
    "pids": Pids,
    "disk_fill": DiskFill,
    "restart": Restart,
    "scale": Scale,
    "drain": DrainNode,
    "cordon": Cordon,
    "taint": Taint,
    "clock": Clock,
    "latency": Latency,
    "bandwidth": Bandwidth,
    "blackhole": Blackhole,
    "reset": Reset,
    "refuse": Refuse,
    "slow_close": SlowClose,
    "loss": Loss,
    "corrupt": Corrupt,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "partition": Partition,
    "dns": Dns,
    "http": Http,
    "command": Command,
}
AnyFault: TypeAlias = (
    Kill
    | Pause
    | Cpu
    | Memory
    | Io
    | Pids
    | DiskFill
    | Restart
    | Scale
    | DrainNode
    | Cordon
    | Taint
    | Clock
    | Latency
    | Bandwidth
    | Blackhole
    | Reset
    | Refuse
    | SlowClose
    | Loss
    | Corrupt
    | Duplicate
    | Reorder
    | Partition
    | Dns
    | Http
    | Command
)
