"""One bounded HTTP GET: a deadline for all of it, a limit for its size, no proxies, no strangers."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

import requests

from runner.clock import now
from runner.errors import ProbeFailed

_MOST = 16 << 20  # bytes of an answer
_REDIRECTS = 5


class Getter:
    """A session that asks one place again and again."""

    def __init__(self, timeout: float, token: str = "") -> None:
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # no proxies and no .netrc: a probe asks whom it names, as nobody
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, url: str, params: Mapping[str, str] | None = None) -> tuple[int, bytes, str]:
        """Return status, body and Date of the answer. Raises ProbeFailed.

        Redirects are followed on the same scheme, host and port only: elsewhere is another service, and might be one
        that trusts this machine.
        """
        _check_host(url)
        deadline = now() + self._timeout
        try:
            for _ in range(_REDIRECTS):
                with self._ask(url, params, deadline) as answer:
                    if not answer.is_redirect:
                        return answer.status_code, _body(answer, deadline), answer.headers.get("Date", "")
                    url, params = _next(url, answer.headers["Location"]), None
        except requests.RequestException as error:
            raise ProbeFailed(f"{origin(url)} {_why(error)}") from error
        raise ProbeFailed(f"{origin(url)} redirects more than {_REDIRECTS} times")

    def close(self) -> None:
        """Let go of pooled connections."""
        self._session.close()

    def _ask(self, url: str, params: Mapping[str, str] | None, deadline: float) -> requests.Response:
        left = deadline - now()
        if left <= 0:
            raise ProbeFailed(f"{origin(url)} did not answer within {self._timeout:g}s")
        return self._session.get(url, params=params, timeout=left, allow_redirects=False, stream=True)


def origin(url: str) -> str:
    """Scheme, host and port of *url*: what an error may show, without credentials and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _next(url: str, location: str) -> str:
    target = urljoin(url, location)
    if origin(target) != origin(url):
        raise ProbeFailed(
            f"{origin(url)} redirects to {origin(target)}, another place; name that url if it is meant"
        )
    return target


def _body(answer: requests.Response, deadline: float) -> bytes:
    body = bytearray()
    for piece in answer.iter_content(65536):
        body += piece
        if len(body) > _MOST:
            raise ProbeFailed(f"{origin(answer.url)} answered more than {_MOST >> 20} MiB")
        if now() > deadline:
            raise ProbeFailed(f"{origin(answer.url)} did not end its answer in time")
    return bytes(body)


def _check_host(url: str) -> None:
    """Refuse link-local addresses: they are where clouds keep the credentials of machines."""
    host = urlsplit(url).hostname or ""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        raise ProbeFailed(f"{origin(url)}: {host or 'nothing'} is no known host") from None
    if any(ipaddress.ip_address(str(address).partition("%")[0]).is_link_local for address in found):
        raise ProbeFailed(f"{origin(url)} is a link-local address, which probes do not ask")


def _why(error: requests.RequestException) -> str:
    match error:
        case requests.Timeout():
            return "did not answer in time"
        case requests.exceptions.SSLError():
            return "has a certificate that is not trusted"
        case requests.ConnectionError():
            return "cannot be reached, or hung up"
        case _:
            return f"gave no answer ({type(error).__name__})"
