"""The registry's pages as a person sees them, in headless Chromium: wide and narrow, both modes."""

# ruff: noqa: F811 - fixtures of another module are arguments here

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from crowetrade_site.core.roles import Role
from registry import services
from registry.lifecycle import Stage
from tests.backtests.test_browser import chromium, complaints, tab  # noqa: F401 - fixtures
from tests.factories.accounts import account
from tests.factories.registry import (
    attest_drill,
    bring_evidence,
    model_version,
    promotion,
    registered_model,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SIZES = [(1280, 1400), (400, 900)]
# What is wider than the page, and is not in a box that scrolls by itself.
TOO_WIDE = """() => [...document.querySelectorAll('.rg *')].filter(one => {
  const box = one.getBoundingClientRect();
  for (let up = one; up; up = up.parentElement)
    if (getComputedStyle(up).overflowX !== 'visible') return false;
  return box.right > document.documentElement.clientWidth + 1;
}).map(one => one.className || one.tagName)"""
CONTRAST = """() => {
  const parse = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = rgb => { const [r, g, b] = rgb.map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  return [...document.querySelectorAll('.rg section p, .rg section td, .rg section small')]
    .filter(one => one.innerText && one.offsetParent).map(one => {
      const card = one.closest('section');
      const [a, b] = [getComputedStyle(one).color, getComputedStyle(card).backgroundColor]
        .map(parse).map(light);
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })
    .reduce((least, one) => Math.min(least, one), 21);
}"""


@pytest.fixture
def people(transactional_db):
    return account(Role.RESEARCHER, "author"), account(Role.VALIDATOR, "vera")


@pytest.fixture
def story(people):
    """A model whose version climbed to staging and asks for production, and the two pages."""
    author, validator = people
    model = registered_model(author, "momentum-gbm")
    version = model_version(author, model=model, stage=Stage.TESTING)
    at = timezone.now() - timedelta(days=2)
    request = promotion(version, author, validator=validator, at=at)
    services.approve_promotion(
        request_id=request.public_id, actor=validator, at=at + timedelta(hours=1),
        comment="Folds checked.",
    )  # fmt: skip
    version.refresh_from_db()
    bring_evidence(version, at=timezone.now(), sharpe=1.234567891234)
    attest_drill(version, validator, timezone.now())
    wish = services.request_promotion(
        version_id=version.public_id, target=Stage.PRODUCTION, actor=author, at=timezone.now(),
        reason="It holds out of sample.",
    )  # fmt: skip
    return {"model": model, "version": version, "promotion": wish}


def open_page(tab, live_server, person, row):
    tab.goto(live_server.url)
    tab.fill("[name=username]", person.username)
    tab.fill("[name=password]", "pw")
    tab.press("[name=password]", "Enter")
    tab.wait_for_url(f"{live_server.url}{reverse('admin:index')}")
    name = f"admin:registry_{row._meta.model_name}_change"
    tab.goto(live_server.url + reverse(name, args=[row.pk]))


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["model", "version", "promotion"])
class TestPages:
    def test_fit_and_can_be_read(
        self, tab, complaints, live_server, people, story, name, size, mode, shots
    ):
        tab.set_viewport_size({"width": size[0], "height": size[1]})
        tab.emulate_media(color_scheme=mode)
        tab.add_init_script(f"localStorage.setItem('_x_adminTheme', '\"{mode}\"')")

        open_page(tab, live_server, people[1], story[name])
        shots(tab, f"{name}-{mode}-{size[0]}")

        assert tab.locator(".rg section").count() >= 2
        assert tab.evaluate(TOO_WIDE) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert tab.evaluate("document.documentElement.classList.contains('dark')") is (
            mode == "dark"
        )
        assert tab.evaluate(CONTRAST) >= 4.5
        assert complaints == []


class TestPromotion:
    def test_is_approved_on_its_page(self, tab, live_server, people, story):
        open_page(tab, live_server, people[1], story["promotion"])
        assert tab.locator(".rg-gates li").count() == 4
        assert tab.locator(".rg-met").count() == 4

        tab.locator("a:visible", has_text="Approve").first.click()
        tab.wait_for_selector("[name=evidence_digest]", state="attached")
        tab.fill("[name=reason]", "Read it.")
        tab.locator("button[type=submit]:visible", has_text="Approve").last.click()
        tab.wait_for_selector("text=You have approved the promotion.")

        assert story["promotion"].approvals.count() == 1


class TestDialogs:
    """What a test of the server alone cannot see: encodings, scripts, and what fits."""

    def press(self, tab, text, *, form=True):
        if tab.viewport_size["width"] < 1000:
            tab.locator("span:text-is('more_horiz')").first.click()
        tab.locator("ul a:visible", has_text=text).first.click()
        if form:
            tab.wait_for_selector("#dialog")

    def send(self, tab):
        tab.locator("#dialog button[type=submit]").click()

    def test_take_files_and_keep_them_through_a_refusal(
        self, tab, complaints, live_server, people, story, tmp_path
    ):
        paths = [tmp_path / "parameters.json", tmp_path / "notes.json"]
        for number, path in enumerate(paths):
            path.write_text(f'{{"number": {number}}}')
        open_page(tab, live_server, people[0], story["model"])

        self.press(tab, "Register a version")
        tab.set_input_files("[name=files]", paths)
        tab.fill("[name=signature]", '{"inputs": 7}')
        self.send(tab)
        tab.wait_for_selector("#dialog [role=alert]")
        assert "no list of objects" in tab.inner_text("#dialog [role=alert]")
        assert tab.input_value("[name=source]").startswith("forms/")
        tab.fill("[name=signature]", "")
        self.send(tab)
        tab.wait_for_selector("text=a worker looks at its files")

        made = story["model"].versions.get(number=2)
        assert [file["path"] for file in made.manifest["files"]] == [
            "notes.json", "parameters.json",
        ]  # fmt: skip
        assert complaints == []

    def test_take_no_more_files_than_a_request_may_have(
        self, tab, complaints, live_server, people, story, tmp_path, settings
    ):
        settings.DATA_UPLOAD_MAX_NUMBER_FILES = 1
        paths = [tmp_path / "a.json", tmp_path / "b.json"]
        for path in paths:
            path.write_text("{}")
        open_page(tab, live_server, people[0], story["model"])

        self.press(tab, "Register a version")
        tab.set_input_files("[name=files]", paths)
        tab.wait_for_selector("text=These are 2 files, and up to 1 go at once")
        assert tab.evaluate("document.querySelector('[name=files]').files.length") == 0
        tab.set_input_files("[name=files]", paths[:1])
        tab.wait_for_selector("text=These are 2 files", state="hidden")

        assert complaints == []

    def test_write_only_what_was_changed_of_a_card(
        self, tab, complaints, live_server, people, story
    ):
        model = story["model"]
        type(model).objects.filter(pk=model.pk).update(
            description="One.\nTwo.", dependencies=["feed", "calendar"]
        )
        open_page(tab, live_server, people[0], model)

        self.press(tab, "Edit card")
        self.send(tab)
        tab.wait_for_selector("text=Nothing was changed.")
        tab.fill("[name=review_date]", "2031-01-02")
        self.send(tab)
        tab.wait_for_selector("text=The card is written.")

        model.refresh_from_db()
        assert (model.description, model.dependencies) == ("One.\nTwo.", ["feed", "calendar"])
        assert str(model.review_date) == "2031-01-02"
        assert complaints == []

    @pytest.mark.parametrize("size", SIZES)
    def test_reach_the_button_however_low_the_window(
        self, tab, live_server, people, story, size, shots
    ):
        open_page(tab, live_server, people[0], story["model"])
        tab.set_viewport_size({"width": size[0], "height": 600})

        self.press(tab, "Edit card")
        shots(tab, f"card-{size[0]}")

        for place in ("#dialog h1", "#dialog button[type=submit]"):
            box = tab.locator(place).first.bounding_box()
            assert box["y"] >= 0, place
            assert box["y"] + box["height"] <= 600, place

    @pytest.mark.parametrize("mode", ["light", "dark"])
    @pytest.mark.parametrize("size", SIZES)
    def test_lead_to_two_versions_side_by_side(
        self, tab, complaints, live_server, people, story, size, mode, shots
    ):
        tab.set_viewport_size({"width": size[0], "height": size[1]})
        tab.add_init_script(f"localStorage.setItem('_x_adminTheme', '\"{mode}\"')")
        model_version(people[0], model=story["model"])
        open_page(tab, live_server, people[1], story["version"])

        self.press(tab, "Compare", form=False)
        tab.wait_for_selector(".rg-differs")
        shots(tab, f"compare-{mode}-{size[0]}")

        assert tab.evaluate(TOO_WIDE) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
        inside = ".rg-beside", "e => e.scrollWidth <= e.parentElement.clientWidth"
        assert tab.eval_on_selector(*inside)
        assert tab.evaluate(CONTRAST) >= 4.5
        assert complaints == []


@pytest.fixture
def shots(request):
    """Keep a picture of a page where CROWETRADE_SHOTS names a folder."""
    import os
    from pathlib import Path

    folder = os.environ.get("CROWETRADE_SHOTS")

    def keep(page, name):
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    return keep
