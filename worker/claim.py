"""A claim: one job in this worker's hands, and why it must stop, if it must."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from rq.executions import Execution
from rq.job import Job

from shared.frames import Event
from shared.job import JobSpec
from shared.state.recorder import Recorder


class Stop(Enum):
    """Why a running job is interrupted."""

    CANCELLED = "cancelled"
    """The caller is gone or asked for it: terminal frame, nothing kept."""
    DRAINED = "drained"
    """The worker is stopping: back to the queue, unless the caller has seen text."""
    LOST = "lost"
    """The lease belongs to somebody else: not a word more about it."""


@dataclass(slots=True, eq=False)
class Claim:
    """A job that this worker leases, for `width` slots of its engine. `renewed_at` is a monotonic time no later than
    the lease's last renewal."""

    job: Job
    spec: JobSpec
    attempt: int
    width: int = 1
    renewed_at: float = field(default_factory=time.monotonic)
    execution: Execution | None = None
    task: asyncio.Task[None] | None = None
    """Set by the task itself: one that has not begun is not cancelled, it looks at `stopped` first."""
    stopped: Stop | None = None
    recorder: Recorder | None = None
    """Of a job whose answer is stored."""
    ending: bool = False
    """Its last frame is being written: too late to interrupt."""

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def execution_id(self) -> str:
        """RQ's id of the execution; empty until the job has started."""
        return self.execution.id if self.execution else ""

    @property
    def executions(self) -> list[Execution]:
        return [self.execution] if self.execution else []

    def note(self, events: Sequence[Event]) -> None:
        """Tell the recorder, if there is one, what the caller is told. Raises EngineFailed."""
        if self.recorder is not None:
            self.recorder.read(events)

    def stop(self, why: Stop) -> None:
        """Interrupt the job. The first reason counts, except that a lost lease overrides the others."""
        if self.stopped is None or why is Stop.LOST:
            self.stopped = why
            if self.task is not None and not self.ending:
                self.task.cancel()
