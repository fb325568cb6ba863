"""Who we are to a cluster: bearer tokens, fixed, from a file that changes, or from an exec plugin."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from runner import clock
from runner.errors import OperationFailed

REFRESHED = 60.0  # seconds after which a token file is read again: the kubelet rotates it
EARLY = 30.0  # seconds before its expiry that a token is replaced
PLUGIN = 20.0  # seconds that a plugin may take


class Token(Protocol):
    """What goes into the header Authorization; empty: nothing."""

    def header(self) -> str:
        """Return the value for now. Raises OperationFailed."""

    def certify(self, context: ssl.SSLContext) -> None:
        """Give TLS a client certificate, where this is one."""


class NoToken:
    """Nobody, or whoever the client certificate says."""

    def header(self) -> str:
        """Nothing."""
        return ""

    def certify(self, context: ssl.SSLContext) -> None:
        """Nothing."""


class FixedToken(NoToken):
    """A token as it is."""

    def __init__(self, value: str, scheme: str = "Bearer") -> None:
        self._header = f"{scheme} {_clean(value, 'the token of the kubeconfig')}"

    def header(self) -> str:
        """The same for ever."""
        return self._header


class FileToken(NoToken):
    """A token in a file that somebody renews. *home*: the folder of who named it."""

    def __init__(self, path: Path, home: Path) -> None:
        self._path, self._home = path, home
        self._read, self._value = -REFRESHED, ""

    @property
    def elsewhere(self) -> str:
        """The file, where it lies outside of *home*, to which a link may lead; else empty."""
        file = self._path.resolve()
        return "" if file.is_relative_to(self._home.resolve()) else str(file)

    def header(self) -> str:
        """Read it again from time to time; where it cannot be read, what was read last serves on."""
        if clock.now() >= self._read + REFRESHED:
            try:
                read = self._path.read_text(encoding="utf-8", errors="replace")
                self._value = _clean(read, f"the token in {self._path}")
            except OSError as error:
                if not self._value:
                    raise OperationFailed(
                        f"the token in {self._path} cannot be read: {error.strerror}"
                    ) from error
            self._read = clock.now()
        return f"Bearer {self._value}"


_BY_HAND = "run it by hand to see why, or correct `exec` in the kubeconfig"


class ExecPlugin(NoToken):
    """A program of the kubeconfig that gives a credential until it expires."""

    def __init__(self, plugin: Mapping[str, Any], folder: Path, facts: Mapping[str, Any]) -> None:
        self._plugin, self._facts = plugin, facts
        self.command = str(plugin.get("command", ""))
        if "/" in self.command:  # relative to its kubeconfig, as kubectl has it
            self.command = str(folder / Path(self.command))
        self._name = f"the exec plugin {plugin.get('command')}"
        self._status: dict[str, Any] = {}
        self._until = 0.0

    def header(self) -> str:
        """Run it where its last credential is about to expire."""
        token = self._fresh().get("token")
        return f"Bearer {_clean(str(token), f'the token of {self._name}')}" if token else ""

    def certify(self, context: ssl.SSLContext) -> None:
        """Use the client certificate that it gave."""
        status = self._fresh()
        if status.get("clientCertificateData"):
            from runner.remote.kubeconfig import present  # noqa: PLC0415 - kubeconfig is made of tokens

            try:
                present(context, status["clientCertificateData"], status["clientKeyData"])
            except (OSError, KeyError, ValueError) as error:
                raise OperationFailed(
                    f"{self._name} gave no client certificate and key that can be used"
                ) from error

    def _fresh(self) -> dict[str, Any]:
        if not self._status or time.time() >= self._until - EARLY:
            try:
                self._status = self._run()
                self._until = _expiry(self._status.get("expirationTimestamp"))
            except OperationFailed:
                if not self._status:
                    raise  # else the last one may still do
        return self._status

    def _run(self) -> dict[str, Any]:
        argv = [self.command, *map(str, self._plugin.get("args") or ())]
        extra = {str(each["name"]): str(each["value"]) for each in self._plugin.get("env") or ()}
        version = self._plugin.get("apiVersion", "client.authentication.k8s.io/v1")
        spec: dict[str, Any] = {"interactive": False}
        if self._plugin.get("provideClusterInfo"):
            spec["cluster"] = dict(self._facts)
        asked = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
        env = {**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
        try:
            done = subprocess.run(
                argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PLUGIN, check=True
            )
            return dict(json.loads(done.stdout)["status"])
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()
            raise OperationFailed(
                f"the exec plugin {self.command} exited with {error.returncode}"
                + (f": {said[-1]}" if said else " and said nothing"),
                _BY_HAND,
            ) from error
        except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
            raise OperationFailed(
                f"the exec plugin {self.command} gave no credential: {error}", _BY_HAND
            ) from error


def _clean(token: str, whose: str) -> str:
    """Take the white space around it away; what no header may hold is refused, and never shown."""
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise OperationFailed(f"{whose} holds a line break or a character that no token has; write it again")
    return token


def _expiry(stamp: str | None) -> float:
    """Unix time; a credential without an expiry lasts."""
    if not stamp:
        return float("inf")
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return time.time()
