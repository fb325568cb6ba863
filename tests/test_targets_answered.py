"""Who a target means by what engines and clusters answer: from a server of ours where the real ones seldom say it."""

import pytest

from runner.errors import NobodyThere, Refused
from runner.language import read_environment
from runner.targets.elsewhere import ended, resolve
from tests.answering import answering


@pytest.fixture
def here(tmp_path):
    """Read an environment written here."""

    def here(text):
        (tmp_path / "here.yaml").write_text(text)
        return read_environment(str(tmp_path / "here.yaml"), tmp_path / "x.yaml")

    return here


# --- Docker ----------------------------------------------------------------------------------------------------------


def container(name, identity, **state):
    return {
        "Id": identity,
        "Name": f"/{name}",
        "Created": "2026-01-01T00:00:00Z",
        "State": {"Running": True, "Restarting": False, "Status": "running", "StartedAt": "a", **state},
        "Config": {},
        "HostConfig": {},
        "NetworkSettings": {"Networks": {}},
    }


LOOPING = {
    "Restarting": True,
    "Status": "restarting",
    "Pid": 0,
}  # as an engine says while it waits to start it


def engine_of(*made, **more):
    """What an engine answers that has these containers; *more*: other words by which it finds one."""
    answers = {f"/containers/{one['Id']}/json": one for one in made}
    listed = [{"Id": one["Id"], "Names": [one["Name"]]} for one in made]
    return (
        answers
        | {f"/containers/{word}/json": one for word, one in more.items()}
        | {"/containers/json": listed}
    )


def test_a_name_that_only_begins_the_id_of_another_container_is_nobodys(here):
    other = container("web", "db" + "0" * 62)
    with answering(engine_of(other, db=other)) as server:
        environment = here(f"targets: {{a: {{docker: {{name: db, host: 'tcp://{server.address}'}}}}}}")
        with pytest.raises(Refused, match=r"targets.a.docker: no container is called db on .*: web$"):
            resolve(environment, "a")


@pytest.mark.parametrize("written", ["db", "db" + "0" * 62])
def test_a_container_is_meant_by_its_whole_name_or_its_whole_id(here, written):
    one = container("db", "db" + "0" * 62)
    with answering(engine_of(one, db=one)) as server:
        environment = here(f"targets: {{a: {{docker: {{name: {written}, host: 'tcp://{server.address}'}}}}}}")
        assert [each.known_as for each in resolve(environment, "a")] == ["db"]


def test_a_container_between_two_lives_does_not_run(here):
    runs, loops = container("web-1", "1" * 64), container("web-2", "2" * 64)
    with answering(engine_of(runs, loops)) as server:
        environment = here(f"targets: {{a: {{docker: {{label: app, host: 'tcp://{server.address}'}}}}}}")
        [_, before] = resolve(environment, "a")
        assert ended(before) == ""
        loops["State"] |= LOOPING
        assert [each.known_as for each in resolve(environment, "a")] == ["web-1"]
        assert ended(before) == "container web-2 has ended"


def test_where_all_are_between_two_lives_that_is_said(here):
    with answering(engine_of(container("web", "1" * 64, **LOOPING))) as server:
        environment = here(f"targets: {{a: {{docker: {{label: app, host: 'tcp://{server.address}'}}}}}}")
        with pytest.raises(
            NobodyThere, match=r"runs on .*: web is restarting; see why with docker logs web$"
        ):
            resolve(environment, "a")
