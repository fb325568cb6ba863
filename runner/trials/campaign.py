"""The log of a campaign: what it was asked, and each trial as it ends; what was done is not done again."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec

from runner.errors import Refused
from runner.guardian.state import MachineLock
from runner.plan_record import Plan
from runner.planning.preparation import slug
from runner.record import TRIALS
from runner.shown import shown
from runner.timeline import write_all
from runner.trials.trial import Setup, try_out
from runner.verdict.record import Outcome

_COUNTS = {Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.HALTED}


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="asked"):
    """The head of the log: the campaign's own question. *parameters*: everything that the trials depend on, as text."""

    kind: str  # aa, compare, capacity, margin
    scenario: str  # the file, absolute
    sha256: str
    parameters: dict[str, str]


class Tried(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="tried"):
    """One trial that ended. *counts* False: it says nothing (halted by hand, dirty, our defect) and is made again."""

    label: str  # unique in the campaign: `pair 3 variant`
    folder: str  # of its record, relative to the campaign's
    outcome: Outcome
    reason: str
    started: str  # ISO 8601, UTC
    counts: bool


_decoder = msgspec.json.Decoder(Asked | Tried)


def asked(kind: str, scenario: Path, **parameters: str) -> Asked:
    """Write down what is asked of *scenario* as it is now. Raises Refused where it cannot be read."""
    try:
        content = scenario.read_bytes()
    except OSError as error:
        raise Refused(f"{scenario}: {error.strerror}") from error
    return Asked(
        kind=kind,
        scenario=str(scenario.resolve()),
        sha256=hashlib.sha256(content).hexdigest(),
        parameters=parameters,
    )


def fingerprint(name: str, plan: Plan) -> str:
    """Name an environment with its file as it is now: another content is another environment."""
    content = Path(plan.environment.path).read_bytes()
    return f"{name} ({hashlib.sha256(content).hexdigest()[:12]})"


def settings_text(settings: Mapping[str, str]) -> str:
    """Write settings the same way whatever their order."""
    return ",".join(f"{name}={value}" for name, value in sorted(settings.items()))


@dataclass(slots=True)
class Campaign:
    """A folder with the trials of one question. *halted*: why it must not go on; the worst of its outcomes then counts."""

    folder: Path
    question: Asked
    done: dict[str, Tried] = field(default_factory=dict)
    stopped: Tried | None = None

    @staticmethod
    def begin(question: Asked, reports: Path) -> Campaign:
        """Make the folder of a new campaign: `reports/<scenario>/<kind>-<started>`. Raises Refused."""
        name = f"{question.kind}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        folder = reports / slug(Path(question.scenario).stem) / name
        try:
            folder.mkdir(parents=True)
            campaign = Campaign(folder, question)
            campaign._write(question)
        except OSError as error:
            raise Refused(
                f"the report folder {folder} cannot be written: {error.strerror}; name another with --report"
            ) from error
        return campaign

    @staticmethod
    def read(folder: Path) -> Campaign:
        """Read what is on record of a campaign. Raises Refused where there is none."""
        path = folder / TRIALS
        try:
            lines = path.read_bytes().split(b"\n")[:-1]  # a torn last line is left out
            head, *rest = [_decoder.decode(line) for line in lines]
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise Refused(f"{folder}: {path} is no log of a campaign ({error})") from error
        if not isinstance(head, Asked):
            raise Refused(f"{folder}: {path} does not begin with what was asked")
        found = [line for line in rest if isinstance(line, Tried)]
        stopped = found[-1] if found and not found[-1].counts else None
        return Campaign(folder, head, {one.label: one for one in found if one.counts}, stopped)

    @staticmethod
    def resume(question: Asked, folder: Path) -> Campaign:
        """Go on with the campaign in *folder*. Raises Refused where it asked something else, or of another file."""
        campaign = Campaign.read(folder)
        _refuse_other(campaign.question, question, folder)
        campaign.stopped = None
        return campaign

    def trial(self, label: str, setup: Setup, lock: MachineLock) -> Tried:
        """Carry the trial out, or return what is on record of it; one line says how it ended.

        Sets *stopped* where no other may follow. Raises Refused where it cannot start.
        """
        if label in self.done:
            return self.done[label]
        try:
            ended = try_out(setup, lock=lock, folder=self.folder / "runs")
        except Refused as refusal:
            if not self.done:
                raise
            raise Refused(f"{refusal}; what is done stays: go on with --resume {self.folder}") from refusal
        verdict = ended.verdict
        tried = Tried(
            label=label,
            folder=str(ended.folder.relative_to(self.folder)),
            outcome=verdict.outcome,
            reason=verdict.reason,
            started=verdict.started,
            counts=verdict.outcome in _COUNTS and not ended.is_last,
        )
        self._write(tried)
        click.echo(shown(f"{label}: {verdict.outcome.value}: {verdict.reason}"))
        if tried.counts:
            self.done[label] = tried
        else:
            self.stopped = tried
        if tried.counts and ended.interrupted:
            raise click.Abort(f"interrupted; what is done stays: go on with --resume {self.folder}")
        return tried

    def folder_of(self, tried: Tried) -> Path:
        """Where the record of a trial lies."""
        return self.folder / tried.folder

    def _write(self, line: Asked | Tried) -> None:
        descriptor = os.open(
            self.folder / TRIALS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        try:
            _end_torn_line(self.folder / TRIALS, descriptor)
            write_all(descriptor, msgspec.json.encode(line) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _end_torn_line(path: Path, descriptor: int) -> None:
    """Cut off what a kill left of a last line: it would spoil the next one."""
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)


def _refuse_other(head: Asked, question: Asked, folder: Path) -> None:
    if head.kind != question.kind:
        raise Refused(f"--resume {folder}: that is a campaign of `squall {head.kind}`")
    if head.scenario != question.scenario:
        raise Refused(f"--resume {folder}: its trials are of {head.scenario}")
    if head.sha256 != question.sha256:
        raise Refused(
            f"--resume {folder}: {question.scenario} was changed since; trials of two versions answer nothing: begin anew"
        )
    for name in sorted(head.parameters.keys() | question.parameters.keys()):
        was, now = head.parameters.get(name, "nothing"), question.parameters.get(name, "nothing")
        if was != now:
            raise Refused(f"--resume {folder}: it was begun with {name} {was}, and this asks for {now}")
