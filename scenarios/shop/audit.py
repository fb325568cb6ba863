"""Looks whether the shop tells the truth about its catalogue: prints how many of the pages looked at are right, and how many there were."""

from __future__ import annotations

import argparse
import random
from urllib.error import HTTPError
from urllib.request import urlopen

from scenarios.shop.store import ITEMS, item_of


def is_right(address: str, number: int) -> bool:
    """Whether an item's page has its name and its price."""
    item = item_of(number)
    try:
        with urlopen(f"http://{address}/item/{number}", timeout=2) as answer:
            page = answer.read().decode()
    except HTTPError:
        return False
    return item["name"] in page and f"{item['price'] / 100:.2f}" in page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="host:port of the shop's front")
    parser.add_argument("--pages", type=int, default=20)
    chosen = parser.parse_args()
    numbers = random.sample(range(1, ITEMS + 1), chosen.pages)
    print(sum(is_right(chosen.address, number) for number in numbers), chosen.pages)


if __name__ == "__main__":
    main()
