"""What workers do for the catalog, by `JobSpec.kind`."""

from collections.abc import Mapping
from typing import Final

from worker.librarian import Task

TASKS: Final[Mapping[str, Task]] = {}
