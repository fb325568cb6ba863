"""Scenario and environment files become the values that they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from runner.assertions import Bound, Selector, Term, When
from runner.errors import Mistake, Place, Refused
from runner.faults import KINDS
from runner.indicators.fetch import Getter
from runner.language import parse_assertion, read_environment, read_scenario, schema
from runner.language.document import parse_document
from runner.language.schema import environment_schema
from runner.language.shapes import FaultShape, IndicatorShape, LoadShape, ObjectiveShape, ScenarioShape
from runner.language.substitution import Scope
from runner.scenario import Anchor, Found, LinkSpec, Pick, Ready, Scenario, Stage
from tests.answering import answering

ROOT = Path(__file__).parent.parent
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))

DESIGN = """\
# yaml-language-server: $schema=squall.json
squall: 1                                          # language version; optional
title: The shop keeps its promise while one of three web processes dies
owner: shop-sre@example.com
hypothesis: >
  Killing one of three web replicas fails fewer than 2 % of requests, and the shop is itself again within 10 s.
tags: [gameday, shop]
parameters: {rate: 60/s}

load:
  locustfile: shoppers.py
  classes: [Shopper]
  target: shop
  stages:
    - {name: ramp, rate: 20/s -> $rate, for: 5s}   # → is read too
    - {name: steady, rate: $rate}
warmup: 5s
before: 10s
after: 15s

faults:
  kill-one:   {kind: kill, target: shop, pick: 1, at: 0s, for: 10s}
  slow-store: {kind: latency, target: store, delay: 80ms, jitter: 20ms, at: end of kill-one + 10s, for: 10s}
  busy:       {kind: cpu, target: shop, pick: 1, limit: 20%, at: end of slow-store + 5s, for: 10s}

indicators:
  rss: {process: shop, measure: rss}
  cpu: {prometheus: 'sum(rate(process_cpu_seconds_total{job="shop"}[15s]))', every: 5s, unit: share}

steady_state:
  - p95 < 150ms
  - error_rate < 1%

expect:
  - during kill-one: error_rate < 2%
  - after kill-one: recovery < 10s
  - during slow-store:
      - p95 < 250ms
      - error_rate{POST /order} < 3% over 5s       # in every window of 5 s
  - during busy: p95{each GET *} < 300ms
  - after: p95 < 1.2x before

halt:
  - error_rate > 20%
  - p99 > 2s for 5s
"""

LOCAL = """\
targets:
  shop:
    url: http://127.0.0.1:8800
    processes: {command: [python, -m, scenarios.shop.web, --port, $port], count: 3, ready: {http: /healthz, within: 10s}}
  store: {link: {listen: 127.0.0.1:8901, upstream: 127.0.0.1:8900}}
limits: {pick: 50%, concurrent_faults: 2, duration: 10m}
connections: {prometheus: {url: "http://127.0.0.1:9090", token: {env: TOKEN}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    (tmp_path / "shoppers.py").write_text("class Shopper: pass\n")
    write(tmp_path, DESIGN, LOCAL)
    return tmp_path


def write(folder: Path, scenario: str, environment: str = LOCAL) -> None:
    (folder / "x.yaml").write_text(scenario, encoding="utf-8")
    (folder / "environments/local.yaml").write_text(environment, encoding="utf-8")


def read(folder: Path, **settings: str) -> list[Scenario]:
    return read_scenario(folder / "x.yaml", read_environment("local", folder / "x.yaml"), settings)


def read_part(folder: Path, old: str, new: str) -> Scenario:
    assert DESIGN.count(old) == 1
    write(folder, DESIGN.replace(old, new))
    [scenario] = read(folder)
    return scenario


def assertion(text: str, when: str = "", section: str = "expect"):
    return parse_assertion(text, when, section, Place("x.yaml", 7))


# the whole file


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_of_ours_is_read(path: Path):
    for scenario in read_scenario(path, read_environment("local", path), {}):
        assert scenario.title
        assert msgspec.json.decode(msgspec.json.encode(scenario), type=Scenario) == scenario


def test_the_scenario_of_the_design_is_read(folder: Path):
    [scenario] = read(folder)
    assert (scenario.name, scenario.warmup, scenario.before, scenario.after) == ("x", 5.0, 10.0, 15.0)
    [load] = scenario.loads
    assert (load.name, load.model, load.classes, load.target) == ("load", "rate", ("Shopper",), "shop")
    assert load.locustfile == str(folder / "shoppers.py")
    assert load.stages == (
        Stage(name="ramp", start=20, end=60, duration=5),
        Stage(name="steady", start=60, end=60),
    )
    kill, slow, busy = scenario.faults
    assert (kill.pick, kill.at, kill.duration) == (Pick(count=1), Anchor(offset=0), 10)
    assert slow.at == Anchor(base="end", name="kill-one", offset=10)
    assert (slow.fault.delay, slow.fault.jitter) == (0.08, 0.02)
    assert busy.fault.limit == 0.2
    assert slow.place.line == DESIGN[: DESIGN.index("slow-store:")].count("\n") + 1
    assert [indicator.unit for indicator in scenario.indicators] == ["bytes", "share"]
    assert [one.when.text for one in scenario.expect] == [
        "during kill-one", "after kill-one", "during slow-store", "during slow-store", "during busy", "after",
    ]  # fmt: skip
    assert scenario.expect[5].bound == Bound(factor=1.2, text="1.2x before")
    assert scenario.halt[1].lasting == 5.0


def test_the_environment_of_the_design_is_read(folder: Path):
    environment = read_environment("local", folder / "x.yaml")
    shop, store = environment.targets["shop"], environment.targets["store"]
    assert shop.managed is not None
    assert shop.managed.command[-2:] == ("--port", "$port")
    assert (shop.managed.count, shop.managed.ready) == (3, Ready(http="/healthz", within=10))
    assert shop.managed.cwd == str(folder / "environments")
    assert store.link == LinkSpec(listen="127.0.0.1:8901", upstream="127.0.0.1:8900")
    assert (environment.limits.pick, environment.limits.duration) == (0.5, 600.0)
    assert environment.connections["prometheus"].token_env == "TOKEN"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:$port/healthz", "http://127.0.0.1:88$index/", "http://$shop.address/"]
)
def test_a_ready_url_may_hold_what_only_the_start_of_a_process_knows(folder: Path, url: str):
    write(folder, DESIGN, LOCAL.replace("ready: {http: /healthz", f"ready: {{http: '{url}'"))
    managed = read_environment("local", folder / "x.yaml").targets["shop"].managed
    assert managed is not None
    assert managed.ready.http == url


def test_a_scenario_without_a_load_has_no_load(folder: Path):
    write(folder, "faults: {a: {kind: kill, target: shop}}\n")
    [scenario] = read(folder)
    assert (scenario.loads, scenario.title, scenario.faults[0].duration) == ((), "x", 10.0)


def test_plain_words_mean_what_they_say(folder: Path):
    scenario = read_part(folder, "owner: shop-sre@example.com", "owner: on")
    assert scenario.owner == "on"
    scenario = read_part(folder, "tags: [gameday, shop]", "tags: [010, 09:00, 1:30, no, ~, 2024-01-01, 1e3]")
    assert scenario.tags == ("010", "09:00", "1:30", "no", "~", "2024-01-01", "1e3")


def test_keys_with_x_in_front_are_ignored_everywhere(folder: Path):
    scenario = read_part(folder, "warmup: 5s", "x-any: {a: [b]}\nwarmup: 5s")
    assert scenario.warmup == 5.0
    assert read_part(folder, "pick: 1, at: 0s", "x-why: drill, at: 0s").faults[0].pick == Pick()


def test_an_alias_stands_for_its_value(folder: Path):
    write(
        folder,
        DESIGN.replace("  - p95 < 150ms\n", "  - &slo p95 < 150ms\n").replace(
            "  - after: p95 < 1.2x before", "  - after: *slo"
        ),
    )
    [scenario] = read(folder)
    assert scenario.expect[-1].text == scenario.steady_state[0].text == "p95 < 150ms"


# parameters and sweeps


def test_a_setting_wins_over_the_environment_and_this_over_the_file(folder: Path):
    write(folder, DESIGN, LOCAL + "parameters: {rate: 70/s}\n")
    assert read(folder)[0].parameters == {"rate": "70/s"}
    assert read(folder, rate="80/s")[0].parameters == {"rate": "80/s"}


def test_a_list_is_a_sweep_with_a_name_for_each_run(folder: Path):
    write(folder, DESIGN.replace("{rate: 60/s}", "{rate: [60/s, 80/s], limit: 5}"))
    assert [scenario.name for scenario in read(folder)] == ["x[rate=60/s]", "x[rate=80/s]"]
    assert [scenario.loads[0].stages[1].end for scenario in read(folder)] == [60, 80]
    both = read(folder, limit="5,6")
    assert [scenario.name for scenario in both] == [
        "x[rate=60/s,limit=5]", "x[rate=60/s,limit=6]", "x[rate=80/s,limit=5]", "x[rate=80/s,limit=6]",
    ]  # fmt: skip


def test_a_setting_with_commas_is_a_sweep_and_a_single_one_is_not(folder: Path):
    assert [scenario.name for scenario in read(folder, rate="1/s, 2/s")] == ["x[rate=1/s]", "x[rate=2/s]"]
    assert read(folder, rate="1/s")[0].name == "x"


def test_a_parameter_of_the_environment_alone_cannot_be_set(folder: Path):
    write(folder, DESIGN, LOCAL + "parameters: {flavour: mild}\n")
    with pytest.raises(Refused, match="parameter of the environment only"):
        read(folder, flavour="hot")


def test_only_the_known_dollars_are_replaced():
    scope = Scope(
        parameters={"a": "1", "ab": "2"}, targets=frozenset({"my-shop"}), address=lambda _: ["h:1", "h:2"]
    )
    assert scope.fill("$a $ab $$a $my-shop.address $my-shop.addresses; $a.b") == "1 2 $a h:1 h:1,h:2; 1.b"


def test_what_only_the_start_of_a_process_knows_is_left_for_it():
    scope = Scope(parameters={"a": "x$y"}, targets=frozenset({"shop"}), at_spawn=True)
    assert scope.fill("$port $index $shop.addresses $$ $a") == "$port $index $shop.addresses $$ x$$y"


def test_the_address_of_a_target_is_known_from_its_environment(folder: Path):
    spec = 'http: "http://$store.address/$$x"'
    scenario = read_part(folder, "process: shop, measure: rss", spec)
    assert scenario.indicators[0].url == "http://127.0.0.1:8901/$x"


def test_an_indicator_asks_by_a_path_of_any_letters(folder: Path):
    with answering({"/gr%C3%B6%C3%9Fe": {"n": 3}}) as server:
        url = f"http://{server.address}/größe"
        write(
            folder,
            f"load: {{locustfile: shoppers.py, stages: [{{rate: 1/s}}]}}\nindicators: {{n: {{http: '{url}', json: n}}}}\n",
        )
        [scenario] = read(folder)
        assert Getter(2.0).get(scenario.indicators[0].url)[:2] == (200, b'{"n": 3}')


# loads


def test_several_loads_have_names_and_models_of_their_own(folder: Path):
    start, end = DESIGN.index("load:\n"), DESIGN.index("warmup:")
    loads = """\
load:
  buyers: {locustfile: shoppers.py, stages: [{users: 5 → 10, for: 10s}, {users: 10}]}
  crawlers: {locustfile: shoppers.py, stages: [{rate: 600/min}], workers: 2, labels: {variant: header X-Version}}
"""
    write(folder, DESIGN[:start] + loads + DESIGN[end:])
    [scenario] = read(folder)
    buyers, crawlers = scenario.loads
    assert (buyers.name, buyers.model, buyers.stages[0].end) == ("buyers", "users", 10)
    assert [stage.name for stage in (*buyers.stages, *crawlers.stages)] == [
        "buyers-stage-1", "buyers-stage-2", "crawlers-stage-1",
    ]  # fmt: skip
    assert (crawlers.stages[0].end, crawlers.workers, crawlers.labels) == (
        10,
        2,
        {"variant": "header X-Version"},
    )


# times and picks


@pytest.mark.parametrize(
    ("text", "anchor"),
    [
        ("10s", Anchor(offset=10)),
        ("1m30s", Anchor(offset=90)),
        ("start of ramp + 2s", Anchor(base="start", name="ramp", offset=2)),
        ("end of ramp", Anchor(base="end", name="ramp")),
        ("end of slow-store+5s", Anchor(base="end", name="slow-store", offset=5)),
    ],
)
def test_a_moment_is_read(text: str, anchor: Anchor, folder: Path):
    assert read_part(folder, "at: end of slow-store + 5s", f"at: {text}").faults[2].at == anchor


@pytest.mark.parametrize(
    ("text", "pick"),
    [
        ("1", Pick(count=1, seed=7)),
        ("30%", Pick(share=0.3, seed=7)),
        ("all", Pick(seed=7)),
        ("[shop.0, shop.2]", Pick(names=("shop.0", "shop.2"), seed=7)),
    ],
)
def test_a_pick_is_read(text: str, pick: Pick, folder: Path):
    assert read_part(folder, "pick: 1, at: 0s", f"pick: {text}, seed: 7, at: 0s").faults[0].pick == pick


def test_a_fault_repeats(folder: Path):
    fault = read_part(folder, "at: 0s, for: 10s", "at: 0s, for: 10s, every: 2m, times: 3").faults[0]
    assert (fault.every, fault.times) == (120.0, 3)


def test_a_command_may_hurt_a_target_that_is_only_a_url(folder: Path):
    write(
        folder,
        "faults: {a: {kind: command, target: far, do: [a], undo: [b], for: 5s}}\n",
        "targets: {far: {url: http://x}}\n",
    )
    [scenario] = read(folder)
    assert (scenario.faults[0].fault.do, scenario.faults[0].fault.cwd) == (("a",), str(folder))


@pytest.mark.parametrize(
    ("written", "confidence"), [("", 0.95), ("confidence: 99%\n", 0.99), ("confidence: none\n", 0.0)]
)
def test_a_scenario_says_how_sure_its_findings_must_be(folder: Path, written: str, confidence: float):
    assert read_part(folder, "after: 15s\n", f"after: 15s\n{written}").confidence == confidence


# assertions


@pytest.mark.parametrize(
    ("text", "term", "rest"),
    [
        ("p95 < 150ms", Term(name="quantile", quantile=0.95, text="p95"), {"op": "<", "bound": Bound(value=0.15, text="150ms")}),
        ("p99.9 <= 2s", Term(name="quantile", quantile=0.999, text="p99.9"), {"op": "<=", "bound": Bound(value=2.0, text="2s")}),
        ("rps >= 50/s", Term(name="rps", text="rps"), {"op": ">=", "bound": Bound(value=50.0, text="50/s")}),
        ("in_flight < 10 over 5s for 1m", Term(name="in_flight", text="in_flight"), {"over": 5.0, "lasting": 60.0}),
        ("p95 < 80 ms over 5 s", Term(name="quantile", quantile=0.95, text="p95"), {"over": 5.0, "bound": Bound(value=0.08, text="80 ms")}),
        ("mean within 10% of before", Term(name="mean", text="mean"), {"within": 0.1, "confidence": None}),
        ("mean within 10% of before (confidence none)", Term(name="mean", text="mean"), {"within": 0.1, "confidence": 0.0}),
        ("rps > 5/s over 5s (confidence 99.5%)", Term(name="rps", text="rps"), {"over": 5.0, "confidence": 0.995}),
        ("no data{rss} for 5s", Term(name="rss", text="no data"), {"no_data": 5.0}),
        ("no data for 1m", Term(name="", text="no data"), {"no_data": 60.0}),
        ("rss < 256MiB", Term(name="rss", text="rss"), {"bound": Bound(value=256 * 1024**2, text="256MiB")}),
        ("p95 of checkout < 3s", Term(name="quantile", quantile=0.95, of="checkout", text="p95 of checkout"), {}),
    ],
)  # fmt: skip
def test_an_assertion_is_parsed(text: str, term: Term, rest: dict[str, object]):
    parsed = assertion(text)
    assert parsed.term == term
    assert parsed.text == text
    for name, value in rest.items():
        assert getattr(parsed, name) == value


@pytest.mark.parametrize(
    ("inside", "selector"),
    [
        ("GET /item", Selector(request="GET /item")),
        ("GET /orders/{id}", Selector(request="GET /orders/{id}")),
        ("GET *", Selector(request="GET *")),
        ("each GET *", Selector(request="GET *", each=True)),
        ("request=GET /item, code=500", Selector(request="GET /item", code="500")),
        ("GET /x?ids=1,2,3", Selector(request="GET /x?ids=1,2,3")),
        ("GET /{a,b}, load=buyers", Selector(request="GET /{a,b}", load="buyers")),
        ("error=ConnectionRefused*", Selector(error="ConnectionRefused*")),
        ("instance=shop.1", Selector(instance="shop.1")),
        ("variant=v2, POST /order", Selector(labels={"variant": "v2"}, request="POST /order")),
    ],
)
def test_a_selector_is_parsed(inside: str, selector: Selector):
    assert assertion(f"p95{{{inside}}} < 3s").term.selector == selector


def test_a_bound_may_be_relative():
    bound = assertion("p95{GET /a} < 1.1x p95{GET /b} over 5s").bound
    assert (bound.factor, bound.term.selector.request) == (1.1, "GET /b")
    assert assertion("p95 < 1.2x before").bound.term is None


@pytest.mark.parametrize(
    ("key", "when"),
    [
        ("always", When(kind="always", text="always")),
        ("before", When(kind="before", text="before")),
        ("after", When(kind="after", text="after")),
        ("during faults", When(kind="faults", text="during faults")),
        ("during kill-one", When(kind="during", name="kill-one", text="during kill-one")),
        ("after kill-one", When(kind="after_name", name="kill-one", text="after kill-one")),
    ],
)
def test_a_time_is_parsed(key: str, when: When):
    assert assertion("p95 < 3s", key).when == when


def test_a_mistake_in_an_assertion_names_section_and_time():
    with pytest.raises(
        Mistake, match=re.escape('x.yaml:7: expect[2].after: "p95 < 150": "150" has no unit; write 150ms')
    ):
        assertion("p95 < 150", "after", "expect[2]")


def test_a_comment_behind_a_whole_assertion_is_a_comment(folder: Path):
    assert (
        read_part(folder, "- error_rate < 1%", "- error_rate < 1%  # of all").steady_state[1].text
        == "error_rate < 1%"
    )


# environments


def test_an_environment_extends_another(folder: Path):
    (folder / "environments/staging.yaml").write_text(
        "extends: local\nparameters: {first: '9100'}\nlimits: {pick: 34%}\n"
        "targets: {store: {link: {listen: '127.0.0.1:$first', upstream: '127.0.0.1:8900'}}}\n"
    )
    environment = read_environment("staging", folder / "x.yaml")
    assert environment.name == "staging"
    assert list(environment.targets) == ["shop", "store"]
    assert environment.targets["store"].link == LinkSpec(listen="127.0.0.1:9100", upstream="127.0.0.1:8900")
    assert (environment.limits.pick, environment.limits.duration) == (0.34, 600.0)


def test_an_environment_overrides_and_adds_indicators(folder: Path):
    write(
        folder,
        DESIGN,
        LOCAL + "indicators: {cpu: {process: shop, measure: cpu}, files: {process: shop, measure: fds}}\n",
    )
    [scenario] = read(folder)
    assert {one.name: one.source for one in scenario.indicators} == {
        "rss": "process",
        "cpu": "process",
        "files": "process",
    }


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("{match: 'gunicorn.*shop'}", Found(match="gunicorn.*shop")),
        ("{pidfile: /run/shop.pid}", Found(pidfile="/run/shop.pid")),
        ("{port: 8080}", Found(port=8080)),
    ],
)
def test_processes_that_already_run_are_found(written: str, found: Found, folder: Path):
    write(folder, DESIGN, f"targets: {{a: {{processes: {written}}}}}\n")
    assert read_environment("local", folder / "x.yaml").targets["a"].found == found


def test_variables_are_kept_by_reference(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SHOP_KEY", "s3cret")
    write(folder, DESIGN, LOCAL + "variables: {API_KEY: {env: SHOP_KEY}}\n")
    environment = read_environment("local", folder / "x.yaml")
    assert environment.variables == {"API_KEY": "SHOP_KEY"}
    assert b"s3cret" not in msgspec.json.encode(environment)


def test_ports_may_be_auto(folder: Path):
    write(
        folder,
        DESIGN,
        "targets:\n  a: {processes: {command: [x], port: auto}}\n  b: {link: {listen: auto, upstream: $a.address}}\n",
    )
    targets = read_environment("local", folder / "x.yaml").targets
    assert targets["a"].managed is not None
    assert targets["a"].managed.port == "auto"
    assert targets["b"].link == LinkSpec(listen="127.0.0.1:0", upstream="$a.address")


def test_an_environment_may_be_named_by_its_path(folder: Path):
    assert read_environment(str(folder / "environments/local.yaml"), folder / "x.yaml").name == "local"


# documents


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(folder: Path):
    (folder / "x.yaml").write_bytes(b"\xef\xbb\xbf" + DESIGN.replace("\n", "\r\n").encode())
    [scenario] = read(folder)
    assert scenario.faults[1].place.line == DESIGN[: DESIGN.index("slow-store:")].count("\n") + 1


def test_every_key_knows_its_place():
    document = parse_document("a: 1\nb:\n  - c\n  - {d: e}\n", "f.yaml")
    key, node = document.entries["b"]
    assert (str(key.place), str(node.items[1].entries["d"][1].place)) == ("f.yaml:2", "f.yaml:4")
    assert node.items[1].entries["d"][1].place.column == 9


# schema


def _keys(kind: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def test_the_schema_knows_every_key_and_every_kind():
    made = json.loads(json.dumps(schema()))
    assert _keys(ScenarioShape) <= set(made["properties"])
    [faults] = [
        value for key, value in made["properties"]["faults"]["patternProperties"].items() if key != "^x-"
    ]
    kinds = {one["properties"]["kind"]["const"]: one for one in faults["oneOf"]}
    assert set(kinds) == set(KINDS)
    for word, kind in KINDS.items():
        assert set(kinds[word]["properties"]) == _keys(FaultShape) | _keys(kind)
    assert made["additionalProperties"] is False
    assert all(
        word in made["properties"]["expect"]["description"] for word in ("cost", "burn_rate{", "trend of")
    )
    [indicator] = [
        value for key, value in made["properties"]["indicators"]["patternProperties"].items() if key != "^x-"
    ]
    assert set(indicator["properties"]) == _keys(IndicatorShape)
    there = environment_schema()["properties"]
    assert there["price"]["description"] == "0.3264 USD/h"
    [objective] = [v for k, v in there["objectives"]["patternProperties"].items() if k != "^x-"]
    assert set(objective["properties"]) == _keys(ObjectiveShape)
    assert set(objective["required"]) == {"target", "over", "bad", "total"}
    assert _keys(LoadShape) == set(made["properties"]["load"]["anyOf"][0]["properties"])


def test_a_typo_in_any_key_is_answered_with_that_key(folder: Path):
    keys = re.findall(r"(?:^|[{,] ?)\s*([a-z_]+):", DESIGN, re.MULTILINE)
    known = set(keys) & (
        _keys(ScenarioShape) | _keys(LoadShape) | _keys(FaultShape) | {"delay", "jitter", "measure"}
    )
    known -= {"kind", "squall", "prometheus"}  # without its kind or source an entry cannot be read at all
    answered = 0
    for key in sorted(known):
        write(folder, re.sub(rf"\b{key}:", f"{key[:-1]}{key[-1] * 3}:", DESIGN, count=1))
        with pytest.raises(Mistake) as caught:
            read(folder)
        answered += f"did you mean {key}?" in str(caught.value)
    assert answered == len(known) >= 20


def test_one_knob_can_be_turned_without_touching_the_file(folder):
    path = folder / "x.yaml"
    here = read_environment("local", path)
    [turned] = read_scenario(path, here, {}, {"faults.slow-store.delay": "120ms"})
    [plain] = read_scenario(path, here, {})
    delays = [
        next(use.fault.delay for use in one.faults if use.name == "slow-store") for one in (plain, turned)
    ]
    assert delays == [0.08, 0.12]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("faults.slow-stor.delay", "slow-stor is no mapping here; did you mean slow-store?"),
        ("title.x", "title is no"),
    ],
)
def test_a_knob_that_is_not_there_is_a_mistake_with_its_place(folder, path, what):
    file = folder / "x.yaml"
    with pytest.raises(Mistake, match=re.escape(what)) as raised:
        read_scenario(file, read_environment("local", file), {}, {path: "1s"})
    assert raised.value.place.line > 0
