"""People in the shop: plain Locust, it knows nothing of Squall. Try it alone: locust -f scenarios/shoppers.py"""

from __future__ import annotations

import random

from locust import FastHttpUser, HttpUser, between, task

ITEMS = range(1, 101)


class Shopper(FastHttpUser):
    """Looks around, looks at an item, sometimes buys."""

    wait_time = between(0.5, 1.5)
    network_timeout = connection_timeout = 5

    @task(3)
    def home(self) -> None:
        self.client.get("/", name="/")

    @task(6)
    def item(self) -> None:
        self.client.get(f"/item/{random.choice(ITEMS)}", name="/item")

    @task(1)
    def order(self) -> None:
        self.client.post("/order", data={"item": random.choice(ITEMS)}, name="/order")


class Browser(HttpUser):
    """Only looks."""

    wait_time = between(0.5, 1.5)

    @task(1)
    def home(self) -> None:
        self.client.get("/", name="/", timeout=5)

    @task(2)
    def item(self) -> None:
        self.client.get(f"/item/{random.choice(ITEMS)}", name="/item", timeout=5)
