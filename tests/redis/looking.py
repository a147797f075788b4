"""What RQ keeps of a job while it runs, seen from inside RQ's own worker and from beside ours."""

import json
import re
import sys
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker, get_current_job
from rq.serializers import JSONSerializer

QUEUE = "theirs"

MAINTENANCE = {"rq:clean_registries:QUEUE", "rq:clean_groups"}
"""Locks of chores that RQ's worker does at its start; ours has a reaper."""


def look(url: str) -> None:
    """The job that RQ's SimpleWorker runs."""
    job = get_current_job(connection=Redis.from_url(url))
    assert job is not None
    print(json.dumps(snapshot(url, QUEUE, job.id, job.worker_name or "")), flush=True)


def main(url: str) -> None:
    connection = Redis.from_url(url)
    queue = Queue(QUEUE, connection=connection, serializer=JSONSerializer)
    queue.enqueue("tests.redis.looking.look", url, result_ttl=0, ttl=60, description="d")
    SimpleWorker([queue], connection=connection, serializer=JSONSerializer).work(burst=True, logging_level="ERROR")


def snapshot(url: str, queue: str, job_id: str, worker: str) -> dict[str, Any]:
    """RQ's keys with ids replaced by their meaning, and the fields of the job's hash."""
    redis = Redis.from_url(url)
    names = {job_id: "JOB", worker: "WORKER", queue: "QUEUE"}
    found = set()
    for key in redis.scan_iter("rq:*"):
        text = key.decode()
        for name, meaning in names.items():
            text = text.replace(name, meaning)
        found.add(re.sub(r"JOB:[0-9a-f]{32}", "JOB:EXECUTION", text))
    fields = [field.decode() for field in redis.hkeys(f"rq:job:{job_id}")]
    redis.close()
    return {"keys": sorted(found - MAINTENANCE), "fields": fields}


if __name__ == "__main__":
    main(sys.argv[1])
