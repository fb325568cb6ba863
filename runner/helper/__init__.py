"""Helpers: what Squall posts beside a container or a pod to do there, and to undo there whoever dies."""

import runner.operations  # noqa: F401 - first: they use the protocol of helpers, and that is made of operations
from runner.helper.looking import look

__all__ = ["look"]
