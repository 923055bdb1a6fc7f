"""Settings for all tests."""

import asyncio


def pytest_configure():
    """Say that there is no event loop yet: pytest-asyncio would else make one to remember it, and never close it."""
    asyncio.set_event_loop(None)
