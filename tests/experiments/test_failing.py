"""Experiments whose analysis fails: said wherever their state is."""

import json

import pytest
from django.core.management import call_command

from crowetrade_site.core import doctor
from crowetrade_site.core.doctor import State
from experiments import jobs
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.factories.experiments import add_sums, returns, running

pytestmark = pytest.mark.django_db(transaction=True)
WHY = "The analysis failed unexpectedly: The analysis of momentum failed; its outcomes are kept."


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch):
    """Do not wait for workers that are not there."""
    monkeypatch.setattr(doctor.current_app.control, "ping", lambda **_: [])


@pytest.fixture
def failing(monkeypatch):
    """An experiment that a worker has looked at, and could not analyze."""
    made = running(account("researcher"), name="momentum")
    add_sums(made, returns(60))

    def broken(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("experiments.plans.analysis.analyze", broken)
        with pytest.raises(ZeroDivisionError):
            jobs.analyze_experiment(experiment_id=made.public_id)
    return made


def told(capsys, *words):
    call_command(*words)
    return capsys.readouterr().out


def diagnosis():
    (found,) = [one for one in doctor.examine() if one.name == "analyses of experiments"]
    return found


class TestFailure:
    def test_is_said_on_the_command_line(self, failing, capsys):
        shown = told(capsys, "show_experiment", "momentum")

        assert f"  {WHY}\n" in shown
        assert "No interval yet" not in shown
        assert f"  {WHY}\n" in told(capsys, "list_experiments")
        as_json = json.loads(told(capsys, "show_experiment", "momentum", "--json"))
        assert as_json["analysis_problem"]["title"] == "The analysis failed unexpectedly"

    def test_is_said_over_rest(self, failing):
        api = client(failing.owner)
        address = f"/api/v1/experiments/{failing.public_id}/analysis/"

        assert problem(api.get(address), 404)["detail"] == (
            f"The experiment momentum has no analysis yet. {WHY}"
        )

    def test_stands_beside_the_last_analysis_that_there_is(self, failing):
        api = client(failing.owner)
        address = f"/api/v1/experiments/{failing.public_id}/analysis/"
        why = type(failing).objects.get(pk=failing.pk).analysis_problem
        jobs.analyze_experiment(experiment_id=failing.public_id)

        assert api.get(address).json()["analysis_problem"] is None
        type(failing).objects.update(analysis_problem=why)
        body = api.get(address).json()

        assert (body["number"], body["analysis_problem"]["title"]) == (1, why["title"])

    def test_is_named_by_the_doctor(self, failing):
        found = diagnosis()

        assert found.state is State.WARNING
        assert found.detail == f"momentum: {WHY}"
        jobs.analyze_experiment(experiment_id=failing.public_id)
        assert (diagnosis().state, diagnosis().detail) == (State.OK, "none fails")
