"""Damages a file at random: a reader goes on, or says in one line what is wrong."""

from __future__ import annotations

import random
from pathlib import Path

from fastbook_cli.replay.actions import RecordingError
from fastbook_cli.replay.recording import Recording

LIKELY = b'0123456789,.-\n"AB'


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return the data cut off, with a gap, or with other bytes here and there."""
    bytes_ = bytearray(data)
    how = rng.random()
    at = rng.randrange(len(data))
    if how < 0.2:
        del bytes_[at:]
    elif how < 0.3:
        del bytes_[at : at + rng.randrange(1, 200)]
    else:
        for _ in range(rng.choice((1, 1, 3, 20))):
            other = rng.choice((rng.randrange(256), rng.choice(LIKELY)))
            bytes_[rng.randrange(len(bytes_))] = other
    return bytes(bytes_)


def survives_damage(file: Path, count: int = 40) -> tuple[int, int]:
    """Damage a file so many times; return how often it was read, and how often refused."""
    data, read, said = file.read_bytes(), 0, []
    for seed in range(count):
        file.write_bytes(damaged(data, random.Random(seed)))
        try:
            recording = Recording.open(file)
            for _ in recording.actions():
                pass
            recording.instrument()
            read += 1
        except RecordingError as error:
            said.append(str(error))
    assert [text for text in said if "\n" in text] == []
    return read, len(said)
