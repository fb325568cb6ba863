"""The shop in containers, with the plain `docker` command: python -m scenarios.shop.docker up | down."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

NAME = "shop"  # of the network, the containers and their label
SUBNET, HOST = "172.30.88.0/24", "172.30.88.1"  # on the shop's network this machine is HOST
AT = "172.30.88.{}"  # parts keep their addresses: the name of one that is down would be asked for outside
LINK = f"{HOST}:8911"  # where environments/docker.yaml puts the link to the store
FRONT, STORE = 8810, 8910  # published on 127.0.0.1
INSIDE = 8080  # every part listens there
PATIENCE = 30.0  # seconds


def docker(*argv: str, fine: bool = False) -> str:
    """Run one docker command; with *fine* it may fail."""
    done = subprocess.run(["docker", *argv], capture_output=True, text=True)
    if done.returncode and not fine:
        sys.exit(f"docker {argv[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def up(image: str, webs: int, *, direct: bool) -> None:
    """Start the shop; *direct*: the web replicas talk to the store without the link of the environment."""
    docker("network", "create", "--subnet", SUBNET, "--gateway", HOST, NAME)
    start("store", 10, image, publish=STORE)
    store = f"{AT.format(10)}:{INSIDE}" if direct else LINK
    numbers = range(1, webs + 1)
    for number in numbers:
        name = f"web-{number}"
        start(name, 10 + number, image, "--store", store, "--name", name)
    start(
        "front", 9, image, "--webs", ",".join(f"{AT.format(10 + n)}:{INSIDE}" for n in numbers), publish=FRONT
    )
    wait_open()


def start(part: str, address: int, image: str, *options: str, publish: int = 0) -> None:
    """Run one part as the container shop-PART, labelled app=shop-web for each web replica, app=shop-PART for others."""
    app = part.partition("-")[0]
    docker(
        "run", "-d", "--name", f"{NAME}-{part}", "--label", f"app={NAME}-{app}",
        "--network", NAME, "--ip", AT.format(address), *(("-p", f"127.0.0.1:{publish}:{INSIDE}") if publish else ()),
        image, "python3", "-m", f"scenarios.shop.{app}", "--host", "0.0.0.0", "--port", str(INSIDE), *options,
    )  # fmt: skip


def wait_open() -> None:
    """Wait until the front answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{FRONT}/", timeout=2) as answer:
                answer.read()
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"the front does not answer: {error}; see docker logs {NAME}-front")
            time.sleep(0.1)


def down() -> None:
    """Remove all of it; what is not there is fine."""
    parts = docker("ps", "-aq", "--filter", f"network={NAME}", "--filter", "label=app").split()
    if parts:
        docker("rm", "-f", *parts, fine=True)
    docker("network", "rm", NAME, fine=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scenarios.shop.docker", description=__doc__)
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument(
        "--image", default="squall:local", help="with python3 and this repository on its path"
    )
    parser.add_argument("--webs", type=int, default=3, help="replicas, up to 200")
    parser.add_argument("--direct", action="store_true", help="no link of ours before the store")
    chosen = parser.parse_args()
    down()
    if chosen.verb == "up":
        up(chosen.image, chosen.webs, direct=chosen.direct)
        print(f"the shop is open: http://127.0.0.1:{FRONT}")


if __name__ == "__main__":
    main()
