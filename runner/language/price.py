"""What an environment costs: `0.3264 USD/h`."""

from __future__ import annotations

import re

from runner.language.written import Written
from runner.scenario import Price

_PRICE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([A-Z]{3})\s*/\s*(?:h|hour)")


def read_price(written: Written | None) -> Price | None:
    """Read the price of an hour, if one is written."""
    if written is None:
        return None
    text = written.filled().strip()
    found = _PRICE.fullmatch(text)
    if not found:
        written.refuse(f'"{text}" is no price; write an amount, a currency and /h, such as 0.3264 USD/h')
    if float(found[1]) <= 0:
        written.refuse(
            "costs nothing, so nothing can be compared; write what an hour costs, or remove the key"
        )
    return Price(value=float(found[1]), currency=found[2])
