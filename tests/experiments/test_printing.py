"""The report of an experiment on paper: a browser lays it out as its printer does."""

import pytest

from experiments import selectors, services
from tests.backtests.test_browser import chromium, complaints, tab  # noqa: F401 - fixtures
from tests.factories.accounts import account
from tests.factories.experiments import later, running

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HIDDEN = """() => {
    const rows = document.querySelector(".ct-rows");
    return rows.scrollHeight - rows.clientHeight;
}"""


class TestReport:
    def test_has_its_whole_history_on_paper(self, tab, tmp_path):  # noqa: F811
        owner = account()
        made = running(owner, design="assigned")
        for minutes in range(25):
            services.reallocate(
                experiment_id=made.public_id, weights={"champion": 0.5, "challenger": 0.5},
                reason=f"change {minutes}", actor=owner, at=later(minutes=minutes),
            )  # fmt: skip
        path = tmp_path / "report.html"
        path.write_text(selectors.render_report(selectors.get_experiment(made.public_id)))
        tab.goto(path.as_uri())
        more = tab.get_by_text("entries; scroll in the table for the older ones.")

        assert tab.evaluate(HIDDEN) > 100
        assert more.is_visible()
        tab.emulate_media(media="print")

        assert tab.evaluate(HIDDEN) <= 0
        assert not more.is_visible()
        assert tab.get_by_text("change 0", exact=True).is_visible()
