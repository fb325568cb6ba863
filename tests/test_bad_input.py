"""Every mistake in a file is one line with file, line, key and remedy; nothing else ever comes out of the reader."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.cli.verbs import squall
from runner.errors import Mistake, Refused
from runner.language import read_environment, read_scenario

SCENARIO = """\
squall: 1
title: The shop keeps its promise
owner: sre@example.com
hypothesis: >
  Killing one of three fails few requests.
tags: [gameday, shop]
parameters: {rate: 60/s}
load:
  locustfile: shoppers.py
  classes: [Shopper]
  target: shop
  stages:
    - {name: ramp, rate: 20/s -> $rate, for: 5s}
    - {name: steady, rate: $rate}
  labels: {variant: header X-Version}
warmup: 5s
before: 10s
after: 15s
faults:
  kill-one: {kind: kill, target: shop, pick: 1, at: 0s, for: 10s}
  slow-store: {kind: latency, target: store, delay: 80ms, jitter: 20ms, at: end of kill-one + 10s, for: 10s}
  busy: {kind: cpu, target: shop, pick: 1, limit: 20%, at: end of slow-store + 5s, for: 10s}
indicators:
  rss: {process: shop, measure: rss}
  queue: {http: "http://$shop.address/metrics", json: depth, every: 2s}
  right: {command: [python, check.py], counts: valid}
steady_state:
  - p95 < 150ms
  - error_rate < 1%
expect:
  - during kill-one: error_rate < 2%
  - after kill-one: recovery < 10s
  - during slow-store:
      - p95 < 250ms
      - error_rate{POST /order} < 3% over 5s
  - during busy: p95{each GET *} < 300ms
  - after: p95 < 1.2x before
  - always: rss < 256MiB
  - always: trend of rss < 1MiB/min
  - always: [mean of queue < 5, right > 99%]
halt:
  - error_rate > 20%
  - p99 > 2s for 5s
"""

ENVIRONMENT = """\
targets:
  shop:
    url: http://127.0.0.1:8800
    processes:
      command: [python, -m, shop, --port, $port, --store, $store.address]
      count: 3
      port: 8800
      ready: {http: /healthz, within: 10s}
  store:
    link: {listen: 127.0.0.1:8901, upstream: 127.0.0.1:8900}
  partner:
    url: https://partner.example
  other:
    processes: {match: gunicorn}
  boxes:
    docker: {label: app=web, host: unix:///run/engine.sock}
  pods:
    kubernetes: {context: staging, namespace: web, workload: deployment/web}
  way:
    link: {from: boxes, to: $pods, port: 80}
helper: {image: 'squall:1', lease: 5s}
limits: {pick: 50%, concurrent_faults: 2, duration: 10m}
variables: {API_KEY: {env: SHOP_KEY}}
connections: {prom: {url: "http://127.0.0.1:9090", token: {env: PROM_TOKEN}}}
"""


@dataclass(frozen=True)
class Bad:
    """*new* stands for *old* in the good file; the line of `@@` (removed) is where the message must point."""

    old: str
    new: str
    words: tuple[str, ...]
    environment: bool = False

    def text(self) -> tuple[str, int]:
        good = ENVIRONMENT if self.environment else SCENARIO
        assert good.count(self.old) == 1, f"{self.old!r} is not once in the good file"
        text = good.replace(self.old, self.new) if self.old else self.new
        assert text.count("@@") == 1, "one @@ marks the line"
        line = text[: text.index("@@")].count("\n") + 1
        return text.replace("@@", ""), line


def in_scenario(old: str, new: str, *words: str) -> Bad:
    return Bad(old, new, words)


def in_environment(old: str, new: str, *words: str) -> Bad:
    return Bad(old, new, words, environment=True)


BAD = {
    # YAML itself
    "a tab in front": in_scenario("  target: shop\n", "@@\ttarget: shop\n", "a tab", "spaces"),
    "a tab after a colon": in_scenario("warmup: 5s", "@@warmup:\t5s", "a tab"),
    "a key twice": in_scenario("before: 10s", "before: 10s\n@@before: 12s", "before", "given twice", "first in line 17"),
    "a nested key twice": in_scenario("at: 0s, for: 10s", "at: 0s,@@ at: 3s, for: 10s", "at", "given twice"),
    "a merge key": in_scenario("{kind: kill,", "@@{<<: {for: 3s}, kind: kill,", "merge keys"),
    "a tag": in_scenario("owner: sre", "owner: @@!!str sre", "tag", "not allowed"),
    "a python tag": in_scenario("owner: sre@example.com", "owner: @@!!python/object/apply:os.system [ls]", "tag", "not allowed"),
    "a second document": in_scenario("halt:\n", "@@---\nhalt:\n", "second document"),
    "an alias to nothing": in_scenario("owner: sre@example.com", "owner: @@*boss", "*boss", "quote"),
    "an anchor twice": in_scenario("[gameday, shop]", "[&a gameday, @@&a shop]", "&a", "twice"),
    "a bracket never closed": in_scenario("[gameday, shop]", "@@[gameday, shop", "not YAML"),
    "a quote never closed": in_scenario("owner: sre@example.com", 'owner: @@"sre', "not YAML", "closes only in line 25"),
    "a list as a key": in_scenario("owner: sre@example.com", "@@? [a, b]\n: c", "a key is a plain word"),
    "a control character": in_scenario("owner: sre", "owner: @@\x01sre", "control character"),
    "an unknown directive": in_scenario("squall: 1\n", "@@%foo\nsquall: 1\n", "not YAML"),
    # assertions that YAML takes for something else
    "an assertion that begins with >": in_scenario("  - p99 > 2s for 5s", "  @@- > 3s", "quote the whole line"),
    "an assertion that begins with *": in_scenario("  - p99 > 2s for 5s", "  - @@*foo < 3s", "*foo", "quote the whole line"),
    "an assertion that begins with a quote": in_scenario("  - p99 > 2s for 5s", '  @@- "x" < 3', "quote the whole line"),
    "an assertion that begins with `": in_scenario("  - p99 > 2s for 5s", "  @@- `x` < 3", "quote the whole line"),
    "an assertion that begins with @": in_scenario("- p99 > 2s for 5s", "- @x < 3@@", "quote the whole line"),
    "an assertion that begins with %": in_scenario("- p99 > 2s for 5s", "- %foo < 3@@", "quote the whole line"),
    "an assertion with a colon": in_scenario("  - p95 < 150ms", "  - @@error_rate{GET: x} < 1%", "quote the whole line"),
    "an expectation with a colon": in_scenario(
        "  - always: rss < 256MiB", "  @@- always: error_rate{GET: x} < 1%", "quote the whole line"
    ),
    "an assertion cut by #": in_scenario("  - p95 < 150ms", "  @@- p95 # < 150ms", "comment", "quote the whole line"),
    "a request cut by #": in_scenario("  - p95 < 150ms", "  @@- p95{GET /a #top} < 150ms", "comment", "quote the whole line"),
    "an assertion with an anchor": in_scenario("  - p95 < 150ms", "  @@- &p p95 < 150ms", "&p", "anchor", "quote the whole line"),
    # keys
    "an unknown key": in_scenario("before: 10s", "@@befor: 10s", "befor: unknown key; did you mean before?"),
    "an unknown key of a load": in_scenario("  classes:", "  @@clases:", "load.clases: unknown key; did you mean classes?"),
    "an unknown key of a stage": in_scenario("{name: steady,", "@@{nam: steady,", "load.stages[1].nam", "did you mean name?"),
    "an unknown knob": in_scenario("jitter: 20ms", "@@jiter: 20ms", "faults.slow-store.jiter: unknown key; did you mean jitter?"),
    "an unknown key of a fault": in_scenario("pick: 1, at: 0s", "@@picks: 1, at: 0s", "faults.kill-one.picks", "did you mean pick?"),
    "an unknown key of an indicator": in_scenario("measure: rss", "@@mesure: rss", "did you mean measure?"),
    "a reserved key": in_scenario("tags: [", "@@schedule: nightly\ntags: [", "schedule", "later version"),
    "a later language": in_scenario("squall: 1", "@@squall: 2", "version 2"),
    "an empty value": in_scenario("owner: sre@example.com", "@@owner:", "owner: is empty"),
    "a missing locustfile key": in_scenario("  locustfile: shoppers.py\n", "  @@x-none: 1\n", "lacks `locustfile`"),
    "a mapping where text belongs": in_scenario("title: The shop keeps its promise", "title: @@{a: b}", "single value"),
    "text where a mapping belongs": in_scenario("  rss: {process: shop, measure: rss}", "  rss: @@shop", "indicators.rss", "mapping"),
    "a list where text belongs": in_scenario("limit: 20%", "limit: @@[20%]", "faults.busy.limit", "single value"),
    "text where a list belongs": in_scenario("tags: [gameday, shop]", "tags: @@gameday shop", "write [gameday, shop]"),
    # values and units
    "a bare delay": in_scenario("delay: 80ms", "@@delay: 80", 'faults.slow-store.delay: "80" has no unit; write 80ms'),
    "a bare duration": in_scenario("warmup: 5s", "@@warmup: 5", 'warmup: "5" has no unit; write 5s'),
    "a bare share": in_scenario("limit: 20%", "@@limit: 0.2", '"0.2" has no unit; write 20%'),
    "a duration for a share": in_scenario("limit: 20%", "@@limit: 20ms", '"20ms" is not a share'),
    "500m": in_scenario("delay: 80ms", "@@delay: 500m", "500ms"),
    "seconds spelled out": in_scenario("warmup: 5s", "@@warmup: 5 seconds", "write 5s"),
    "a decimal comma": in_scenario("warmup: 5s", "@@warmup: '1,5s'", "write 1.5s"),
    "a time of day": in_scenario("warmup: 5s", "@@warmup: 1:30", '"1:30" is not a duration'),
    "a negative duration": in_scenario("warmup: 5s", "@@warmup: -5s", '"-5s" is not a duration'),
    "4,300 digits": in_scenario("warmup: 5s", f"@@warmup: {'9' * 4300}s", "is not a duration"),
    "a bare rate": in_scenario("{name: steady, rate: $rate}", "@@{name: steady, rate: 60}", '"60" has no unit; write 60/s'),
    "a bare rate in a parameter": in_scenario(
        "{rate: 60/s}\nload:\n  locustfile: shoppers.py\n  classes: [Shopper]\n  target: shop\n  stages:\n    - {",
        "{rate: 60}\nload:\n  locustfile: shoppers.py\n  classes: [Shopper]\n  target: shop\n  stages:\n    @@- {",
        '"60" has no unit; write 60/s',
        "$rate",
    ),
    "rps": in_scenario("{name: steady, rate: $rate}", "@@{name: steady, rate: 60 rps}", "write 60/s"),
    "a knob out of range": in_scenario("limit: 20%", "@@limit: 120%", "faults.busy", "limit", "less than 100%"),
    "a knob out of range, on a line of its own": in_scenario(
        "  busy: {kind: cpu, target: shop, pick: 1, limit: 20%, at: end of slow-store + 5s, for: 10s}",
        "  busy:\n    kind: cpu\n    target: shop\n    @@limit: 120%\n    for: 10s",
        "faults.busy.limit",
        "less than 100%",
    ),
    "a word out of a choice": in_scenario("kind: kill,", "@@kind: kill, restart: sometimes,", '"sometimes" is not one of always, never'),
    "an outcome nobody knows": in_scenario("tags: [", "@@outcome: green\ntags: [", '"green" is not one of passed'),
    # substitution
    "an undeclared parameter": in_scenario("{name: steady, rate: $rate}", "@@{name: steady, rate: $rat}", "$rat is not declared", "did you mean rate?"),
    "a lone dollar": in_scenario("title: The shop", "@@title: The $ shop", "write $$"),
    "braces around a parameter": in_scenario("title: The shop", "@@title: The ${rate} shop", "$name"),
    "$port in a scenario": in_scenario("title: The shop", "@@title: The $port shop", "$port", "command"),
    "the address of an unknown target": in_scenario("$shop.address", "@@$shp.address", "$shp.address", "did you mean shop?"),
    "a parameter with a bad name": in_scenario("{rate: 60/s}", "{rate: 60/s,@@ a-b: 3}", '"a-b" cannot be a parameter'),
    "an empty sweep": in_scenario("{rate: 60/s}", "@@{rate: []}", "empty list"),
    # load
    "a locustfile with a NUL": in_scenario("locustfile: shoppers.py", '@@locustfile: "a\\0b"', "no usable path"),
    "a locustfile with a long name": in_scenario("locustfile: shoppers.py", f"@@locustfile: {'a' * 300}", "no usable path"),
    "a folder as a locustfile": in_scenario("locustfile: shoppers.py", "@@locustfile: environments", "is not a file"),
    "no time for the steady state": in_scenario("before: 10s", "@@before: 0s", "measures nothing"),
    "a parameter that explodes": in_scenario(
        "title: The shop keeps its promise", f"title: @@'{'$rate' * 20000}'", "would grow beyond"
    ),
    "no such locustfile": in_scenario("locustfile: shoppers.py", "@@locustfile: shopers.py", "shopers.py does not exist", "did you mean shoppers.py?"),
    "a load on an unknown target": in_scenario("  target: shop\n", "  @@target: shp\n", "no target shp", "did you mean shop?"),
    "a load on a target without a url": in_scenario("  target: shop\n", "  @@target: store\n", "no url", "shop"),
    "a stage without an end": in_scenario("-> $rate, for: 5s}", "-> $rate}@@", "lacks `for`"),
    "two models": in_scenario("{name: steady, rate: $rate}", "@@{name: steady, users: 5}", "one load has one model"),
    "both models at once": in_scenario("{name: steady, rate: $rate}", "@@{name: steady, rate: 5/s, users: 5}", "exactly one of"),
    "an endless ramp": in_scenario("{name: steady, rate: $rate}", "@@{name: steady, rate: 5/s -> 9/s}", "ramps without `for`"),
    "half a user": in_scenario(
        "    - {name: ramp, rate: 20/s -> $rate, for: 5s}\n    - {name: steady, rate: $rate}",
        "    - @@{name: ramp, users: 2.5}",
        "whole number",
    ),
    "no stage at all": in_scenario(
        "  stages:\n    - {name: ramp, rate: 20/s -> $rate, for: 5s}\n    - {name: steady, rate: $rate}",
        "  stages: @@[]",
        "at least one",
    ),
    "a label from nowhere": in_scenario("header X-Version", "@@cookie v", "write header X-Version"),
    "two stages of one name": in_scenario("{name: steady,", "@@{name: ramp,", "load.stages[1]", "two stages are called ramp"),
    "too many workers": in_scenario("  classes: [", "  @@workers: 65\n  classes: [", "1 to 64"),
    # faults
    "an unknown kind": in_scenario("kind: latency,", "@@kind: latencyy,", "no fault is of the kind latencyy", "did you mean latency?"),
    "no kind": in_scenario("{kind: kill, target", "@@{target", "lacks `kind`"),
    "an unknown target": in_scenario("target: store,", "@@target: stor,", "faults.slow-store.target: no target stor", "did you mean store?"),
    "a link fault on processes": in_scenario("target: store,", "@@target: shop,", "latency needs a link", "targets that can have it: store"),
    "a process fault on a link": in_scenario("kind: kill, target: shop,", "@@kind: kill, target: store,", "kill needs containers or pods or processes", "a link"),
    "a fault on a url": in_scenario("kind: kill, target: shop,", "@@kind: kill, target: partner,", "only a url"),
    "no for": in_scenario("limit: 20%, at: end of slow-store + 5s, for: 10s", "@@limit: 20%, at: end of slow-store + 5s", "lacks `for`"),
    "a fault without length": in_scenario("limit: 20%, at: end of slow-store + 5s, for: 10s", "@@limit: 20%, for: 0s", "0s is no fault"),
    "an anchor to nobody": in_scenario("end of kill-one + 10s", "@@end of kil-one + 10s", "no fault or stage is called kil-one", "did you mean kill-one?"),
    "an anchor in circles": in_scenario(
        "at: 0s, for: 10s}\n  slow-store", "@@at: end of busy, for: 10s}\n  slow-store", "goes in circles", "kill-one → busy → slow-store → kill-one"
    ),
    "an anchor to itself": in_scenario("end of kill-one + 10s", "@@end of slow-store", "goes in circles"),
    "an anchor without a side": in_scenario("end of kill-one + 10s", "@@kill-one + 10s", "end of kill-one"),
    "an anchor backwards": in_scenario("end of kill-one + 10s", "@@end of kill-one - 10s", "only + is possible"),
    "an anchor to an endless stage": in_scenario("end of kill-one + 10s", "@@end of steady", "lasts until the run ends"),
    "a fault named as a stage": in_scenario("  kill-one: {", "@@  ramp: {kind: kill, target: shop}\n  kill-one: {", "a stage has that name"),
    "a fault with a bad name": in_scenario("  kill-one: {", "@@  kill one: {kind: kill, target: shop}\n  kill-one: {", "is no name for a fault"),
    "a fault named faults": in_scenario("  kill-one: {", "@@  faults: {kind: kill, target: shop}\n  kill-one: {", "cannot be called faults"),
    "pick nobody": in_scenario("pick: 1, at: 0s", "@@pick: 0, at: 0s", "0 picks nobody"),
    "pick too many": in_scenario("pick: 1, at: 0s", "@@pick: 4, at: 0s", "target shop has 3"),
    "pick an unknown instance": in_scenario("pick: 1, at: 0s", "@@pick: [shop.3], at: 0s", "no instance shop.3"),
    "pick a word": in_scenario("pick: 1, at: 0s", "@@pick: some, at: 0s", "write 1, 30%, all"),
    "pick over all": in_scenario("pick: 1, at: 0s", "@@pick: 130%, at: 0s", "at most 100%"),
    "repeats without every": in_scenario("pick: 1, at: 0s", "@@times: 3, at: 0s", "write every"),
    "repeats without times": in_scenario("pick: 1, at: 0s", "@@every: 30s, at: 0s", "write times"),
    "repeats before it ended": in_scenario("pick: 1, at: 0s", "@@every: 3s, times: 2, at: 0s", "before it has ended"),
    # assertions
    "half an assertion": in_scenario("  - p95 < 150ms", "  @@- p95 <", "the bound is missing"),
    "no comparison": in_scenario("  - p95 < 150ms", "  @@- p95 150ms", "150ms stands where"),
    "a single =": in_scenario("  - p95 < 150ms", "  @@- p95 = 150ms", "write =="),
    "a bound without unit": in_scenario("  - p95 < 150ms", "  @@- p95 < 150", '"150" has no unit; write 150ms'),
    "a bare recovery": in_scenario("- after kill-one: recovery < 10s", "@@- after kill-one: recovery < 5", '"5" has no unit; write 5s'),
    "a bare window": in_scenario("  - p95 < 150ms", "  @@- p95 < 150ms over 10", '"10" has no unit; write 10s'),
    "a bound of another kind": in_scenario("  - p95 < 150ms", "  @@- p95 < 15%", '"15%" is not a duration'),
    "a share in seconds": in_scenario("  - error_rate < 1%", "  @@- error_rate < 1s", '"1s" is not a share'),
    "a bound 256Mi": in_scenario("rss < 256MiB", "@@rss < 256Mi", "256MiB"),
    "a size in percent": in_scenario("rss < 256MiB", "@@rss < 10%", '"10%" is not a size'),
    "an unknown indicator": in_scenario("  - p95 < 150ms", "  @@- p59x < 150ms", "no indicator is called p59x"),
    "an indicator misspelled": in_scenario("  - error_rate < 1%", "  @@- eror_rate < 1%", "did you mean error_rate?"),
    "an expectation about an unknown fault": in_scenario("during busy:", "@@during bussy:", "no fault or stage is called bussy", "did you mean busy?"),
    "an unknown time": in_scenario("- after: p95", "- @@afterwards: p95", "is no time", "did you mean after?"),
    "an expectation without a time": in_scenario("  - always: rss < 256MiB", "  @@- rss < 256MiB", "says no time", "always: rss < 256MiB"),
    "recovery without a fault": in_scenario("- after: p95 < 1.2x before", "@@- after: recovery < 5s", "known after a fault only"),
    "recovery in a halt": in_scenario("  - p99 > 2s for 5s", "  @@- recovery > 2s", "known after a fault only"),
    "recovery without a steady state": in_scenario(
        "steady_state:\n  - p95 < 150ms\n  - error_rate < 1%\nexpect:\n  - during kill-one: error_rate < 2%\n  - after",
        "expect:\n  - during kill-one: error_rate < 2%\n  @@- after",
        "needs a steady_state",
    ),
    "before compared with itself": in_scenario("  - p95 < 150ms", "  @@- p95 < 1.2x before", "compares `before` with itself"),
    "a brace never closed": in_scenario("p95{each GET *} < 300ms", "@@p95{each GET * < 300ms", "never closed"),
    "empty braces": in_scenario("p95{each GET *}", "@@p95{}", "braces are empty"),
    "each without a pattern": in_scenario("p95{each GET *}", "@@p95{each}", "each needs a pattern"),
    "an undeclared label": in_scenario("p95{each GET *}", "@@p95{varaint=b}", "varaint=", "did you mean variant?"),
    "a request of a process": in_scenario("rss < 256MiB", "@@rss{GET /x} < 256MiB", "not measured by request"),
    "a term of another kind": in_scenario("p95 < 1.2x before", "@@p95 < 1.2x rps", "compares a duration with a rate"),
    "a bound without a factor": in_scenario("p95 < 1.2x before", "@@p95 < before", "needs a factor"),
    "too much": in_scenario("  - p99 > 2s for 5s", "  @@- p99 > 2s for 5s twice", "left over"),
    "a window without length": in_scenario("  - p99 > 2s for 5s", "  @@- p99 > 2s over 0s", "over is zero"),
    "a certainty": in_scenario("  - p99 > 2s for 5s", "  @@- p99 > 2s (confidence 100%)", "not between 0% and 100%", "95%"),
    "no certainty": in_scenario("  - p99 > 2s for 5s", "  @@- p99 > 2s (confidence 0%)", "not between 0% and 100%", "none"),
    "confidence without a unit": in_scenario("  - p99 > 2s for 5s", "  @@- p99 > 2s (confidence 99)", "has no unit; write 99%"),
    "confidence twice": in_scenario(
        "  - p99 > 2s for 5s", "  @@- p99 > 2s (confidence 99%) (confidence none)", "confidence is given twice"
    ),
    "confidence in what": in_scenario("  - p99 > 2s for 5s", "  @@- p99 > 2s (confidence high)", "confidence: ", "high"),
    "confidence of a scenario": in_scenario("before: 10s", "before: 10s\nconfidence: @@1.5", "confidence: ", "no unit"),
    "early by points": in_scenario(
        "before: 10s", "before: 10s\nconfidence: none\n@@stop_when_decided: true", "stop_when_decided: ", "by points alone"
    ),
    "early perhaps": in_scenario("before: 10s", "before: 10s\nstop_when_decided: @@perhaps", "stop_when_decided: "),
    "confidence of a certain scenario": in_scenario("before: 10s", "before: 10s\nconfidence: @@100%", "95%, 99% or none"),
    "no data of nobody": in_scenario("  - p99 > 2s for 5s", "  @@- no data{cpu} for 5s", "no indicator is called cpu"),
    "no data for how long": in_scenario("  - p99 > 2s for 5s", "  @@- no data", "no data for 5s"),
    "no data outside halt": in_scenario("  - p95 < 150ms", "  @@- no data for 5s", "belongs under halt"),
    # indicators
    "an indicator of nobody": in_scenario("{process: shop, measure", "@@{process: shp, measure", "no target shp", "did you mean shop?"),
    "an indicator of a link": in_scenario("{process: shop, measure", "@@{process: store, measure", "no processes"),
    "an indicator without a source": in_scenario("{process: shop, measure: rss}", "@@{every: 3s}", "no source"),
    "an indicator with two sources": in_scenario("{process: shop, measure", "@@{process: shop, command: [a], measure", "two sources"),
    "an indicator without a connection": in_scenario(
        "  rss: {process: shop, measure: rss}", "@@  rss: {prometheus: up, unit: bytes}", "connections"
    ),
    "both parts of a ratio": in_scenario("{process: shop, measure: rss}", "@@{bad: a, valid: b, total: c}", "`bad` and `valid`; one of them says the other"),
    "a total of nothing": in_scenario("json: depth", "total: depth@@", "has a total of nothing", "`valid` and `total`"),
    "a part of no total": in_scenario("json: depth", "valid: depth@@", "has `valid` without `total`"),
    "a total of a process": in_scenario("{process: shop, measure: rss}", "{process: shop, measure: rss, @@total: a}", "total: belongs to `valid`, not to `process`"),
    "a ratio in bytes": in_scenario("counts: valid", "counts: valid, @@unit: bytes", "unit: is always share here"),
    "what a url counts": in_scenario("json: depth", "json: depth, @@counts: valid", "counts: belongs to `command`, not to `http`"),
    "what nobody counts": in_scenario("counts: valid", "@@counts: good", '"good" is not one of valid, bad'),
    "a folder that is not there": in_scenario("counts: valid", "counts: valid, @@cwd: nowhere", "right.cwd: nowhere is no folder"),
    "the folder of a url": in_scenario("json: depth", "json: depth, @@cwd: .", "cwd: belongs to `command`"),
    "an unknown measure": in_scenario("measure: rss", "@@measure: leak", '"leak" is not one of'),
    "what is available of processes": in_scenario("  rss: {process: shop, measure: rss}", "@@  rss: {process: shop, measure: available}", "target shop is no pods"),
    "the open files of containers": in_scenario("  rss: {process: shop, measure: rss}", "@@  rss: {process: boxes, measure: fds}", "neither engines nor kubelets tell the fds of boxes", "threads"),
    "an indicator named trend": in_scenario("  rss: {", "@@  trend: {command: [a]}\n  rss: {", "trend is a word of the language"),
    "an indicator named cost": in_scenario("  rss: {", "@@  cost: {command: [a]}\n  rss: {", "cost is a word of the language"),
    "a trend of nothing": in_scenario("  - always: trend of rss < 1MiB/min", "  @@- always: trend < 1MiB/min", "write trend of NAME"),
    "a trend of nobody": in_scenario("  - always: trend of rss < 1MiB/min", "  @@- always: trend of rs < 1MiB/min", "no indicator is called rs", "did you mean rss?"),
    "a trend that is a size": in_scenario("  - always: trend of rss < 1MiB/min", "  @@- always: trend of rss < 1MiB", '"1MiB" is no change in time; write it like 256MiB/min'),
    "a trend of another kind": in_scenario("  - always: trend of rss < 1MiB/min", "  @@- always: trend of rss < 1%/min", '"1%/min" is no change in time; write it like 256MiB/min'),
    "a trend in a bare number": in_scenario("  - always: trend of rss < 1MiB/min", "  @@- always: trend of rss < 3", '"3" has no unit; write 3MiB/min'),
    "a trend in windows": in_scenario("  - always: trend of rss < 1MiB/min", "  @@- always: trend of rss < 1MiB/min over 30s", "trend is of a whole window"),
    "a trend that halts": in_scenario("  - p99 > 2s for 5s", "  @@- trend of rss > 1MiB/min", "known when a window is over; write it under expect"),
    "a trend of a ratio": in_scenario("right > 99%", "trend of right < 1%/min@@", "right is a ratio of sums already; write right alone"),
    "a mean of a ratio": in_scenario("right > 99%", "mean of right > 99%@@", "right is a ratio of sums already"),
    "a mean of which samples": in_scenario("  - p99 > 2s for 5s", "  @@- mean of rss > 1GiB", "of the samples of how long? add `over`"),
    "a limit that is the mean of which samples": in_scenario("  - p99 > 2s for 5s", "  @@- rss > 2x mean of rss", "of the samples of how long?"),
    "a mean of requests": in_scenario("mean of queue < 5", "'mean of queue{GET /} < 5'@@", "not measured by request"),
    "a cost without a price": in_scenario("  - always: trend of rss < 1MiB/min", "  @@- always: cost < 1 USD", "nobody says what this costs; write price: 0.3264 USD/h in"),
    "a cost without a currency": in_scenario("  - always: trend of rss < 1MiB/min", "  @@- always: cost < 1", '"1" has no unit; write 1 USD'),
    "a burn rate of no objective": in_scenario("  - p99 > 2s for 5s", "  @@- burn_rate{checkout} > 14.4", "no objective is called checkout in"),
    "half a ratio": in_scenario("{process: shop, measure: rss}", "@@{bad: a}", "without `total`"),
    "an indicator with a known name": in_scenario("  rss: {", "@@  rps: {command: [a]}\n  rss: {", "rps is a word of the language"),
    "a url without a scheme": in_scenario('"http://$shop.address/metrics"', '@@"$shop.address/metrics"', "is no url"),
    "an unknown unit": in_scenario("json: depth", "@@json: depth, unit: furlongs", "furlongs"),
    "a password in a url": in_scenario('"http://$shop.address/', '@@"http://me:secret@$shop.address/', "token: {env: NAME}"),
    # environments
    "an unknown key of an environment": in_environment("limits: {", "@@limit: {", "limit: unknown key; did you mean limits?"),
    "an unknown key of a target": in_environment("      count: 3", "      @@cuont: 3", "targets.shop.processes.cuont", "did you mean count?"),
    "an unknown name in a command": in_environment("$port", "@@$prot", "$prot is not declared", "did you mean port?"),
    "an unknown target in a command": in_environment("$store.address", "@@$stroe.address", "no such target", "did you mean store?"),
    "an address of a target in a url beside it": in_environment("url: https://partner.example", "@@url: 'http://$store.address'", "$store.address may stand under processes", "write host:port here"),
    "an unknown target in a url": in_environment("url: https://partner.example", "@@url: 'http://$stroe.address'", "no such target", "did you mean store?"),
    # containers, pods and what lies between
    "docker without a selection": in_environment("    url: https://partner.example", "    docker: @@{host: 'tcp://10.0.0.1:2376'}", "docker: does not say which containers", "name, label and compose"),
    "docker selected twice": in_environment("    url: https://partner.example", "    docker: {name: web-1, @@label: app=shop}", "docker.label: says name and label"),
    "a container's name": in_environment("    url: https://partner.example", "    docker: @@{name: -web}", "docker.name: -web is no name of a container"),
    "a label with a blank": in_environment("    url: https://partner.example", "    docker: @@{label: app = shop}", "is no label; write key or key=value"),
    "an engine by ssh": in_environment("    url: https://partner.example", "    docker: @@{name: a, host: 'ssh://me@host'}", "does not speak", "unix:///tmp/engine.sock"),
    "an engine without a port": in_environment("    url: https://partner.example", "    docker: @@{name: a, host: 'tcp://host'}", "is no engine; write unix:///var/run/docker.sock or tcp://host:2376"),
    "certificates of no host": in_environment("    url: https://partner.example", "    docker: @@{name: a, certificates: .}", "certificates: belong to a `host`"),
    "certificates that are not there": in_environment("    url: https://partner.example", "    docker: @@{name: a, host: 'tcp://h:1', certificates: .}", "has no ca.pem"),
    "a service of nothing": in_environment("    url: https://partner.example", "    docker: @@{name: a, service: api}", "service: is a service of nothing; write compose"),
    "no compose file": in_environment("    url: https://partner.example", "    docker: @@{compose: compose.yaml}", "compose.yaml is no compose file"),
    "a project's name": in_environment("    url: https://partner.example", "    docker: @@{compose: Shop!}", "neither a compose file nor the name of a project"),
    "an unknown key of docker": in_environment("    url: https://partner.example", "    docker: {@@nam: web-1}", "docker.nam: unknown key; did you mean name?"),
    "kubernetes without a selection": in_environment("    url: https://partner.example", "    kubernetes: @@{namespace: shop}", "kubernetes: does not say which pods", "selector, workload and nodes"),
    "kubernetes selected twice": in_environment("    url: https://partner.example", "    kubernetes: {selector: app=a, @@nodes: a=b}", "nodes: says selector and nodes"),
    "a namespace's name": in_environment("    url: https://partner.example", "    kubernetes: @@{selector: a=b, namespace: Shop_1}", "Shop_1 is no name of a namespace"),
    "a workload's kind": in_environment("    url: https://partner.example", "    kubernetes: @@{workload: job/web}", "is no workload; write deployment/NAME"),
    "a namespace of nodes": in_environment("    url: https://partner.example", "    kubernetes: {nodes: pool=web, @@namespace: shop}", "nodes have no namespace"),
    "a container of nodes": in_environment("    url: https://partner.example", "    kubernetes: {nodes: pool=web, @@container: web}", "nodes have no container"),
    "a kubeconfig that is not there": in_environment("    url: https://partner.example", "    kubernetes: @@{selector: a=b, kubeconfig: nowhere}", "nowhere is no file"),
    "an unknown key of kubernetes": in_environment("    url: https://partner.example", "    kubernetes: {@@selektor: a=b}", "did you mean selector?"),
    "a link from nowhere": in_environment(
        "    link: {listen: 127.0.0.1:8901, upstream: 127.0.0.1:8900}", "    link: @@{from: shopp, to: db, port: 1}", "link.from: no target shopp", "did you mean shop?"
    ),
    "a link from processes": in_environment(
        "    link: {listen: 127.0.0.1:8901, upstream: 127.0.0.1:8900}", "    link: @@{from: shop, to: db, port: 1}", "shop is neither containers nor pods", "{listen, upstream}"
    ),
    "a link to a url's path": in_environment(
        "    link: {listen: 127.0.0.1:8901, upstream: 127.0.0.1:8900}", "    link: @@{from: shop, to: 'http://db/x', port: 1}", "is no host; write a name, an IP address, or $TARGET"
    ),
    "a link to no port": in_environment(
        "    link: {listen: 127.0.0.1:8901, upstream: 127.0.0.1:8900}", "    link: @@{from: shop, to: db, port: 70000}", "port 70000 is not possible"
    ),
    "a link without its end": in_environment(
        "    link: {listen: 127.0.0.1:8901, upstream: 127.0.0.1:8900}", "    link: @@{from: shop, port: 5432}", "link: lacks `to`"
    ),
    "a helper's image": in_environment("helper: {image: 'squall:1', lease: 5s}", "helper: @@{image: 'squall local'}", "is no image; write NAME:TAG"),
    "a helper's namespace": in_environment("helper: {image: 'squall:1', lease: 5s}", "helper: @@{namespace: Squall_1}", "is no name that a cluster takes"),
    "a lease that ends before a beat": in_environment("helper: {image: 'squall:1', lease: 5s}", "helper: @@{lease: 200ms}", "0.2s is no lease; write 1s to 60s"),
    "an unknown key of the helper": in_environment("helper: {image: 'squall:1', lease: 5s}", "helper: {@@imge: a}", "did you mean image?"),
    "a limit that leaves nothing ready": in_environment("limits: {pick: 50%, concurrent_faults: 2, duration: 10m}", "limits: @@{ready: 0}", "0 asks for nothing"),
    "follow without pods": in_scenario("{kind: kill, target: shop, pick: 1,", "{kind: kill, target: shop, @@follow: true, pick: 1,", "follow: only pods come by themselves"),
    "a link without a port": in_environment("upstream: 127.0.0.1:8900", "@@upstream: 127.0.0.1", "host:port"),
    "a link to itself": in_environment("upstream: 127.0.0.1:8900", "@@upstream: 127.0.0.1:8901", "the link itself"),
    "one port for two": in_environment("  store:\n    link: {listen: 127.0.0.1:8901", "@@  store:\n    link: {listen: 127.0.0.1:8802", "port 8802 is taken by shop"),
    "a target that says nothing": in_environment("    processes: {match: gunicorn}", "    @@x-a: b", "says nothing"),
    "neither started nor found": in_environment("{match: gunicorn}", "@@{count: 3}", "lacks `command`"),
    "found twice": in_environment("{match: gunicorn}", "@@{match: gunicorn, port: 80}", "more than one"),
    "a bad pattern": in_environment("{match: gunicorn}", "@@{match: '('}", "no regular expression"),
    "a path that no request carries": in_environment("http: /healthz", "http: @@/gesünd", "write /ges%C3%BCnd there"),
    "a ready url beyond": in_environment("http: /healthz", "http: @@http://127.0.0.1:99999/", "is no url"),
    "a port beyond": in_environment("      port: 8800", "      @@port: 65535", "not possible"),
    "a secret in a file": in_environment("{API_KEY: {env: SHOP_KEY}}", "@@{API_KEY: s3cret}", "mapping"),
    "a connection without a url": in_environment('{url: "http://127.0.0.1:9090", token', "@@{token", "lacks `url`"),
    "a limit over all": in_environment("{pick: 50%,", "@@{pick: 150%,", "at most 100%"),
    "a bare limit": in_environment("duration: 10m", "@@duration: 10", '"10" has no unit'),
    "extends nobody": in_environment("limits: {", "extends: @@staging\nlimits: {", "no environment staging"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments/local.yaml").write_text(ENVIRONMENT)
    (tmp_path / "shoppers.py").write_text("class Shopper: pass\n")
    (tmp_path / "good.yaml").write_text(SCENARIO)
    return tmp_path


def read(folder: Path, name: str = "good.yaml"):
    environment = read_environment("local", folder / name)
    return read_scenario(folder / name, environment, {})


def test_the_good_file_is_good(folder: Path):
    [scenario] = read(folder)
    assert [fault.name for fault in scenario.faults] == ["kill-one", "slow-store", "busy"]


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named_with_its_line_and_remedy(name: str, folder: Path):
    bad = BAD[name]
    text, line = bad.text()
    file = folder / ("environments/local.yaml" if bad.environment else "good.yaml")
    file.write_text(text)
    with pytest.raises(Mistake) as caught:
        read(folder)
    message = str(caught.value)
    assert message.startswith(f"{file}:{line}: "), message
    for word in bad.words:
        assert word in message
    assert "\n" not in message
    assert len(message) < 500 + len(str(file))


def test_there_are_enough_kinds_of_mistakes():
    assert len(BAD) >= 60


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"- a\n- b\n", "holds a list"),
        (b"just text\n", "holds a single value"),
        (b"title: caf\xe9\n", "not UTF-8"),
        (b"a: b\n" * 2_000_000, "larger than 1 MiB"),
        (b"a: " + b"[" * 100_000, "nested more than 50 deep"),
        (b"a: " + b"{a: " * 100_000, "nested more than 50 deep"),
        (b"- " * 100_000, "nested more than 50 deep"),
        (b"a: [" + b"1, " * 20_000 + b"]", "more than 10,000 nodes"),
        (b"a: &a [" + b"x, " * 9 + b"]\n" + b"".join(
            b"%c: &%c [" % (c, c) + b", ".join([b"*%c" % (c - 1)] * 9) + b"]\n" for c in range(ord("b"), ord("z"))
        ), "more than 10,000 nodes"),
        (b"a: &a [*a]\n", "*a refers to nothing"),
        (b"\x00\x00", "control character"),
        (b"\xff\xfe" + "title: x".encode("utf-16-le"), "not UTF-8"),
        (b"x-only: 1\n", "nothing to run"),
        (b"title: nothing\n", "nothing to run"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_file_that_is_no_scenario_is_refused_in_one_line(data: bytes, words: str, folder: Path):
    (folder / "good.yaml").write_bytes(data)
    with pytest.raises(Mistake, match=re.escape(words)) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder / 'good.yaml'}:")


@pytest.mark.parametrize("name", ["nowhere.yaml", "environments", "\x00", "a" * 300 + ".yaml"])
def test_a_file_that_cannot_be_read_is_refused(name: str, folder: Path):
    environment = read_environment("local", folder / "good.yaml")
    with pytest.raises(Refused):
        read_scenario(folder / name, environment, {})


@pytest.mark.parametrize("name", ["locl", "", "./nowhere.yaml", "environments", "../..", "\x00"])
def test_an_environment_that_does_not_exist_is_refused(name: str, folder: Path):
    with pytest.raises(Refused) as caught:
        read_environment(name, folder / "good.yaml")
    assert "\n" not in str(caught.value)


def test_the_nearest_environment_is_proposed(folder: Path):
    with pytest.raises(Refused, match="did you mean local"):
        read_environment("locl", folder / "good.yaml")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rte": "80/s"}, "did you mean rate"),
        ({"rate": ""}, "a value is empty"),
        ({"rate": "1/s,,2/s"}, "a value is empty"),
        ({"rate": "1/s,1/s"}, "given twice"),
        ({"rate": "80"}, '"80" has no unit; write 80/s (from 20/s -> $rate)'),
        ({"rate": ",".join(f"{n}/s" for n in range(1, 102))}, "at most 100"),
    ],
)
def test_a_bad_setting_is_refused(settings: dict[str, str], words: str, folder: Path):
    environment = read_environment("local", folder / "good.yaml")
    with pytest.raises(Refused, match=re.escape(words)):
        read_scenario(folder / "good.yaml", environment, settings)


def test_environments_that_extend_in_circles_are_refused(folder: Path):
    (folder / "environments/a.yaml").write_text("extends: b\n")
    (folder / "environments/b.yaml").write_text("extends: a\n")
    with pytest.raises(Mistake, match="goes in circles"):
        read_environment("a", folder / "good.yaml")


_PIECES = st.sampled_from(
    [*"\t\n -:{}[],&*!#|>%@`'\"$\\?0aé\x00\x85\u2028", "<<: ", "$rate", "$$", "${", "*a", "&a ", "!!str ", "---\n", ": ", " #", "p95{", "}", " < ",
     "before", "1.2x ", "within ", "9" * 30, "no data", "each ", "end of ", "[[[[", "\ud7ff", "true", "null", "~", "- ", "{a: b}", "[]", "x-"]
)  # fmt: skip
_EDIT = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 12), _PIECES)


@given(st.lists(_EDIT, min_size=1, max_size=4), st.booleans())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_mutation_of_a_good_file_raises_anything_but_a_refusal(
    folder: Path, edits: list[tuple[float, int, str]], in_environment: bool
):
    text = ENVIRONMENT if in_environment else SCENARIO
    for at, removed, piece in edits:
        position = int(at * len(text))
        text = text[:position] + piece + text[position + removed :]
    (folder / "environments/local.yaml").write_text(text if in_environment else ENVIRONMENT, encoding="utf-8")
    (folder / "good.yaml").write_text(SCENARIO if in_environment else text, encoding="utf-8")
    try:
        scenarios = read(folder)
    except Refused as refused:
        # most mutations are refused, a few are still good: this is no pytest.raises
        assert "\n" not in str(refused)  # noqa: PT017
        assert refused.__cause__ is None, "a defect that only the last door caught"  # noqa: PT017
        return
    for scenario in scenarios:
        msgspec.json.encode(scenario)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_raise_anything_but_a_refusal(folder: Path, data: bytes):
    (folder / "good.yaml").write_bytes(data)
    with pytest.raises(Refused):
        read(folder)


def test_past_runs_are_listed_of_a_folder_that_is_there_and_of_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")

    def listed(*words: str) -> str:
        return CliRunner().invoke(squall, ["list", *words], catch_exceptions=False).output

    assert listed() == "no runs in reports\n"  # nothing ran here yet
    assert listed("--report", "empty") == "no runs in empty\n"
    for name, what in (("nope", "does not exist"), ("file", "is no folder")):
        with pytest.raises(Refused, match=f"--report {name}: {what}; name the folder"):
            listed("--report", name)
