"""Run the same call many times at once, on threads or on one event loop, and time each."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor


def on_threads(pool: Executor, call: Callable[[], object], count: int) -> list[float]:
    began = time.perf_counter()

    def timed() -> float:
        call()
        return time.perf_counter() - began

    return [future.result() for future in [pool.submit(timed) for _ in range(count)]]


async def on_loop(call: Callable[[], Awaitable[object]], count: int) -> list[float]:
    began = time.perf_counter()

    async def timed() -> float:
        await call()
        return time.perf_counter() - began

    return await asyncio.gather(*(timed() for _ in range(count)))
