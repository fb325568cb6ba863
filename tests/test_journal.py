"""The journal: what survives a crash, and what a damaged one still says."""

from __future__ import annotations

import os

import pytest

from runner.clock import TimeAnchor
from runner.errors import Refused
from runner.guardian import journal
from runner.guardian.state import MachineLock, armed_runs, journal_of, open_folder, read_journal
from runner.operations.record import Act, Run, Spawn

ANCHOR = TimeAnchor(boot="b", monotonic=1.0, boottime=1.0, wall=1.0)
HEAD = journal.Head(run="r", pid=1, report="", anchor=ANCHOR)


def act(name: str) -> Act:
    return Act(
        id=name,
        fault="f",
        kind="k",
        instance='i "quoted\n',
        do=(Run(argv=("do", name)),),
        undo=(Run(argv=("undo", name)),),
    )


def lines(*records: journal.Record) -> list[bytes]:
    return [journal.encode(number, record) for number, record in enumerate(records, 1)]


RECORDS = (
    HEAD,
    journal.Armed(act=act("a")),
    journal.Armed(act=act("b")),
    journal.Turned(act="a", state="injected"),
    journal.Turned(act="a", state="clean"),
    journal.Armed(act=act("c")),
)


def armed(data: bytes) -> list[str]:
    return [each.id for each in journal.parse(data).armed]


@pytest.fixture
def folder(tmp_path):
    descriptor = open_folder(tmp_path / "squall" / "armed")
    yield descriptor
    os.close(descriptor)


def test_what_is_clean_is_off_the_list():
    contents = journal.parse(b"".join(lines(*RECORDS)))
    assert [each.id for each in contents.armed] == ["b", "c"]
    assert contents.armed[0] == act("b")
    assert not contents.damage


def test_a_torn_last_line_is_left_out_wherever_it_is_torn():
    whole = lines(*RECORDS)
    before = b"".join(whole[:-1])
    for cut in range(len(whole[-1]) - 1):
        for tail in (b"", bytes(100)):
            contents = journal.parse(before + whole[-1][:cut] + tail)
            assert [each.id for each in contents.armed] == ["b"]
            assert not contents.damage


def test_the_preallocated_tail_is_no_damage():
    assert not journal.parse(b"".join(lines(*RECORDS)) + bytes(5000)).damage
    assert not journal.parse(bytes(5000)).damage


def test_no_flipped_byte_hides_an_armed_act_silently():
    data = b"".join(lines(*RECORDS)) + bytes(64)
    for place in range(len(data) - 64):
        for flip in (0x01, 0x80, data[place]):  # the last makes it a NUL
            broken = data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
            contents = journal.parse(broken)
            assert contents.damage or {each.id for each in contents.armed} >= {"b", "c"}, (place, flip)


def test_a_flipped_byte_costs_its_own_record_at_most():
    whole = lines(*RECORDS)
    for number, line in enumerate(whole):
        for place in range(len(line)):
            broken = [
                *whole[:number],
                line[:place] + bytes([line[place] ^ 4]) + line[place + 1 :],
                *whole[number + 1 :],
            ]
            left = {each.id for each in journal.parse(b"".join(broken)).armed}
            assert {"b", "c"} - left <= (
                {RECORDS[number].act.id} if isinstance(RECORDS[number], journal.Armed) else set()
            )


def test_a_lost_sector_is_damage_and_the_others_are_still_there():
    data = b"".join(lines(HEAD, *(journal.Armed(act=act(f"a{number}")) for number in range(20))))
    for start in range(0, len(data) - 512, 512):
        contents = journal.parse(data[:start] + bytes(512) + data[start + 512 :])
        assert contents.damage
        assert len(contents.armed) >= 16


def test_a_missing_record_is_damage():
    whole = lines(*RECORDS)
    assert journal.parse(b"".join(whole[:2] + whole[3:])).damage == (
        "of the records 3 to 3 none is readable",
    )


def test_a_record_of_a_later_version_is_damage_and_the_others_count():
    later = lines(*RECORDS)
    later[2] = later[2].replace(b'"op":"run"', b'"op":"ray"')
    number, body = 3, later[2].split(b'"body":', 1)[1][:-2]
    later[2] = b'{"seq":3,"crc":%d,"body":%s}\n' % (journal.crc32(b"%d:" % number + body), body)
    contents = journal.parse(b"".join(later))
    assert [each.id for each in contents.armed] == ["c"]
    assert "cannot be understood" in contents.damage[0]


def test_what_is_appended_is_read_back_from_a_preallocated_file(folder, tmp_path):
    written = journal.Journal.create(folder, "r.jsonl")
    for record in RECORDS:
        written.append(record)
    written.sync()
    written.close()
    path = journal_of(tmp_path / "squall", "r")
    assert path.stat().st_size == 1 << 20
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.id for each in read_journal(path).armed] == ["b", "c"]


def test_a_journal_grows_beyond_what_was_preallocated(folder, tmp_path):
    written = journal.Journal.create(folder, "r.jsonl")
    large = Act(id="x", fault="f", kind="k", instance="i", do=(), undo=(Run(argv=("x" * 700_000,)),))
    for _ in range(3):
        written.append(journal.Armed(act=large))
    written.close()
    assert armed(journal_of(tmp_path / "squall", "r").read_bytes()) == ["x"]


def test_short_writes_are_gone_on_with(folder, tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, bytes(data[:7]), offset))
    written = journal.Journal.create(folder, "r.jsonl")
    written.append(RECORDS[1])
    written.close()
    assert armed(journal_of(tmp_path / "squall", "r").read_bytes()) == ["a"]


def test_a_rollback_goes_on_after_the_last_whole_line(folder, tmp_path):
    path = journal_of(tmp_path / "squall", "r")
    torn = b"".join(lines(*RECORDS)[:3]) + b'{"seq":4,"cr'
    path.write_bytes(torn + bytes(4096))
    resumed = journal.Journal.resume(folder, "r.jsonl")
    resumed.append(journal.Turned(act="a", state="clean"))
    resumed.close()
    contents = journal.parse(path.read_bytes())
    assert [each.id for each in contents.armed] == ["b"]
    assert not contents.damage


def test_the_copy_for_the_report_holds_no_secret(tmp_path):
    spawn = Spawn(
        run="r",
        instance="i",
        argv=("x",),
        env={"API_TOKEN": "canary-1", "DB_PASSWORD": "canary-2", "LANG": "C"},
    )
    record = journal.Armed(act=Act(id="s", fault="", kind="start", instance="i", do=(spawn,), undo=()))
    source, copy = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"".join(lines(HEAD, record)) + bytes(100))
    journal.copy_redacted(source, copy)
    assert b"canary" not in copy.read_bytes()
    assert b'"LANG":"C"' in copy.read_bytes()


def test_a_linked_component_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Refused, match="link"):
        open_folder(tmp_path / "link" / "squall")


def test_a_folder_that_others_may_write_is_refused(tmp_path):
    (tmp_path / "squall").mkdir()
    (tmp_path / "squall").chmod(0o777)
    with pytest.raises(Refused, match="others may write"):
        open_folder(tmp_path / "squall" / "armed")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_does_not_use_a_users_folder_nor_a_users_journal(tmp_path):
    os.close(open_folder(tmp_path / "squall" / "armed"))
    path = journal_of(tmp_path / "squall", "r")
    path.write_bytes(b"".join(lines(*RECORDS)))
    os.chown(path, 1000, 1000)
    with pytest.raises(Refused, match="yours alone"):
        read_journal(path)
    os.chown(tmp_path / "squall", 1000, 1000)
    with pytest.raises(Refused, match="belongs to user 1000"):
        open_folder(tmp_path / "squall" / "armed")


def test_a_journal_with_a_second_name_or_that_is_a_link_is_refused(folder, tmp_path):
    path = journal_of(tmp_path / "squall", "r")
    path.write_bytes(b"")
    os.link(path, path.with_name("twin.jsonl"))
    with pytest.raises(Refused, match="yours alone"):
        read_journal(path)
    path.unlink()
    path.symlink_to(path.with_name("twin.jsonl"))
    with pytest.raises(Refused):
        read_journal(path)


def test_new_folders_are_for_their_owner_alone(tmp_path):
    os.close(open_folder(tmp_path / "a" / "b"))
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_one_run_at_a_time_and_the_second_learns_who_is_in(tmp_path):
    lock = MachineLock.take(tmp_path / "squall", "first")
    with pytest.raises(Refused, match=f"run first .process {os.getpid()}"):
        MachineLock.take(tmp_path / "squall", "second")
    lock.release()
    MachineLock.take(tmp_path / "squall", "second").release()


def test_armed_runs_are_those_with_a_journal(folder, tmp_path):
    assert armed_runs(tmp_path / "squall") == []
    journal_of(tmp_path / "squall", "r1").write_bytes(b"")
    assert armed_runs(tmp_path / "squall") == ["r1"]
    assert armed_runs(tmp_path / "nowhere") == []
