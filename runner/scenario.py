"""A scenario and its environment as frozen values: what was asked for, typed and placed."""

from __future__ import annotations

from typing import Literal

import msgspec

from runner.assertions import Assertion
from runner.comparison import Compare
from runner.errors import Place
from runner.faults import AnyFault
from runner.places import Cluster, Engine


class Anchor(msgspec.Struct, frozen=True):
    """A moment: *offset* seconds after t = 0, or after the start or end of a fault or stage."""

    base: Literal["zero", "start", "end"] = "zero"
    name: str = ""
    offset: float = 0.0


class Pick(msgspec.Struct, frozen=True):
    """Which instances of the target: a count, a share (at least one), all, or named ones."""

    count: int | None = None
    share: float | None = None
    names: tuple[str, ...] = ()
    seed: int = 0

    @property
    def everything(self) -> bool:
        return self.count is None and self.share is None and not self.names


class FaultUse(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `faults`: what, on whom, when."""

    name: str
    fault: AnyFault  # the kind's own record, its knobs only
    target: str
    pick: Pick = Pick()
    at: Anchor = Anchor()
    duration: float  # `for`, seconds; of a kill, how long `during` looks
    every: float | None = None  # seconds from start to start
    times: int = 1
    follow: bool = False  # new instances that appear while it lasts are hurt too
    place: Place


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of a load; the level goes linearly from *start* to *end*."""

    name: str
    start: float  # users, or arrivals per second
    end: float
    duration: float | None = None  # seconds; None only for the last: until the run ends


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One Locust load profile. model: `rate` is open, `users` is closed."""

    name: str
    locustfile: str  # absolute path
    classes: tuple[str, ...] = ()  # empty: all
    target: str | None = None  # its url is the host
    host: str | None = None  # filled by the plan from the target's url
    model: Literal["rate", "users"]
    stages: tuple[Stage, ...]
    labels: dict[str, str] = {}  # label -> "header X-Version"
    workers: int = 1
    place: Place


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """A measure beside those of the load, read every *every* seconds.

    source: prometheus (query), http (url and JSON path in *query*), command (argv),
    process (target and measure: rss, cpu, …). A ratio has *bad* or *valid* and *total*, queries or JSON paths, or is
    what a command *counts* of a total; a distribution has *histogram* (then the other query is empty). *counters*:
    bad and total only ever grow, and a sample holds what came since the one before.
    """

    name: str
    source: Literal["prometheus", "http", "command", "process"]
    query: str = ""  # PromQL; or the JSON path of http
    bad: str = ""
    valid: str = ""
    total: str = ""
    histogram: str = ""
    counters: bool = False
    counts: Literal["", "bad", "valid"] = ""
    url: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""  # absolute
    target: str = ""
    measure: str = ""
    every: float = 1.0
    unit: str = ""  # seconds | bytes | share | count
    place: Place

    @property
    def is_ratio(self) -> bool:
        """Whether it is a share of a total."""
        return bool(self.total) or bool(self.counts)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One run's worth of a scenario file: parameters substituted, sweeps unrolled."""

    path: str  # absolute
    name: str  # the file's stem, with the sweep value appended: first_steps[rate=80/s]
    title: str
    owner: str = ""
    hypothesis: str = ""
    tags: tuple[str, ...] = ()
    parameters: dict[str, str] = {}
    loads: tuple[Load, ...] = ()
    warmup: float = 0.0
    before: float = 10.0
    after: float = 10.0
    faults: tuple[FaultUse, ...] = ()
    indicators: tuple[Indicator, ...] = ()
    steady_state: tuple[Assertion, ...] = ()
    expect: tuple[Assertion, ...] = ()
    halt: tuple[Assertion, ...] = ()
    compare: Compare | None = None
    confidence: float = 0.95  # of findings that say none of their own; 0: by points alone
    stop_when_decided: bool = False  # faults and the time after end as soon as all about them is decided
    outcome: str = "passed"  # what pytest expects: passed, halted, failed, inconclusive


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """When a managed process counts as started: *http* path answers < 500, or *tcp* port accepts."""

    http: str = ""  # path on the process's own port, or a whole url
    tcp: bool = False
    within: float = 10.0


class Managed(msgspec.Struct, frozen=True, kw_only=True):
    """Processes that the run starts and stops: *count* of *command*, `$port`, `$index` still to fill."""

    command: tuple[str, ...]
    count: int = 1
    port: int | Literal["auto"] | None = None  # first port; instance i listens on port + i
    cwd: str = ""  # absolute
    env: dict[str, str] = {}
    ready: Ready = Ready()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Processes that already run, found by exactly one of the three."""

    match: str = ""  # regular expression on the command line
    pidfile: str = ""
    port: int | None = None  # whoever listens there


class LinkSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP proxy of ours: *listen* and *upstream* are host:port; port 0 is `auto`."""

    listen: str
    upstream: str


class Containers(msgspec.Struct, frozen=True, kw_only=True):
    """Containers of a Docker engine, found by exactly one of *name*, *label* and *project* with *service*."""

    engine: Engine
    name: str = ""
    label: str = ""  # key or key=value
    project: str = ""  # of compose
    service: str = ""  # of compose; empty: all of the project


class Pods(msgspec.Struct, frozen=True, kw_only=True):
    """Pods of a cluster by *selector* or *workload* (`deployment/web`); or *nodes* by a label selector (`*`: all)."""

    cluster: Cluster
    namespace: str = ""
    selector: str = ""
    workload: str = ""
    nodes: str = ""
    container: str = ""  # of a pod with several; empty: the first


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """The way from every instance of a target to *to* (a host, an IP, or `$TARGET`) and *port*."""

    source: str
    to: str
    port: int


class TargetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of instances, or a link, or only a url."""

    name: str
    url: str = ""
    managed: Managed | None = None
    found: Found | None = None
    link: LinkSpec | None = None
    docker: Containers | None = None
    kubernetes: Pods | None = None
    wire: Wire | None = None
    place: Place


class Helper(msgspec.Struct, frozen=True, kw_only=True):
    """The helpers that Squall posts beside containers and pods: what they are made of, where, how long unheard."""

    image: str = ""
    namespace: str = "squall"
    service_account: str = ""  # of the reverter, for what only the cluster's API can undo
    lease: float = 5.0  # seconds
    place: Place | None = None  # of the image


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The blast radius allowed in an environment. pick: share of a target's instances.

    *ready*: how many ready instances of a target must remain while a fault lasts.
    """

    pick: float | None = None
    concurrent_faults: int | None = None
    duration: float | None = None
    ready: int | None = None


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a metrics source; *token_env* names the variable that holds the bearer token."""

    url: str
    token_env: str = ""


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """A promise of the environment: of all events in *over* seconds, the share *target* is good.

    *bad* and *total* are PromQL of cumulative counters, of as many series as there are: their growth is added up.
    """

    target: float
    over: float
    bad: str
    total: str
    every: float = 1.0
    place: Place


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment costs: *value* of *currency* (USD) an hour."""

    value: float
    currency: str


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Where a scenario runs."""

    name: str
    path: str
    targets: dict[str, TargetSpec]
    limits: Limits = Limits()
    helper: Helper = Helper()
    variables: dict[
        str, str
    ] = {}  # name -> name of the environment variable it is taken from; never the value
    connections: dict[str, Connection] = {}
    indicators: tuple[Indicator, ...] = ()  # override those of the scenario by name
    objectives: dict[str, Objective] = {}
    price: Price | None = None
    parameters: dict[str, str] = {}
