"""The shop's store: a key-value server, one line in and one line out (GET key, PUT key json)."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from scenarios.shop.wire import BROKEN, run_listener

ITEMS = 100


def item_of(number: int) -> dict[str, Any]:
    """One item of the catalogue, as it is from the start."""
    return {"name": f"Umbrella no. {number}", "price": 900 + number, "stock": 50}


class Store:
    """Keys and values in memory, with a small catalogue from the start."""

    def __init__(self) -> None:
        self.values = {f"item/{number}": json.dumps(item_of(number)) for number in range(1, ITEMS + 1)}

    def obey(self, order: str) -> str:
        """Carry out one line; the answer is one line."""
        match order.split(" ", 2):
            case ["GET", key]:
                return f"VALUE {self.values[key]}" if key in self.values else "NONE"
            case ["PUT", key, value]:
                self.values[key] = value
                return "OK"
        return "ERROR GET key, or PUT key value"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Obey the lines of one connection until it ends."""
        try:
            while line := await reader.readline():
                writer.write(f"{self.obey(line.decode().rstrip())}\n".encode())
                await writer.drain()
        except BROKEN:
            return
        finally:
            writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    run_listener(Store().talk, host=chosen.host, port=chosen.port)


if __name__ == "__main__":
    main()
