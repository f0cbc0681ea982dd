"""What a demo tells of what happens: given what was seen and when, these sentences."""

from __future__ import annotations

from fastbook_cli.cluster.demo.story import Decider, Story
from fastbook_server.cluster.roll_call import Answer


def matcher(pid: int, state: str = "standby", epoch: int = 1) -> Answer:
    return Answer(role="matcher", state=state, read=1, epoch=epoch, pid=pid)


def told() -> tuple[Story, list[str]]:
    """Return a story in which matcher 1 decides since 10 s, and all that it says."""
    said: list[str] = []
    story = Story(said.append)
    story.seen({"matcher 1": matcher(11, "owner"), "matcher 2": matcher(12)}, 10.0)
    assert (story.owners, said) == ({"": Decider("matcher 1", 11, 1)}, [])
    return story, said


def test_a_killed_owner_and_its_successor_are_one_sentence():
    story, said = told()
    story.ended("matcher 1", 11, "was killed", 12.0)
    late = matcher(11, "owner")  # what it had said before
    story.seen({"matcher 1": late, "matcher 2": matcher(12)}, 13.4)
    story.seen({"matcher 2": matcher(12, "owner", 2)}, 14.7)
    assert said == [
        "matcher 1 pid 11 was killed: nobody decides",
        "matcher 1 pid 11 was killed; matcher 2 pid 12 took over after 2.7 s",
    ]


def test_one_that_is_started_again_is_there_once_it_answers():
    story, said = told()
    story.ended("matcher 2", 12, "was killed", 10.5)
    story.began("matcher 2", 13, 11.0)
    story.seen({"matcher 1": matcher(11, "owner"), "matcher 2": matcher(13)}, 11.4)
    assert said == [
        "matcher 2 pid 12 was killed",
        "matcher 2 is started again after 0.5 s: pid 13",
        "matcher 2 is standby again after 0.9 s",
    ]
    assert (story.is_gone("matcher 2", 12), story.is_gone("matcher 2", 13)) == (True, False)


def test_the_frozen_are_silent_until_they_answer():
    story, said = told()
    story.seen({"matcher 2": matcher(12)}, 11.0)
    assert not story.is_silent("matcher 1")
    story.seen({"matcher 2": matcher(12)}, 11.6)
    assert story.is_silent("matcher 1")
    story.seen({"matcher 2": matcher(12, "owner", 2)}, 13.0)
    story.seen({"matcher 1": matcher(11, "owner"), "matcher 2": matcher(12, "owner", 2)}, 20.0)
    assert story.owners == {"": Decider("matcher 2", 12, 2)}
    assert said == [
        "matcher 1 does not answer: frozen, or cut off from the log",
        "matcher 2 pid 12 took over after 3.0 s",
        "matcher 1 answers again, after 10.0 s",
    ]


def test_who_hears_nobody_is_cut_off_and_calls_nobody_silent():
    story, said = told()
    for now_s in (10.5, 12.0, 20.0):
        story.seen({}, now_s)
    story.seen({"matcher 1": matcher(11, "owner")}, 20.5)
    story.seen({"matcher 1": matcher(11, "owner")}, 21.0)
    assert said == []
    story.seen({"matcher 1": matcher(11, "owner")}, 22.0)
    assert said == ["matcher 2 does not answer: frozen, or cut off from the log"]


def test_another_leader_of_the_log_is_told():
    story, said = told()
    for server in ("nats 1", "", "nats 1", "nats 3"):
        story.leads(server)
    assert said == ["nats 3 leads the log now"]
