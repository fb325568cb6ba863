"""A locustfile, loaded as Locust itself does it: its classes, its host, its listeners."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import locust
from locust.argument_parser import get_parser
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment
from locust.user.users import HttpUser
from locust.util.load_locustfile import load_locustfile

from runner.load.naming import MAX_TEXT
from runner.load.orders import Prepare
from runner.load.worker_journey import endless


class UnloadableError(Exception):
    """The locustfile cannot make this load; the message is the one line that its owner sees."""


def load(order: Prepare) -> Environment:
    """Import the locustfile and make its Locust environment with a local runner; nothing runs yet."""
    before = set(sys.modules)
    sys.argv = ["locust", "--headless", "-f", order.locustfile]
    classes = _import(order.locustfile)
    chosen = [_class_of(classes, name, order) for name in order.classes or classes]
    for user_class in chosen:
        _check(user_class, order)
    arguments = ["--headless", "-f", order.locustfile, *(["--host", order.host] if order.host else [])]
    environment = Environment(
        user_classes=chosen,
        events=locust.events,  # what the locustfile's decorators listen to; one environment in this process's life
        host=order.host,
        locustfile=Path(order.locustfile).name,
        parsed_options=get_parser(default_config_files=[]).parse_args(arguments),
    )
    environment.create_local_runner()
    for user_class in chosen:
        user_class.host = order.host or user_class.host
    if not _reads_statistics(set(sys.modules) - before):
        _detach_statistics(environment)
    environment.events.init.fire(environment=environment, runner=environment.runner, web_ui=None)
    return environment


def _import(path: str) -> dict[str, Any]:
    try:
        classes, _shapes = load_locustfile(path)  # the scenario's stages take the place of a shape
    except BaseException as error:  # SystemExit too: a file that exits at import is refused in its own words
        raise UnloadableError(f"{_place(error, path)}: {_words(error)}; mend the locustfile") from error
    if not classes:
        raise UnloadableError(
            f"{path}: no User class in it; add a class of HttpUser or FastHttpUser with a @task"
        )
    return dict(classes)


def _class_of(classes: dict[str, Any], name: str, order: Prepare) -> Any:
    if name in classes:
        return classes[name]
    raise UnloadableError(f"{order.locustfile}: no User class {name}; it has {', '.join(classes)}")


def _check(user_class: Any, order: Prepare) -> None:
    where = f"{order.locustfile}: class {user_class.__name__}"
    if not user_class.tasks:
        raise UnloadableError(f"{where} has no task; decorate a method with @task")
    if issubclass(user_class, (HttpUser, FastHttpUser)) and not (order.host or user_class.host):
        raise UnloadableError(
            f"{where} has no host; give load {order.load} a target with a url, or the class a host"
        )
    if order.model == "rate" and (name := endless(user_class)):
        raise UnloadableError(
            f"{where}: {name} is a MarkovTaskSet, which never ends, so one arrival of it has no meaning; "
            f"use `users` instead of `rate` for load {order.load}"
        )


def _place(error: BaseException, path: str) -> str:
    """Say where in the locustfile it went wrong: the innermost line of the file, or the line that cannot be parsed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno or 1}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path


def _words(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(text.split())[: 2 * MAX_TEXT]}".rstrip(": ")


def _reads_statistics(modules: set[str]) -> bool:
    """Whether the locustfile, or a module of its own, or a Locust plugin may look at Locust's statistics."""
    foreign = (sys.prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    for name in modules:
        file = getattr(sys.modules.get(name), "__file__", None) or ""
        if name.startswith("locust_"):
            return True
        if (
            file.endswith(".py")
            and not file.startswith(foreign)
            and "stats" in Path(file).read_text("utf-8", "replace")
        ):
            return True
    return False


def _detach_statistics(environment: Environment) -> None:
    """Locust's own counting costs as much as ours; nobody would read it."""
    handlers = environment.events.request._handlers  # noqa: SLF001  # the runner keeps no reference to its listener
    handlers[:] = [
        one for one in handlers if getattr(one, "__qualname__", "") != "Runner.__init__.<locals>.on_request"
    ]
