"""Say how much of the requests the shop's next version gets: python -m scenarios.shop.split --front HOST:PORT 20%"""

from __future__ import annotations

import argparse
import http.client
import sys


def asked(front: str, method: str, body: str = "") -> float:
    """Ask the front for its split, or tell it one."""
    host, _, port = front.removeprefix("http://").rstrip("/").rpartition(":")
    line = http.client.HTTPConnection(host, int(port), timeout=2)
    try:
        line.request(method, "/split", body=body.encode())
        answer = line.getresponse()
        if answer.status != 200:
            sys.exit(f"the front at {front} answers {answer.status}: {answer.read().decode()}")
        return float(answer.read())
    except OSError as error:
        sys.exit(f"the front at {front} does not answer: {error}")
    finally:
        line.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--front", required=True, help="host:port, or its url")
    parser.add_argument("--is", dest="expected", action="store_true", help="only look whether it is so")
    parser.add_argument("share", help="20%%")
    chosen = parser.parse_args()
    share = float(chosen.share.removesuffix("%")) / 100
    now = asked(chosen.front, "GET") if chosen.expected else asked(chosen.front, "PUT", f"{share:g}")
    if abs(now - share) > 1e-6:
        sys.exit(f"the next version gets {now:.0%}")
    print(f"the next version gets {now:.0%}")


if __name__ == "__main__":
    main()
