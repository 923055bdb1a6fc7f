"""Ends one container: preStop hook, stop signal, SIGKILL when the grace period is over.

Source: pkg/kubelet/kuberuntime/kuberuntime_container.go killContainer v1.35 (at least 2 s behind a preStop hook).
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Final

from k3py.kubelet.handlers import HandlerFailed
from k3py.kubelet.hooks import find_hook, run_hook
from k3py.util import clock

if TYPE_CHECKING:
    from k3py.kubelet.handlers import Target
    from k3py.kubelet.recording import PodRecorder

log = logging.getLogger(__name__)

MINIMUM_GRACE_S: Final = 2


async def kill_container(
    target: Target, events: PodRecorder, *, grace_s: int, message: str = "", run_pre_stop: bool = True
) -> None:
    """Stop a container and return when it is dead.

    Args:
        target: the container.
        events: where to tell.
        grace_s: seconds until SIGKILL, the preStop hook's time included.
        message: why, for the Event; "" = "Stopping container <name>".
        run_pre_stop: False when the hook ran already (the grace period was shortened).

    Raises:
        RuntimeFailure: it could not be stopped.
    """
    name = target.container["name"]
    began_s = clock.monotonic_s()
    if run_pre_stop:
        events.normal("Killing", message or f"Stopping container {name}", name)
        hook = find_hook(target.container, "preStop")
        if hook is not None and grace_s > 0:
            try:
                async with asyncio.timeout(grace_s):
                    await run_hook(hook, target)
            except TimeoutError:
                log.info("preStop hook used up the grace period", extra={"container": name})
            except HandlerFailed as error:
                events.warning("FailedPreStopHook", f"PreStopHook failed: {error}", name)
    left_s = grace_s - math.ceil(clock.monotonic_s() - began_s)
    if clock.monotonic_s() - began_s < 1:
        left_s = grace_s
    await target.runtime.stop_container(
        target.container_id, timeout_s=max(left_s, min(MINIMUM_GRACE_S, grace_s))
    )
