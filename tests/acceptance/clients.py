"""A client of each service of the data tier in the zone app: it writes through the endpoint and reads that again."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from acceptance import test_objects_faults, test_postgresql_faults, test_redis_faults
from acceptance.faults import endpoint, secret

from lab import scratch, ssh

CLIENT = "worker1"
# Each has a `connect()`. What is read comes over another session than what was written.
LIBRARIES = {
    "postgres": test_postgresql_faults.PROGRAM,
    "redis": test_redis_faults.PROGRAM,
    "s3": test_objects_faults.CLIENT.read_text(encoding="utf-8") + test_objects_faults.COMMON,
}
WRITES = {
    "postgres": """
session = connect()
session.query("CREATE TABLE IF NOT EXISTS words (word text)")
session.query(f"INSERT INTO words VALUES ('{SETTINGS['word']}')")
answer = None
""",
    "redis": 'answer = connect().call("RPUSH", "words", SETTINGS["word"])',
    "s3": """
SETTINGS["prefix"] = "words"
answer = ask(connect(), "PUT", SETTINGS["word"], SETTINGS["word"].encode()).decode()
""",
}
READS = {
    "postgres": 'answer = [row[0] for row in connect().query("SELECT word FROM words")]',
    "redis": 'answer = connect().call("LRANGE", "words", 0, -1)',
    "s3": """
SETTINGS["prefix"] = "words"
answer = [ask(connect(), "GET", word).decode() for word in SETTINGS["words"]]
""",
}


class Clients:
    def __init__(self, site: scratch.Site) -> None:
        self.site = site
        self.words: list[str] = []

    def write(self, word: str) -> None:
        """Write a word to every service, and see that all words are there that were written so far."""
        self.words.append(word)
        for service, program in WRITES.items():
            self.run(service, program, word=word)
        for service in READS:
            assert self.read(service) == sorted(self.words), service

    def read(self, service: str) -> list[str]:
        return sorted(self.run(service, READS[service]))

    def reads(self, *services: str) -> bool:
        """Whether each of the services answers."""
        try:
            return all(self.read(service) == sorted(self.words) for service in services)
        except AssertionError:
            return False

    def run(self, service: str, program: str, **settings: Any) -> Any:
        """What a program calls `answer`."""
        settings = {**self.settings(service), **settings, "words": self.words}
        source = f"{LIBRARIES[service]}\nSETTINGS = {settings!r}\n{program}\nimport json\nprint(json.dumps(answer))\n"
        done = subprocess.run(
            ssh.command(self.site.lab, self.site.lab.host(CLIENT), "python3 -"),
            input=source,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{service}: {done.stderr}"
        return json.loads(done.stdout)

    def settings(self, service: str) -> dict[str, Any]:
        address = endpoint(self.site, service)
        authorities = (self.site.lab.state / "pki/root.crt").read_text(encoding="utf-8")
        if service == "s3":
            keys = {key: secret(self.site, f"s3_dify_{key}") for key in ("access_key", "secret_key")}
            return {"endpoint": f"https://{address}:8333", "ca": authorities, **keys}
        return {"address": address, "authorities": authorities, "password": secret(self.site, f"{service}_dify")}
