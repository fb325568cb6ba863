import subprocess
import sys

import msgspec
import pytest

from runner.cli.reading import judge_verb
from runner.errors import RecordUnreadable
from runner.load.frames import ROW, Chunk, Key, pack
from runner.record import Record
from runner.timeline import ActChanged, StageBegun
from runner.verdict.judge import judge
from runner.verdict.record import Outcome
from tests.made import BAD, OK, Crowd, act, load, phases, plan
from tests.made_run import make_run


def write(folder, events, chunks=(), guardian=()):
    for name, lines in (("timeline.jsonl", events), ("guardian.jsonl", guardian)):
        if lines:
            (folder / name).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    if chunks:
        (folder / "frames.bin").write_bytes(b"".join(map(pack, chunks)))
    return folder


def chunk(worker=0, sequence=0, *, keys=(), rows=(), load="a", **more):
    packed = b"".join(ROW.pack(*row) for row in rows)
    at = (sequence + 1) / 10
    return Chunk(
        load=load,
        worker=worker,
        sequence=sequence,
        at=at,
        watermark=sequence,
        keys=list(keys),
        rows=packed,
        **more,
    )


def test_keys_mean_the_same_across_workers_and_loads():
    chunks = [
        chunk(0, keys=[OK], rows=[(0, 0, 0, 5, 1)]),
        chunk(1, keys=[BAD, OK], rows=[(1, 1, 0, 5, 2), (1, 1, 1, 5, 4)]),
        chunk(0, 1, keys=[BAD], rows=[(2, 2, 1, 5, 8)]),
        chunk(0, load="b", keys=[OK], rows=[(3, 3, 0, 5, 16)]),
    ]
    frames = Record.of([], chunks).frames
    counted = {}
    for key, count in zip(frames.key, frames.count, strict=True):
        counted[frames.keys[key]] = counted.get(frames.keys[key], 0) + int(count)
    assert counted == {("a", OK): 5, ("a", BAD): 10, ("b", OK): 16}


def test_rows_are_sorted_by_their_start():
    frames = Record.of(
        [], [chunk(keys=[OK], rows=[(9, 9, 0, 1, 1), (2, 8, 0, 1, 1), (5, 5, 0, 1, 1)])]
    ).frames
    assert frames.start.tolist() == [2, 5, 9]
    assert frames.end.tolist() == [8, 5, 9]


def test_only_the_last_chunk_says_what_is_pending():
    first = chunk(pending=[(0, "GET /item", 7)])
    last = chunk(sequence=9, pending=[(0, "GET /item", 1), (5, "GET /", 2)])
    other = chunk(worker=1, sequence=4, pending=[(3, "GET /", 4)])
    frames = Record.of([], [first, other, last]).frames
    told = zip(
        frames.waiting_start, frames.waiting_count, frames.waiting_age, frames.waiting_key, strict=True
    )
    found = {
        (int(start), frames.waiting_keys[key][1], int(count), round(age, 6))
        for start, count, age, key in told
    }
    assert found == {(0, "GET /item", 1, 0.9), (5, "GET /", 2, 0.4), (3, "GET /", 4, 0.1)}


@pytest.mark.parametrize(
    ("sequences", "missing"),
    [([0, 1, 2], 0), ([1, 2, 3], 0), ([0, 2, 3], 1), ([3, 4], 2), ([0, 1, 1, 2], 0), ([0, 5], 4)],
)
def test_lost_chunks_are_counted_by_their_numbers(sequences, missing):
    (worker,) = Record.of([], [chunk(sequence=number) for number in sequences]).frames.workers
    assert worker.missing == missing


def test_a_row_whose_key_was_lost_is_kept_as_unknown():
    frames = Record.of([], [chunk(keys=[OK], rows=[(0, 0, 0, 5, 1), (0, 0, 3, 5, 1)])]).frames
    assert len(frames.key) == 2
    assert {frames.keys[key][1].request for key in frames.key} == {"GET /item", "(its key was lost)"}


def test_a_record_without_load_has_no_rows(tmp_path):
    record = Record.load(write(tmp_path, phases()))
    assert len(record.frames.start) == 0
    assert record.frames.workers == ()
    assert not record.damage


def test_a_folder_without_timeline_is_unreadable(tmp_path):
    with pytest.raises(RecordUnreadable, match=r"timeline.jsonl: there is no timeline"):
        Record.load(tmp_path)


def test_a_damaged_inner_line_is_unreadable(tmp_path):
    write(tmp_path, phases())
    path = tmp_path / "timeline.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"phase"', b'"phxse"', 1))
    with pytest.raises(RecordUnreadable, match="damaged"):
        Record.load(tmp_path)


def test_a_torn_last_chunk_is_left_out(tmp_path):
    write(
        tmp_path,
        phases(),
        [chunk(keys=[OK], rows=[(0, 0, 0, 5, 1)]), chunk(sequence=1, rows=[(1, 1, 0, 5, 1)])],
    )
    path = tmp_path / "frames.bin"
    path.write_bytes(path.read_bytes()[:-3])
    record = Record.load(tmp_path)
    assert record.frames.start.tolist() == [0]
    assert not record.damage


def test_damaged_frames_are_read_up_to_the_damage_and_said(tmp_path):
    write(tmp_path, phases(), [chunk(keys=[OK], rows=[(0, 0, 0, 5, 1)])])
    path = tmp_path / "frames.bin"
    path.write_bytes(
        path.read_bytes() + (5).to_bytes(4, "little") + b"\xff\xff\xff\xff\xff" + pack(chunk(sequence=1))
    )
    record = Record.load(tmp_path)
    assert record.frames.start.tolist() == [0]
    assert "damaged" in record.damage


def test_what_the_guardian_wrote_after_the_runner_died_is_merged_in_time(tmp_path):
    events = act(end=20.0)
    mine, theirs = events[:3], [event for event in events[3:] if isinstance(event, ActChanged)]
    record = Record.load(write(tmp_path, [*phases(), *mine], guardian=theirs))
    assert [event.at for event in record.events] == sorted(event.at for event in record.events)
    assert [event.state for event in record.events if isinstance(event, ActChanged)][-1] == "clean"


def test_stages_announced_for_later_are_not_the_end_of_the_record():
    record = Record.of([*phases(), StageBegun(at=500.0, load="a", name="late")], Crowd().chunks(12.0))
    assert record.end == 12.0


def test_fifty_thousand_rows_of_one_worker_keep_their_counts():
    rows = [(slot, slot, 0, 1000 + slot % 7, 1) for slot in range(1000)]
    chunks = [
        chunk(sequence=number, keys=[Key("GET /")] if not number else [], rows=rows) for number in range(50)
    ]
    assert int(Record.of([], chunks).frames.count.sum()) == 50_000


def test_reading_events_and_watching_live_needs_no_numpy():
    code = "import sys, runner.record, runner.live, runner.halts; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def measured(folder, frames):
    """The record of a load that ran, with these bytes for its frames."""
    write(folder, [*phases(end=20.0), StageBegun(at=0.0, load="shoppers", name="steady")])
    if frames is not None:
        (folder / "frames.bin").write_bytes(frames)
    return folder


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (b"", "frames.bin is empty"),
        (bytes(range(7, 200)) * 9, "the frames are damaged (not even the first is whole)"),
        (pack(chunk())[:9], "the frames are damaged (not even the first is whole)"),
        (pack(chunk()) + bytes(range(7, 200)), "the frames are damaged (what follows"),
    ],
)
def test_frames_that_are_lost_or_noise_are_said_and_no_worker_is_blamed(tmp_path, frames, said):
    record = Record.judgeable(measured(tmp_path, frames))
    assert record.damage.startswith(said)
    verdict = judge(plan(loads=(load(),)), record)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason.startswith(said)
    assert "never reported" not in " ".join(verdict.notes)


def test_missing_frames_of_a_load_that_ran_are_not_judged_but_shown(tmp_path):
    folder = measured(tmp_path, None)
    assert Record.load(folder).damage == "frames.bin is missing"
    with pytest.raises(RecordUnreadable, match=r"frames\.bin is missing"):
        Record.judgeable(folder)


def test_a_run_whose_load_never_began_has_no_frames_and_no_damage(tmp_path):
    assert not Record.judgeable(write(tmp_path, phases())).damage


def test_judge_leaves_the_verdict_of_a_run_whose_frames_are_gone(tmp_path):
    make_run(tmp_path)
    (tmp_path / "frames.bin").unlink()
    before = (tmp_path / "verdict.json").read_bytes()
    with pytest.raises(RecordUnreadable, match=r"frames\.bin is missing"):
        judge_verb.callback(tmp_path)
    assert (tmp_path / "verdict.json").read_bytes() == before
