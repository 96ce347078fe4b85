"""What is asked next, what is asked once, and how what was found becomes small."""

import asyncio
import sys
from collections import Counter
from itertools import islice
from math import inf, nan

import pytest

import gnomon
from gnomon.core.config import describe
from gnomon.core.errors import DocumentError, UsageError
from gnomon.data.worlds import shop
from gnomon.fuzz.base import (
    NOTHING,
    Answer,
    Api,
    Case,
    Exchange,
    Media,
    Operation,
    Parameter,
    Reply,
    Request,
    Violation,
)
from gnomon.fuzz.checks import CHECKS, Promises
from gnomon.fuzz.checks.fingerprint import fingerprint
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.making import Maker
from gnomon.fuzz.probes import methods_of, missing_parts, probes
from gnomon.fuzz.scheduling import Arm, Novelty, Play, Schedule
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.state.memory import Memory
from gnomon.fuzz.targets import opened
from gnomon.fuzz.triage import Triage
from gnomon.fuzz.triage.smaller import simpler, smaller_cases
from gnomon.fuzz.values import Draws
from gnomon.fuzz.variation import Variation

BODY = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "user_id": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}
MAKE = Operation(
    method="POST",
    path="/things",
    parameters=(
        Parameter(name="n", location="query", schema={"type": "integer", "minimum": 1}, required=True, style="form"),
        Parameter(name="q", location="query", schema={"type": "string"}, required=False, style="form"),
    ),
    bodies={"application/json": Media(schema=BODY, examples=({"name": "ann"},))},
    body_required=True,
    answers={"201": Answer()},
)
READ = Operation(method="GET", path="/things/{id}")
API = Api(title="", version="", dialect="openapi-3.1", operations=(MAKE, READ))


def _maker():
    return Maker(API, Memory(API))


def test_made_cases_are_within_the_schema_and_what_is_changed_is_not():
    maker, rng = _maker(), Draws(0)
    variation = Variation(maker)
    assert all(maker.is_valid(maker.valid(MAKE, rng)) for _ in range(50))
    for part in maker.parts(MAKE):
        cases = list(islice(variation.faults(MAKE, part, rng), 30))
        assert cases and not any(maker.is_valid(case) for case in cases)
        assert all(case.mode == "invalid" and len(case.why) == 1 for case in cases)
        assert {case.why[0].location for case in cases} == {part.location}
        for case in islice(variation.borders(MAKE, part, rng), 60):
            assert maker.is_valid(case) is (case.mode == "valid")


def test_a_negative_has_one_fault_but_one_in_ten():
    variation, rng = Variation(_maker()), Draws(1)
    found = Counter(len(variation.negative(MAKE, rng).why) for _ in range(300))
    assert found[1] > 240 and found[2] > 5


def test_examples_of_the_document_are_cases_of_their_own():
    (case,) = _maker().examples(MAKE, Draws(0))
    assert case.body == {"name": "ann"} and case.technique == "pool"  # n is required and has no example


def test_identifiers_name_what_lives():
    maker = _maker()
    maker._memory.learn(_exchange(Operation(method="POST", path="/things"), 201, b'{"user_id": 77}'))
    value = maker.referring({"name": "a", "user_id": 1, "deep": [{"userId": 2}]}, Draws(3), MAKE, besides="/user_id")
    assert value["user_id"] == 1 and value["deep"][0]["userId"] in (2, 77)


def test_a_thing_is_named_below_it_whatever_its_parameter_is_called():
    key = {
        name: Parameter(name=name, location="path", schema={"type": "string"}, required=True)
        for name in ("id", "user_id")
    }
    make = Operation(method="POST", path="/users")
    read = Operation(method="GET", path="/users/{id}", parameters=(key["id"],))
    order = Operation(method="POST", path="/users/{user_id}/orders", parameters=(key["user_id"],))
    api = Api(title="", version="", dialect="openapi-3.1", operations=(make, read, order))
    memory = Memory(api)
    memory.learn(_exchange(make, 201, b'{"id": "ann-77"}'))
    maker = Maker(api, memory)
    made = [maker.valid(order, Draws(i)).parameters["path", "user_id"] for i in range(20)]
    assert made.count("ann-77") > 5


def test_other_names_stay_within_the_schema():
    case = Case(operation=MAKE, body={"name": "ann"}, media_type="application/json")
    found = {_maker().renamed(case, Draws(i)).body["name"] for i in range(20)}
    assert len(found) > 5 and all(len(each) <= 5 for each in found)
    kept = _maker().renamed(case, Draws(0), besides="/name")
    assert kept.body == {"name": "ann"}
    # A server may have the empty one too.
    empty = Case(operation=MAKE, body={"name": ""}, media_type="application/json")
    assert _maker().renamed(empty, Draws(0)).body["name"]


def test_other_names_break_nothing_more_of_a_body_that_is_broken():
    members = {"name": {"type": "string"}, "unit": {"enum": ["kg", "m"]}, "size": {"type": "integer", "minimum": 0}}
    make = Operation(method="POST", path="/sizes", bodies={"application/json": Media(schema={"properties": members})})
    api = Api(title="", version="", dialect="openapi-3.1", operations=(make,))
    case = Case(operation=make, body={"name": "ann", "unit": "kg", "size": -1}, media_type="application/json")
    found = [Maker(api, Memory(api)).renamed(case, Draws(i)).body for i in range(20)]
    assert {each["unit"] for each in found} <= {"kg", "m"} and {each["size"] for each in found} == {-1}
    assert len({each["name"] for each in found}) > 5


def test_what_is_required_is_left_out_once_each():
    case = Case(operation=MAKE, parameters={("query", "n"): 1}, body={"name": "a"}, media_type="application/json")
    found = [(each.why[0].location, each.why[0].pointer) for each in missing_parts(case)]
    assert found == [("query", "/n"), ("body", "")]


def test_probes_are_about_the_server():
    case = Case(operation=MAKE, parameters={("query", "n"): 1}, body={"name": "a"}, media_type="application/json")
    found = list(probes(lambda: case, {"POST"}))
    assert {each.mode for each in found} == {"probe"}
    assert "DELETE" in {each.method for each in found} and "POST" not in {each.method for each in found}
    bodies = {each.body for each in found if isinstance(each.body, bytes)}
    assert {b"", b'{"name":"a","name":"a"}', b'{"name":"a",}'} <= bodies


def test_small_cases_come_one_step_at_a_time_and_keep_what_is_needed():
    parameters = {("query", "n"): 8, ("query", "q"): "abc"}
    case = Case(operation=MAKE, parameters=parameters, body={"name": "ab", "user_id": 4}, media_type="application/json")
    found = list(smaller_cases(case, frozenset({("query", "n")})))
    assert all(each.parameters.get(("query", "n")) == 8 for each in found)
    assert any(("query", "q") not in each.parameters for each in found)
    assert {"name": "ab"} in [each.body for each in found] and NOTHING not in [each.body for each in found]


def test_values_shrink_to_an_end():
    value = {"a": [1, {"b": "text"}, 3.5], "c": None}
    for _ in range(500):
        smaller = next(simpler(value), None)
        if smaller is None:
            break
        value = smaller
    assert value == {}
    assert list(simpler(0)) == list(simpler("")) == list(simpler([])) == list(simpler(None)) == []


def _exchange(operation, status, body=b"", headers=()):
    case = Case(operation=operation)
    reply = Reply(status=status, body=body, headers=headers)
    return Exchange(case=case, request=Request(method=operation.method, target="/"), reply=reply)


def test_what_brings_news_is_asked_more_often():
    arms = [Arm("valid", MAKE), Arm("valid", READ)]
    schedule, counts = Schedule(iter(()), arms, Draws(0)), Counter()
    for _ in range(600):
        play = schedule.next()
        counts[play.about.key] += 1
        play.arm.learn(play.about is READ)
    assert counts[READ.key] > 4 * counts[MAKE.key]


def test_what_is_refused_again_and_again_hardly_comes_back():
    arms = [Arm("valid", MAKE), Arm("valid", READ)]
    schedule = Schedule(iter(()), arms, Draws(0))
    for _ in range(6):
        schedule.saw(_exchange(MAKE, 403))
    counts = Counter(schedule.next().about.key for _ in range(300))
    assert counts[MAKE.key] < 15
    schedule.saw(_exchange(MAKE, 200))
    assert Counter(schedule.next().about.key for _ in range(300))[MAKE.key] > 60


def test_what_is_busy_waits_and_is_not_lost():
    plays = [Play("probe", MAKE), Play("probe", READ), Play("probe", MAKE)]
    schedule = Schedule(iter(plays), [Arm("valid", READ)], Draws(0), share=1.0)
    assert schedule.next(lambda about: about is MAKE) is plays[1]
    assert [schedule.next(), schedule.next()] == [plays[0], plays[2]]


def test_what_is_busy_for_long_holds_up_nothing_behind_it():
    plays = [Play("probe", MAKE), Play("probe", READ)]
    schedule = Schedule(iter(plays), [Arm("valid", READ)], Draws(0), share=1.0)
    assert schedule.next(lambda about: True).arm, "both wait"
    assert schedule.next(lambda about: about is MAKE) is plays[1]


def test_what_is_slow_has_no_more_than_some_times_its_share_of_the_seconds():
    others = tuple(Operation(method="GET", path=f"/others/{i}") for i in range(10))
    seconds = {"/things/1": 8.0, "/things/2": 0.4}

    class Uneven:
        async def send(self, request, *, timeout):
            return Reply(status=200, seconds=seconds.get(request.target, 0.4))

    sender = Sender(Api(title="", version="", dialect="openapi-3.1", operations=(READ, *others)), Uneven())

    def ask(operation, **path):
        case = Case(operation=operation, parameters={("path", name): value for name, value in path.items()})
        asyncio.run(sender.send(case, again=True))

    ask(READ, id=2)
    assert not sender.busy(READ), "it is not slow"
    ask(READ, id=1)
    assert sender.busy(READ), "it has had 8.4 of 8.4 seconds, and three times an eleventh is its share"
    for _ in range(6):
        for each in others:
            ask(each)
    assert not sender.busy(READ) and not any(map(sender.busy, others))


def test_the_first_part_has_its_share_of_requests_whatever_a_play_costs():
    plays = (Play("probe", MAKE) for _ in range(1000))
    schedule, spent = Schedule(plays, [Arm("story", READ)], Draws(0), share=0.7), Counter()
    for _ in range(300):
        play = schedule.next()
        requests = 12 if play.arm else 1
        spent[play.technique] += requests
        schedule.played(play, requests)
    assert 0.6 < spent["probe"] / spent.total() < 0.8


def test_an_arm_is_worth_what_it_brings_a_request():
    dear, cheap = Arm("story", MAKE), Arm("valid", READ)
    for _ in range(50):
        dear.learn(1, 12)
        cheap.learn(1)
    assert cheap.won / cheap.lost > 5 * dear.won / dear.lost


def test_a_reply_is_news_once():
    novelty = Novelty(fingerprint)
    assert novelty.saw(_exchange(READ, 200, b'{"id": 1}')) and not novelty.saw(_exchange(READ, 200, b'{"id": 2}'))
    assert novelty.saw(_exchange(READ, 404)) and novelty.saw(_exchange(MAKE, 404))


@pytest.mark.parametrize(
    ("named", "given", "said"),
    [
        ("http://example.org/openapi.json", {}, "example.org"),
        ("{file}", {}, "no server is named"),
        ("{file}", {"url": "http://8.8.8.8"}, "is not this machine"),
        ("{file}", {"url": "ftp://127.0.0.1"}, "ftp://127.0.0.1 is no address of a web server"),
        ("{file}", {"url": "http://127.0.0.1:99999"}, "is no address of a web server"),
        ("{file}", {"url": "http://127.0.0.1:1", "include": ("GET /nowhere",)}, "operations is left"),
        ("nothing.there:app", {}, "cannot be imported"),
        ("nothing.there", {"app": "nothing.there:app"}, "^--app: nothing.there cannot be imported"),
        ("json:nothing", {}, "no attribute 'nothing'"),
    ],
)
def test_nobody_else_is_sent_to_and_mistakes_are_said_in_a_line(named, given, said, tmp_path):
    file = tmp_path / "openapi.json"
    file.write_text('{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": {}}}}')
    with pytest.raises(Exception, match=said) as caught:
        opened(named.format(file=file), Fuzzing(**given))
    assert type(caught.value).__module__ == UsageError.__module__


@pytest.mark.parametrize("text", ["raise RuntimeError('no database')", "def (", "raise SystemExit('no database')"])
def test_a_module_of_the_current_folder_that_fails_is_the_users_mistake(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "shop_that_fails.py").write_text(text)
    with pytest.raises(UsageError, match=r"shop_that_fails cannot be imported: (RuntimeError|SyntaxError|SystemExit)"):
        opened("shop_that_fails:app", Fuzzing())


def test_a_document_without_operations_is_said_to_have_none(tmp_path):
    file = tmp_path / "openapi.json"
    file.write_text('{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {}}')
    with pytest.raises(DocumentError, match="the document has no operations"):
        opened(str(file), Fuzzing(url="http://127.0.0.1:1"))


def test_checks_are_those_that_are_named_and_help_names_them_all():
    assert Fuzzing(checks=("use_after_delete",)).chosen == {}
    assert "use_after_delete" not in Fuzzing(checks=("use_after_delete",)).unwanted
    assert set(Fuzzing(checks=("-server_error", "-ignored_auth")).chosen) == set(CHECKS) - {"server_error"}
    assert Fuzzing(checks=("-ignored_auth",)).unwanted == {"ignored_auth"} and not Fuzzing().unwanted
    several = Fuzzing(checks=("server_error",)).unwanted
    told = next(each.help for each in describe(Fuzzing) if each.name == "checks")
    assert all(name in told for name in (*CHECKS, *several))
    app = shop.make_app()
    found = gnomon.fuzz(app, checks=("server_error",), max_requests=500, connections=1, bearer="token-of-alice")
    assert {each.violation.check for each in found.defects} == {"server_error"}


def test_what_sounds_like_a_shutdown_is_left_alone_unless_it_is_named(tmp_path):
    file = tmp_path / "openapi.json"
    paths = '{"/shutdown": {"post": {}}, "/a": {"get": {}}}'
    file.write_text('{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": ' + paths + "}")
    local = "http://127.0.0.1:1"
    assert [each.key for each in opened(str(file), Fuzzing(url=local)).api.operations] == ["GET /a"]
    named = Fuzzing(url=local, include=("POST /shutdown",))
    assert [each.key for each in opened(str(file), named).api.operations] == ["POST /shutdown"]


def test_what_is_left_alone_is_not_tried_as_another_method_of_its_path(tmp_path):
    file = tmp_path / "openapi.json"
    paths = '{"/a": {"get": {}, "delete": {}, "post": {"operationId": "terminate"}}}'
    file.write_text('{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": ' + paths + "}")
    api = opened(str(file), Fuzzing(url="http://127.0.0.1:1", exclude=("DELETE *",))).api
    (get,) = api.operations
    asked = {each.method for each in probes(lambda: Case(operation=get), methods_of(api.operations)["/a"])}
    assert "PUT" in asked and not asked & {"GET", "DELETE", "POST"}
    assert Promises(api).methods["/a"] == {"GET", "DELETE", "POST"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_time": 0},
        {"max_time": nan},
        {"max_time": inf},
        {"rate": -1.0},
        {"slow": nan},
        {"checks": ("servererror",)},
        {"without": ("state",)},
        {"url": "http://h", "app": "a:b"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        Fuzzing(**wrong)


def test_what_several_requests_showed_once_and_never_again_is_advice():
    class Empty:
        async def send(self, request, *, timeout):
            return Reply(status=404)

        async def close(self):
            pass

    triage = Triage(Sender(API, Empty()), valid=lambda case: True, other=lambda case: case)
    exchange = _exchange(READ, 404)
    for holds, certain in ((lambda steps: False, False), (lambda steps: True, True)):
        key = ("created_not_found", str(certain))
        more = {"title": "", "severity": "high", "certain": True, "steps": (exchange,), "holds": holds}
        triage.offer(Violation(check="created_not_found", key=key, **more))
        defect = asyncio.run(triage.settle())
        assert (defect.violation.certain, defect.reproduced[0] > 0) == (certain, certain)


def test_what_refers_to_another_thing_keeps_its_name_and_numbers_out_of_urls_are_numbers():
    make = Operation(method="POST", path="/users")
    user, order = Operation(method="GET", path="/users/{id}"), _ordering()
    api = Api(title="", version="", dialect="openapi-3.1", operations=(make, user, order))
    maker = Maker(api, Memory(api))
    maker._memory.learn(_exchange(make, 201, headers=(("location", "/users/77"),)))
    rng = Draws(0)
    referring = {maker.referring({"user_id": 5}, rng, order)["user_id"] for _ in range(30)}
    assert referring == {5, 77}
    case = Case(
        operation=order, body={"user_id": 77, "user_name": "ann", "title": "abc"}, media_type="application/json"
    )
    other = maker.renamed(case, rng).body
    assert other["title"] != "abc" and (other["user_id"], other["user_name"]) == (77, "ann")


def _ordering():
    members = {"user_id": {"type": "integer"}, "user_name": {"type": "string"}, "title": {"type": "string"}}
    body = Media(schema={"type": "object", "properties": members})
    return Operation(method="POST", path="/orders", bodies={"application/json": body}, body_required=True)
