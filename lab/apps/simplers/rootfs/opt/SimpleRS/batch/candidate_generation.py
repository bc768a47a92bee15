#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in of SimpleRS: writes candidates into database `recommendation`, collection `user_candidate`.

simplers write      two documents a second, for ever; every acknowledged one is noted in /var/lib/simplers
simplers seed       2,000 documents that are the same on every host; refuses to run twice
simplers once       one document, noted like the others; fails where the server does not acknowledge it
simplers load N     150 clients that read everything again and again, for N seconds and no longer
simplers checksum   JSON: are the seeded documents as they were, and is every acknowledged one there?
"""

import argparse
import contextlib
import datetime
import hashlib
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pymongo
import pymongo.errors

URI = os.environ.get("MONGODB_URI", "mongodb://127.0.0.1:27017/recommendation")
STATE = Path(os.environ.get("SIMPLERS_STATE", "/var/lib/simplers"))
ACKNOWLEDGED = STATE / "acknowledged.jsonl"
SEEDED = STATE / "seeded"
SEEDS = 2000
EPOCH = datetime.datetime(2026, 1, 1)
PAUSE = 0.5
BATCH = 120
CLIENTS = 150

log = logging.getLogger("candidate_generation")


def collection(limit_ms: int = 5000) -> Any:
    """The collection user_candidate; no operation waits longer than limit_ms for the server."""
    limits: dict[str, Any] = {
        "serverSelectionTimeoutMS": limit_ms,
        "connectTimeoutMS": limit_ms,
        "socketTimeoutMS": 2 * limit_ms,
    }
    client: Any = pymongo.MongoClient(URI, retryWrites=False, **limits)
    return client["recommendation"]["user_candidate"]


def candidate(key: str, number: int, moment: datetime.datetime) -> dict[str, Any]:
    """One document; nothing in it but its time differs between two runs."""
    codes = [f"{(number * step) % 9973:06d}" for step in (7, 31, 113)]
    score = (number % 97) / 4
    return {"_id": key, "cust_no": f"C{number % 500:05d}", "curation": codes, "score": score, "modi_dt": moment}


def seeds() -> list[dict[str, Any]]:
    """The documents that `seed` writes, in the order of their ids."""
    return [candidate(f"seed-{n:06d}", n, EPOCH + datetime.timedelta(minutes=n)) for n in range(SEEDS)]


def digest(documents: list[dict[str, Any]]) -> tuple[int, str]:
    """Count and SHA-256 of documents, independent of the driver's version and of the order of their keys."""
    total, count = hashlib.sha256(), 0
    for document in documents:
        total.update(json.dumps(document, sort_keys=True, default=str).encode() + b"\n")
        count += 1
    return count, total.hexdigest()


def seed() -> None:
    """Write the seeded documents and the indexes, once in the life of a host.

    A second time would put back what a fault destroyed, and hide the loss.
    """
    if SEEDED.exists():
        sys.exit(f"already seeded ({SEEDED})")
    candidates = collection(20000)
    candidates.insert_many(seeds())
    candidates.create_index("cust_no")
    candidates.create_index("modi_dt")
    SEEDED.write_text(f"{SEEDS}\n")


def write() -> None:
    """Write for ever; a server that is away is tried again until it is back, with the same document."""
    # Milliseconds: a restarted writer never comes upon numbers that it has given before.
    candidates, number = collection(), time.time_ns() // 1000000
    with ACKNOWLEDGED.open("a", encoding="utf-8", buffering=1) as notes:
        while True:
            started = time.monotonic()
            for _ in range(BATCH):
                number += 1
                insert_until_acknowledged(candidates, number)
                notes.write(json.dumps({"_id": f"w-{number}"}) + "\n")
                time.sleep(PAUSE)
            log.info("Processed %d users with candidates", BATCH)
            log.info("Total duration: %.1f seconds", time.monotonic() - started)
            log.info("BATCH PROCESS COMPLETED SUCCESSFULLY")


def once() -> None:
    """Write one document."""
    number = time.time_ns() // 1000000
    collection().insert_one(candidate(f"w-{number}", number, datetime.datetime.now(datetime.UTC)))
    with ACKNOWLEDGED.open("a", encoding="utf-8") as notes:
        notes.write(json.dumps({"_id": f"w-{number}"}) + "\n")


def load(seconds: float) -> None:
    """Ask for more than the server can do; a read that fails is asked for again."""
    end = time.monotonic() + seconds

    def client() -> None:
        candidates = collection()
        while time.monotonic() < end:
            with contextlib.suppress(pymongo.errors.PyMongoError):
                list(candidates.find({"score": {"$gte": 0}}).sort("curation"))

    threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)


def insert_until_acknowledged(candidates: Any, number: int) -> None:
    """Returns only when the server has acknowledged the document."""
    while True:
        try:
            candidates.insert_one(candidate(f"w-{number}", number, datetime.datetime.now(datetime.UTC)))
            return
        except pymongo.errors.DuplicateKeyError:
            return  # the try before got through, only its answer did not
        except pymongo.errors.PyMongoError as error:
            log.error("MongoDB write failed, trying again: %s", str(error).splitlines()[0][:200])
            time.sleep(1)


def acknowledged() -> list[str]:
    """Ids of the documents whose write was acknowledged; a line that is being written right now does not count."""
    if not ACKNOWLEDGED.exists():
        return []
    with ACKNOWLEDGED.open(encoding="utf-8") as file:
        return [json.loads(line)["_id"] for line in file if line.endswith("\n")]


def checksum() -> None:
    """Print count and sha256 of the seeded documents, and how many acknowledged writes there are and are missing."""
    noted = acknowledged()
    found = sorted(collection().find({}), key=lambda document: str(document["_id"]))
    count, value = digest([document for document in found if str(document["_id"]).startswith("seed-")])
    missing = set(noted) - {document["_id"] for document in found}
    intact = (count, value) == digest(seeds()) and not missing
    answer = {"count": count, "sha256": value, "acknowledged": len(noted), "missing": len(missing), "intact": intact}
    sys.stdout.write(json.dumps(answer) + "\n")


def main() -> None:
    """Run one of the commands; a database that cannot be asked is one line and exit code 1."""
    parser = argparse.ArgumentParser(description="Stand-in of the SimpleRS candidate generation")
    parser.add_argument("command", choices=["write", "seed", "once", "load", "checksum"])
    parser.add_argument("seconds", nargs="?", type=float, default=30, help="of load")
    given = parser.parse_args()
    command = given.command
    logging.basicConfig(level=logging.INFO, format="%(asctime)s - %(levelname)s - %(message)s")
    try:
        if command == "load":
            load(given.seconds)
        else:
            {"write": write, "seed": seed, "once": once, "checksum": checksum}[command]()
    except pymongo.errors.PyMongoError as error:
        sys.exit(f"{command}: {str(error).splitlines()[0][:300]}")


if __name__ == "__main__":
    main()
