"""The programs by which kubeconfigs log in: a plan lists them, and runs none that a stranger's environment could bring.

Nor does it send a file of the user's to a server that a stranger names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from runner.errors import OperationFailed, Refused
from runner.language import usual_kubeconfig
from runner.places import Cluster
from runner.remote.kubeconfig import access_of
from runner.remote.tokens import ExecPlugin, FileToken, Token
from runner.scenario import Environment
from runner.targets.names import where


def logins(environment: Environment) -> Iterator[str]:
    """List the programs, one line for each cluster that has one."""
    clusters = {spec.kubernetes.cluster for spec in environment.targets.values() if spec.kubernetes}
    tokens = {(each.kubeconfig, _token(each)) for each in clusters}
    programs = {(named, token.command) for named, token in tokens if isinstance(token, ExecPlugin)}
    for kubeconfig, command in sorted(programs):  # without its arguments: they may hold secrets
        yield f"exec plugin of {kubeconfig}: {command} (this plan ran it too)"


def refuse_strangers(environment: Environment) -> None:
    """Raise Refused where a kubeconfig that is none of the user's own logs in by a program, or by a file from elsewhere."""
    own = _files(usual_kubeconfig()) | _files("~/.kube/config")
    for spec in environment.targets.values():
        if spec.kubernetes is None or _files(spec.kubernetes.cluster.kubeconfig) <= own:
            continue
        if way := _way_in(spec.kubernetes.cluster):
            raise Refused(
                f"{where(spec)}.kubernetes.kubeconfig: {spec.kubernetes.cluster.kubeconfig} logs in by {way}"
                " unasked; write --allow-plugins, or make that file yours by KUBECONFIG"
            )


def _way_in(cluster: Cluster) -> str:
    token = _token(cluster)
    if isinstance(token, ExecPlugin):
        return f"the program {token.command}, which plan does not run"
    if isinstance(token, FileToken) and token.elsewhere:
        return f"what {token.elsewhere} holds, which plan does not send"
    return ""


def _token(cluster: Cluster) -> Token | None:
    try:
        return access_of(cluster).token
    except OperationFailed:
        return None  # what cannot be used runs nothing; who asks the cluster is told why


def _files(kubeconfig: str) -> set[Path]:
    return {Path(one).expanduser().resolve() for one in kubeconfig.split(os.pathsep) if one}
