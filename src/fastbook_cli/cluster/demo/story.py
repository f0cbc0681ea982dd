"""What happens in a demo, told in sentences: who was killed, who took over, and after how long.

Pure: it is told what is seen, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fastbook_server.cluster.roll_call import Answer

SILENT_S = 1.5
"""A process that runs and has not answered for so long is frozen, or cut off."""


class Decider(NamedTuple):
    """The matcher that decides: its name, its process and its epoch; its shard, if of several."""

    name: str
    pid: int
    epoch: int
    shard: str = ""


class Story:
    """Watches the parts of a demo by their names, and says what has happened."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.owners: dict[str, Decider] = {}  # by shard
        self._say = say
        self._owner_seen_s: dict[str, float] = {}
        self._ended_s: dict[str, float] = {}  # the parts that do not run, since when
        self._heard_s: dict[str, float] = {}  # those that have answered, when last
        self._silent: set[str] = set()
        self._pids: dict[str, int] = {}  # of those that have answered
        self._gone: dict[str, int] = {}  # of those that have ended: answers may come late
        self._loss: dict[str, str] = {}  # what has become of the owners
        self._leaders: dict[str, str] = {}
        self._looked_s = 0.0

    def ended(self, name: str, pid: int, how: str, now_s: float) -> None:
        """A process does not run any more."""
        self._ended_s[name] = now_s
        if name in self._pids:
            self._gone[name] = self._pids.pop(name)
        self._heard_s.pop(name, None)
        self._silent.discard(name)
        text = f"{name} pid {pid} {how}"
        for shard, owner in self.owners.items():
            if name == owner.name:
                self._owner_seen_s[shard] = now_s
                self._loss[shard] = f"{text}; "
                text += ": nobody decides" + (f" in shard {shard}" if shard else "")
        self._say(text)

    def began(self, name: str, pid: int, now_s: float) -> None:
        """A process runs that did not."""
        away_s = now_s - self._ended_s.get(name, now_s)
        self._say(f"{name} is started again after {away_s:.1f} s: pid {pid}")

    def seen(self, answers: Mapping[str, Answer], now_s: float) -> None:
        """These have answered, by name; an owner among them may be one that was overthrown."""
        answers = {n: a for n, a in answers.items() if not self.is_gone(n, a.pid)}
        blind_s, self._looked_s = now_s - self._looked_s, now_s
        if not answers:  # it is we who are cut off, as far as can be known
            self._heard_s = {n: heard_s + blind_s for n, heard_s in self._heard_s.items()}
        for name, answer in answers.items():
            self._pids[name] = answer.pid
            if (ended_s := self._ended_s.pop(name, None)) is not None:
                self._say(f"{name} is {answer.state} again after {now_s - ended_s:.1f} s")
            if name in self._silent:
                silent_s = now_s - self._heard_s[name]
                self._silent.discard(name)
                self._say(f"{name} answers again, after {silent_s:.1f} s")
            self._heard_s[name] = now_s
        for name, heard_s in self._heard_s.items():
            if now_s - heard_s > SILENT_S and name not in self._silent:
                self._silent.add(name)
                self._say(f"{name} does not answer: frozen, or cut off from the log")
        owners = (
            Decider(n, a.pid, a.epoch, a.shard) for n, a in answers.items() if a.state == "owner"
        )
        for owner in sorted(owners, key=lambda owner: owner.epoch):
            self._decides(owner, now_s)

    def leads(self, server: str, shard: str = "") -> None:
        """This server leads the log."""
        before = self._leaders.get(shard, "")
        if server and before and server != before:
            self._say(f"{server} leads the log{f' of shard {shard}' if shard else ''} now")
        self._leaders[shard] = server or before

    def is_silent(self, name: str) -> bool:
        """Return whether a process runs and does not answer."""
        return name in self._silent

    def is_gone(self, name: str, pid: int) -> bool:
        """Return whether a process of this name has ended, though it may still be heard of."""
        return self._gone.get(name) == pid

    def _decides(self, owner: Decider, now_s: float) -> None:
        shard = owner.shard
        before = self.owners.get(shard)
        if before is not None and owner.epoch < before.epoch:
            return
        if before is not None and owner != before:
            pause_s = now_s - self._owner_seen_s[shard]
            did = "took over" if owner.name != before.name else "decides again"
            loss = self._loss.get(shard, "")
            self._say(f"{loss}{owner.name} pid {owner.pid} {did} after {pause_s:.1f} s")
        self.owners[shard], self._owner_seen_s[shard] = owner, now_s
        self._loss.pop(shard, None)
