"""What the keys of a scenario file and of an environment file are: the types that both the reader and the schema follow."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from runner.language.written import Written
from runner.units import Duration, Share


class Holds(msgspec.Struct, frozen=True, eq=False):
    """What a part holds that is read by its own reader: a *kind* for the schema, or a *schema* as it is."""

    kind: Any = None
    schema: dict[str, Any] | None = None


_NAME = "^[A-Za-z_][A-Za-z0-9_-]*$"
_LINES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_WHEN = "^(always|before|after|during .+|after .+|x-.*)$"
_EXPECT = {"type": "object", "patternProperties": {_WHEN: _LINES}, "additionalProperties": False}

Level = Annotated[
    Written, Holds(schema={"type": ["string", "integer"]}), Meta(description="X, or X -> Y for a ramp")
]
Moment = Annotated[
    Written,
    Holds(schema={"type": "string", "examples": ["10s", "start of NAME + 5s", "end of NAME"]}),
    Meta(description="an offset from t = 0, or `start of NAME + DUR`, `end of NAME + DUR`"),
]
Assertions = Annotated[Written, Holds(schema=_LINES)]
Confidence = Annotated[
    Written,
    Holds(schema={"type": "string", "examples": ["95%", "none"]}),
    Meta(description="how sure a finding must be, 95% without it; none: by points alone, without intervals"),
]


class StageShape(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of a load: `rate` is the open model, `users` the closed one."""

    name: str = ""
    rate: Level | None = None
    users: Level | None = None
    for_: Annotated[Duration, Meta(description="only the last stage may lack it")] | None = field(
        name="for", default=None
    )


class LoadShape(msgspec.Struct, frozen=True, kw_only=True):
    """A plain locustfile and how hard it drives."""

    locustfile: Annotated[str, Meta(description="relative to this file")]
    classes: Annotated[tuple[str, ...], Meta(description="user classes; without it, all of the file")] = ()
    target: Annotated[str, Meta(description="its url is the host")] = ""
    stages: tuple[StageShape, ...]
    labels: dict[str, Annotated[str, Meta(pattern="^header [A-Za-z0-9-]+$")]] = {}
    scale: Annotated[Share, Meta(description="all stages at this share of what they say")] = 1.0
    workers: Annotated[int, Meta(ge=1, le=64)] = 1


class FaultShape(msgspec.Struct, frozen=True, kw_only=True):
    """What every fault says beside the knobs of its kind."""

    kind: str
    target: str
    pick: Annotated[
        Written,
        Holds(schema={"anyOf": [{"type": ["string", "integer"]}, {"type": "array", "items": {"type": "string"}}]}),
        Meta(description="how many of the target's instances: 1, 30%, all, [shop.0, shop.2]"),
    ] | None = None  # fmt: skip
    seed: Annotated[int, Meta(description="the same seed picks the same instances")] = 0
    at: Moment | None = None
    for_: Duration | None = field(name="for", default=None)
    every: Annotated[Duration, Meta(description="from start to start")] | None = None
    times: Annotated[int, Meta(ge=1, le=1000)] = 1
    follow: Annotated[bool, Meta(description="pods that appear while it lasts are hurt too")] = False


class IndicatorShape(msgspec.Struct, frozen=True, kw_only=True):
    """One measure beside those of the load; exactly one source."""

    prometheus: Annotated[str, Meta(description="a PromQL query")] = ""
    bad: Annotated[str, Meta(description="PromQL, or of http a path; with `total` a ratio")] = ""
    valid: Annotated[str, Meta(description="instead of bad")] = ""
    total: str = ""
    histogram: Annotated[str, Meta(description="PromQL of buckets; then `p95 of NAME`")] = ""
    http: Annotated[str, Meta(description="a url that answers JSON")] = ""
    json: Annotated[str, Meta(description="of http: the path to the number, `queue.depth`")] = ""
    command: Annotated[tuple[str, ...], Meta(description="argv; prints a number")] = ()
    counts: Annotated[
        Literal["", "valid", "bad"],
        Meta(description="of a command: it prints `VALID TOTAL` (or `BAD TOTAL`)"),
    ] = ""
    cwd: Annotated[str, Meta(description="of a command; else this file's folder")] = ""
    process: Annotated[str, Meta(description="a target whose processes are measured")] = ""
    measure: Annotated[
        Literal["", "rss", "cpu", "threads", "fds", "restarts", "available"],
        Meta(description="available: of pods' workloads, the share of replicas that can be used"),
    ] = ""
    every: Duration = 1.0
    unit: Literal["", "seconds", "bytes", "share", "count"] = ""


class ArmsShape(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides in one run."""

    baseline: Annotated[str, Meta(description="a selector: version=v1, or load=NAME")]
    variant: str
    share: Annotated[Share, Meta(description="the variant's planned share of the requests")] | None = None


class CompareShape(msgspec.Struct, frozen=True, kw_only=True):
    """What a variant may cost its users, and how that is found out."""

    margins: Annotated[
        Written,
        Holds(schema={"type": "object", "additionalProperties": {"type": ["string", "number"]}}),
        Meta(description="TERM: 10% (so much higher), -5% (lower), ±10%, or a difference: 20ms"),
    ]
    pairs: Annotated[int, Meta(ge=2, le=500)] = 12
    when: Annotated[str, Meta(description="during faults, always, during NAME …")] = ""
    seed: Annotated[int, Meta(description="of the order within the pairs")] = 0
    prices: Annotated[Written, Holds(schema={"type": "object"})] | None = None
    arms: ArmsShape | None = None
    segment: Annotated[Duration, Meta(description="of arms")] | None = None


class ScenarioShape(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a scenario file."""

    squall: Annotated[int, Meta(description="language version", ge=1, le=1)] = 1
    title: str = ""
    owner: str = ""
    hypothesis: str = ""
    tags: tuple[str, ...] = ()
    parameters: (
        Annotated[Written, Holds(schema={"type": "object"}), Meta(description="a list is a sweep")] | None
    ) = None
    load: Annotated[Written, Holds(LoadShape | dict[str, LoadShape])] | None = None
    warmup: Annotated[Duration, Meta(description="the load runs, nothing is judged yet")] = 0.0
    before: Annotated[Duration, Meta(description="steady state is measured; its end is t = 0")] = 10.0
    after: Annotated[Duration, Meta(description="steady state is measured again after the last undo")] = 10.0
    faults: Annotated[Written, Holds(schema={"type": "object"})] | None = None
    indicators: Annotated[Written, Holds(dict[str, IndicatorShape])] | None = None
    steady_state: Assertions | None = None
    expect: Annotated[Written, Holds(schema={"type": "array", "items": _EXPECT})] | None = None
    halt: Assertions | None = None
    compare: Annotated[Written, Holds(CompareShape)] | None = None
    confidence: Confidence | None = None
    stop_when_decided: Annotated[
        bool,
        Meta(
            description="a fault, and the time after, ends as soon as all that is asked about it is decided"
        ),
    ] = False
    outcome: Annotated[
        Literal["passed", "halted", "failed", "inconclusive"], Meta(description="what a test of it expects")
    ] = "passed"


RESERVED = ("schedule", "approvals", "environments", "runbook")


class FromVariable(msgspec.Struct, frozen=True, kw_only=True):
    """A value by reference: the environment variable it is taken from."""

    env: str


class ConnectionShape(msgspec.Struct, frozen=True, kw_only=True):
    """Where a metrics source answers."""

    url: str
    token: FromVariable | None = None


class LimitsShape(msgspec.Struct, frozen=True, kw_only=True):
    """The blast radius allowed."""

    pick: Share | None = None
    concurrent_faults: int | None = None
    duration: Duration | None = None
    ready: Annotated[int, Meta(description="ready instances of a target that must remain")] | None = None


class HelperShape(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted beside containers and pods to hurt and heal them there."""

    image: Annotated[str, Meta(description="has Python, Squall, tc and nft; is there already")] = ""
    namespace: str = "squall"
    service_account: Annotated[str, Meta(description="undoes what only the cluster's API can undo")] = ""
    lease: Annotated[Duration, Meta(description="unheard for so long, a helper undoes by itself")] = 5.0


class ReadyShape(msgspec.Struct, frozen=True, kw_only=True):
    """When a managed process counts as started."""

    http: str = ""
    tcp: bool = False
    within: Duration = 10.0


class ManagedShape(msgspec.Struct, frozen=True, kw_only=True):
    """Processes that the run starts and stops."""

    command: tuple[str, ...]
    count: int = 1
    port: Literal["auto"] | int | None = None
    cwd: str = ""
    env: dict[str, str] = {}
    ready: ReadyShape = ReadyShape()


class FoundShape(msgspec.Struct, frozen=True, kw_only=True):
    """Processes that already run: exactly one of the three."""

    match: str = ""
    pidfile: str = ""
    port: int | None = None


class LinkShape(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP proxy of ours."""

    listen: str
    upstream: str


class WireShape(msgspec.Struct, frozen=True, kw_only=True):
    """The way from every instance of a docker or kubernetes target to a host or a target, by its port."""

    from_: Annotated[str, Meta(description="a target of docker or kubernetes")] = field(name="from")
    to: Annotated[Written, Holds(schema={"type": "string"}), Meta(description="a host, an IP, or $TARGET")]
    port: Annotated[int, Meta(ge=1, le=65535)]


class DockerShape(msgspec.Struct, frozen=True, kw_only=True):
    """Running containers of an engine: exactly one of name, label and compose."""

    name: str = ""
    label: Annotated[str, Meta(description="key or key=value")] = ""
    compose: Annotated[str, Meta(description="a compose file, or the name of a project")] = ""
    service: Annotated[str, Meta(description="of compose; without it, all of the project")] = ""
    host: Annotated[
        str, Meta(description="unix:///… or tcp://…; else DOCKER_HOST, else the local socket")
    ] = ""
    certificates: Annotated[str, Meta(description="folder of ca.pem, cert.pem and key.pem")] = ""


class KubernetesShape(msgspec.Struct, frozen=True, kw_only=True):
    """Running pods or nodes of a cluster: exactly one of selector, workload and nodes."""

    context: str = ""
    kubeconfig: Annotated[str, Meta(description="else KUBECONFIG, ~/.kube/config, or in-cluster")] = ""
    namespace: Annotated[str, Meta(description="else the context's, or default")] = ""
    selector: Annotated[str, Meta(description="a label selector, as kubectl takes it")] = ""
    workload: Annotated[str, Meta(description="deployment/web, statefulset/…, daemonset/…")] = ""
    nodes: Annotated[str, Meta(description="a label selector of nodes; * for all")] = ""
    container: Annotated[str, Meta(description="of a pod with several; else the first")] = ""


class TargetShape(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of instances, or a link, or only a url."""

    url: str = ""
    processes: Annotated[Written, Holds(ManagedShape | FoundShape)] | None = None
    link: Annotated[Written, Holds(LinkShape | WireShape)] | None = None
    docker: Annotated[Written, Holds(DockerShape)] | None = None
    kubernetes: Annotated[Written, Holds(KubernetesShape)] | None = None


class ObjectiveShape(msgspec.Struct, frozen=True, kw_only=True):
    """A promise that holds beyond any one run; `budget{NAME}` and `burn_rate{NAME}` measure what a run costs of it."""

    target: Annotated[Share, Meta(description="the share of good events")]
    over: Annotated[Duration, Meta(description="the time that the target is promised for")]
    bad: Annotated[str, Meta(description="PromQL of counters, not of rates or sums; of any number of series")]
    total: Annotated[str, Meta(description="PromQL of counters, as bad")]
    every: Annotated[Duration, Meta(description="at least as long as the scrape interval")] = 1.0


class EnvironmentShape(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of an environment file."""

    extends: str = ""
    parameters: Annotated[Written, Holds(schema={"type": "object"})] | None = None
    variables: dict[str, FromVariable] = {}
    connections: dict[str, ConnectionShape] = {}
    indicators: Annotated[Written, Holds(dict[str, IndicatorShape])] | None = None
    limits: LimitsShape = LimitsShape()
    helper: HelperShape = HelperShape()
    targets: Annotated[Written, Holds(dict[str, TargetShape])] | None = None
    objectives: Annotated[Written, Holds(dict[str, ObjectiveShape])] | None = None
    price: Annotated[str, Meta(description="0.3264 USD/h")] = ""
