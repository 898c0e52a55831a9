#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_log.py LOG_DIR CONSOLE...: the embedded log after power cuts: sound by SQLite's account, the hash chain whole, one
outcome a command, and nothing lost that the consoles say was answered for ("acked NAME")."""
import hashlib
import json
import re
import sqlite3
import sys


def read(log_dir, topic):
    db = sqlite3.connect(f"{log_dir}/{topic}.db")
    (sound,) = db.execute("PRAGMA integrity_check").fetchone()
    assert sound == "ok", f"{topic}: {sound}"
    rows = db.execute("SELECT offset, value FROM records ORDER BY offset").fetchall()
    assert [offset for offset, _ in rows] == list(range(len(rows))), f"{topic}: the offsets have gaps"
    return [value.encode() if isinstance(value, str) else value for _, value in rows]


def check_chain(events):
    before, count = "0" * 64, 0
    for value in events:
        event = json.loads(value)
        count += 1
        assert event["prevhash"] == before, f"the hash chain breaks at nodeseq {event['nodeseq']}"
        assert event["nodeseq"] == count, f"nodeseq {event['nodeseq']} follows {count - 1}"
        before = hashlib.sha256(value).hexdigest()


def main():
    events, commands = read(sys.argv[1], "wharf.events"), read(sys.argv[1], "wharf.commands")
    check_chain(events)
    outcomes, names, boots = {}, set(), set()
    for event in map(json.loads, events):
        if "outcome" in event:
            outcomes[event["causationid"]] = outcomes.get(event["causationid"], 0) + 1
        if event["type"] == "wharf.container.created.v1":
            names.add(event["data"]["name"])
        if event["type"] == "wharf.node.started.v1":
            boots.add(event["data"]["boot_id"])
    for command in map(json.loads, commands):
        n = outcomes.get(command["id"], 0)
        assert n == 1, f"command {command['id']} ({command['type']}) has {n} outcomes"
    acked = set()
    for path in sys.argv[2:]:
        with open(path, "rb") as console:
            acked |= set(re.findall(r"^acked (\S+)\r?$", console.read().decode(errors="replace"), re.MULTILINE))
    assert acked <= names, f"answered for, and lost: {sorted(acked - names)}"
    print(f"{len(commands)} commands, {len(events)} events, {len(boots)} boots, {len(acked)} starts answered for")


try:
    main()
except AssertionError as failure:
    sys.exit(f"check_log: {failure}")
