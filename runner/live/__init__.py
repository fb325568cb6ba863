"""The last seconds of a run in memory: what halts are judged by and the live view shows."""

from runner.live.snapshot import HaltReading as HaltReading
from runner.live.snapshot import IndicatorReading as IndicatorReading
from runner.live.snapshot import RequestRow as RequestRow
from runner.live.snapshot import Snapshot as Snapshot
from runner.live.window import LiveWindow as LiveWindow
