from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mainline.errors import UserError
from mainline.monitor.tracker import Tracker, open_tracker
from mainline.monitor.tracker_github import GitHubTracker
from mainline.monitor.tracker_local import LocalTracker

MARK = "<!-- mainline:monitor:bank:drift:age -->"
BODY = f"{MARK}\nWhat happened.\n\n- a `code`\n---\n- not the fence\n"
LABELS = ("monitoring", "drift")


def test_what_is_opened_is_found_changed_and_found_again_when_closed(tracker: Tracker) -> None:
    assert tracker.find(MARK) is None and tracker.all() == []
    made = tracker.create("age: ünruhig", BODY, LABELS)
    other = tracker.create("other", "<!-- other -->\n", LABELS)
    assert made.number != other.number and made.open and made.labels == LABELS
    found = tracker.find(MARK)
    assert found is not None and (found.number, found.title, found.body) == (made.number, "age: ünruhig", BODY)
    changed = tracker.update(made.number, body=BODY + "more", open=False, labels=(*LABELS, "mute"))
    assert (changed.open, changed.body, changed.title) == (False, BODY + "more", "age: ünruhig")
    assert [issue.number for issue in tracker.all()] == [other.number, made.number]
    found = tracker.find(MARK)
    assert found is not None and not found.open and found.labels == (*LABELS, "mute")
    assert tracker.update(made.number, open=True).closed_at == ""


def test_the_newest_of_two_is_taken(tracker: Tracker) -> None:
    tracker.create("first", BODY, LABELS)
    second = tracker.create("second", BODY, LABELS)
    assert (found := tracker.find(MARK)) is not None and found.number == second.number


def test_a_comment_is_written_once(hub: Any, github: GitHubTracker, local: LocalTracker) -> None:
    for tracker in (github, local):
        number = tracker.create("age", BODY, LABELS).number
        for text in ("calm again\n", "calm again\n", "and back"):
            tracker.comment(number, text)
    assert [item["body"] for item in hub.comments] == ["calm again\n", "and back"] == local.comments(1)


def test_persons_issues_and_pull_requests_are_not_ours(hub: Any, github: GitHubTracker) -> None:
    github.create("age", BODY, LABELS)
    hub.issues[0]["user"] = {"type": "User"}
    assert github.find(MARK) is None
    hub.issues[0]["author_association"] = "OWNER"  # made on a laptop, with a token of one's own
    assert github.find(MARK) is not None
    hub.issues[0]["pull_request"] = {}
    assert github.all() == []


def test_more_than_a_page_is_read(hub: Any, github: GitHubTracker) -> None:
    for number in range(1, 131):
        entry = {"number": number, "state": "closed", "user": {"type": "Bot"}, "labels": [{"name": "monitoring"}]}
        hub.issues.append({**entry, "title": "", "body": f"<!-- {number} -->\r\n"})
    assert len(github.all()) == 130
    assert (found := github.find("<!-- 120 -->\n")) is not None and found.number == 120


@pytest.mark.parametrize("code", [0, 502])
def test_a_create_whose_answer_is_lost_makes_one_issue(hub: Any, github: GitHubTracker, code: int) -> None:
    hub.once, hub.lost = [("POST /issues", code, {})], True
    assert github.create("age", BODY, LABELS).number == 1
    assert len(hub.issues) == 1
    hub.once, hub.lost = [("POST /issues/1/comments", code, {})], True
    github.comment(1, "calm")
    assert len(hub.comments) == 1
    # Lost before it was carried out: repeated.
    hub.once, hub.lost = [("POST /issues", code, {})], False
    assert github.create("age", BODY, LABELS).number == 2
    assert len(hub.issues) == 2


def test_a_permission_is_asked_of_the_api(hub: Any, github: GitHubTracker, local: LocalTracker) -> None:
    hub.permissions.update({"ada": "admin", "bob": "write", "eve": "read", "dot[bot]": "none"})
    assert [github.may_write(who) for who in ("ada", "bob", "eve", "dot[bot]", "nobody", "")] == [
        True,
        True,
        *[False] * 4,
    ]
    assert local.may_write("anyone")
    hub.refuse["/collaborators"] = 403
    with pytest.raises(UserError, match="403"):
        github.may_write("ada")


def test_who_put_a_label_on_last(hub: Any, github: GitHubTracker, local: LocalTracker) -> None:
    github.create("age", BODY, LABELS)
    assert github.labelled_by(1, "retrain-approved") is None
    hub.label(1, "retrain-approved", "eve", "2009-07-01T00:00:00Z")
    hub.label(1, "retrain-approved", "ada", "2009-07-02T00:00:00Z")
    hub.label(1, "mute", "bob", "2009-07-03T00:00:00Z")
    assert github.labelled_by(1, "retrain-approved") == ("ada", "2009-07-02T00:00:00Z")
    hub.events.append({"issue": 1, "event": "unlabeled", "label": {"name": "mute"}})
    assert github.labelled_by(1, "mute") is None
    local.create("age", BODY, LABELS)
    assert local.labelled_by(1, "mute") is None
    assert local.labelled_by(1, "drift") == ("you", "2009-07-01T00:00:00Z")


def events(hub: Any, count: int) -> None:
    hub.events += [{"issue": 1, "event": "mentioned", "actor": {"login": "x"}}] * count


@pytest.mark.parametrize("before", [0, 99, 100, 101, 199, 200, 2102, 3300])
@pytest.mark.parametrize("after", [0, 1, 150])
def test_who_put_a_label_on_last_is_found_behind_any_number_of_events(
    hub: Any, github: GitHubTracker, before: int, after: int
) -> None:
    """GitHub gives the oldest first: a writer's label of long ago must not cover that of somebody else now."""
    github.create("age", BODY, LABELS)
    hub.label(1, "retrain-approved", "ada", "2009-01-01T00:00:00Z")
    hub.events.append({"issue": 1, "event": "unlabeled", "label": {"name": "retrain-approved"}})
    events(hub, before)
    hub.label(1, "retrain-approved", "eve", "2009-07-02T00:00:00Z")
    events(hub, after)
    assert github.labelled_by(1, "retrain-approved") == ("eve", "2009-07-02T00:00:00Z")
    assert len(hub.calls) < 20


def test_a_label_below_all_that_is_read_was_put_on_by_somebody_unknown(hub: Any, github: GitHubTracker) -> None:
    github.create("age", BODY, LABELS)
    hub.label(1, "retrain-approved", "ada", "2009-01-01T00:00:00Z")
    events(hub, 2200)
    assert github.labelled_by(1, "retrain-approved") is None


def test_a_person_edits_the_file(local: LocalTracker) -> None:
    local.create("age", BODY, LABELS)
    path = local.folder / "1.md"
    path.write_text(
        path.read_text().replace("- drift\n", "- drift\n- retrain-approved\n").replace("open: true", "open: false")
    )
    issue = local.find(MARK)
    assert issue is not None and "retrain-approved" in issue.labels and not issue.open
    by = local.labelled_by(1, "retrain-approved")
    assert by is not None and by[0] == "you" and by[1] > "2020"
    path.write_text("nothing\n")
    with pytest.raises(UserError, match=r"1\.md: is no issue"):
        local.all()


def test_where_issues_go(tmp_path: Path) -> None:
    assert open_tracker("", {}) == LocalTracker(Path(".mainline/issues"))
    assert open_tracker(str(tmp_path), {"GITHUB_REPOSITORY": "ada/loans"}) == LocalTracker(tmp_path)
    found = open_tracker("", {"GITHUB_REPOSITORY": "ada/loans", "GITHUB_TOKEN": "t"})
    assert isinstance(found, GitHubTracker) and found.server.repository == "ada/loans"
    with pytest.raises(UserError, match="no token"):
        open_tracker("", {"GITHUB_REPOSITORY": "ada/loans"})
