"""Pages as a person sees them, in headless Chromium; nothing may be asked of the network."""

import re
from pathlib import Path

import pytest
from django.urls import reverse

from backtests import jobs
from backtests.models import Run
from crowetrade_site.core.models import AuditEvent
from tests.factories.backtests import STRATEGY, bars_dataset, queued, study, work_off

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Each chart and the color its curve has, as the style sheet names it.
CHARTS = {
    "ct-equity": "--accent", "ct-drawdown": "--down", "ct-exposure": "--accent",
    "ct-costs": "--accent",
}  # fmt: skip
# How many pixels of a chart's canvases have the color of its curve.
INK = """(box, name) => {
  const probe = document.createElement("i");
  const value = getComputedStyle(box).getPropertyValue(name).trim();
  probe.style.color = value.startsWith("#") ? value : `rgb(${value})`;
  document.body.append(probe);
  const wanted = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  let drawn = 0;
  for (const canvas of box.querySelectorAll("canvas")) {
    if (!canvas.width || !canvas.height) continue;
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    for (let i = 0; i < pixels.length; i += 4) {
      const like = (part, k) => Math.abs(part - pixels[i + k]) < 24;
      drawn += pixels[i + 3] > 200 && wanted.every(like);
    }
  }
  return drawn;
}"""

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs requirements/test.txt")
    if not CHROMIUM.is_file():
        pytest.skip(f"no {CHROMIUM}; install Debian's chromium")
    with pytest.MonkeyPatch.context() as patch, playwright.sync_playwright() as driver:
        # the driver's event loop lives in this thread; the database is used beside it, not in it
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the console and the network had to complain of."""
    return []


@pytest.fixture
def tab(chromium, complaints, live_server):
    """An empty tab that reaches our own server and files alone."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1600}, color_scheme="light")
    page = context.new_page()

    def guard(route):
        if route.request.url.startswith((live_server.url, "file:", "data:")):
            route.continue_()
        else:
            complaints.append(f"asked for {route.request.url}")
            route.abort()

    page.route("**/*", guard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None,
    )
    page.on(
        "response",
        lambda answer: (
            complaints.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        ),
    )
    yield page
    context.close()


@pytest.fixture
def person(tab, live_server, owner):
    """A researcher who has logged in."""
    tab.goto(live_server.url)
    tab.fill("[name=username]", owner.username)
    tab.fill("[name=password]", "pw")
    tab.press("[name=password]", "Enter")
    tab.wait_for_url(f"{live_server.url}{reverse('admin:index')}")
    return tab


def assert_drawn(page) -> None:
    """Assert that every chart shows its curve."""
    for name, color in CHARTS.items():
        page.wait_for_selector(f"#{name} canvas")
        page.wait_for_timeout(300)  # a frame or two, at headless pace
        assert page.eval_on_selector(f"#{name}", INK, color) > 100, f"{name} has no curve"


class TestOverview:
    def test_opens_after_the_login(self, person, complaints):
        assert person.get_by_text("Latest runs").is_visible()
        assert person.get_by_role("link", name="Strategies").first.is_visible()
        assert complaints == []


class TestRunPage:
    def test_draws_its_charts(self, person, live_server, finished, complaints):
        person.goto(live_server.url + reverse("admin:backtests_run_change", args=[finished.pk]))

        assert_drawn(person)
        assert person.locator(".ct-card").count() == 7
        assert complaints == []

    def test_follows_the_dark_mode(self, person, live_server, finished, complaints):
        person.goto(live_server.url + reverse("admin:backtests_run_change", args=[finished.pk]))
        assert_drawn(person)
        background = "getComputedStyle(document.querySelector('.ct-sheet section')).backgroundColor"
        light = person.evaluate(background)

        person.get_by_text("unfold_more").click()
        person.get_by_text("Dark", exact=True).click()
        person.wait_for_selector("html.dark", state="attached")

        assert person.evaluate(background) != light
        assert_drawn(person)
        assert complaints == []

    def test_sorts_its_table_of_figures(self, person, live_server, finished):
        person.goto(live_server.url + reverse("admin:backtests_run_change", args=[finished.pk]))
        table = person.locator("table[data-sortable]").first

        table.locator("th").first.click()
        names = table.locator("tbody tr td:first-child").all_inner_texts()

        assert names == sorted(names, key=lambda name: name.casefold().replace("²", "2"))

    def test_sorts_its_table_of_trades(self, person, live_server, finished):
        person.goto(live_server.url + reverse("admin:backtests_run_change", args=[finished.pk]))
        table = person.locator("section", has_text="Latest trades").last.locator("table")
        profits = "rows => rows.map(row => Number(row.children[6].textContent.replaceAll(',', '')))"

        table.locator("th", has_text="Profit").click()
        rising = table.locator("tbody tr").evaluate_all(profits)

        assert len(rising) > 2
        assert rising == sorted(rising)

    @pytest.mark.parametrize("width", [1400, 400])
    def test_fits_the_screen(self, person, live_server, finished, width):
        person.set_viewport_size({"width": width, "height": 900})
        person.goto(live_server.url + reverse("admin:backtests_run_change", args=[finished.pk]))

        assert person.evaluate("document.documentElement.scrollWidth") <= width


class TestPagesOfOneRow:
    def test_fit_a_narrow_screen_whatever_they_hold(self, person, live_server, finished):
        event = AuditEvent.objects.latest("pk")
        person.set_viewport_size({"width": 400, "height": 900})

        for row in (finished.dataset, event, finished):
            name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
            person.goto(live_server.url + reverse(name, args=[row.pk]))
            assert person.evaluate("document.documentElement.scrollWidth") <= 400
        person.locator("nav a", has_text="Provenance").click()
        person.get_by_text(finished.result_digest).last.wait_for()  # until it is visible
        assert person.evaluate("document.documentElement.scrollWidth") <= 400


# How many pixels of a cell of the surface there are, and how wide a drawing is on the screen.
CELL = """() => {
  const cell = document.querySelector(".ct-q8 path").getBoundingClientRect();
  const drawing = document.querySelector(".ct-drawing").getBoundingClientRect();
  return [cell.width * cell.height, drawing.width];
}"""


class TestStudyPage:
    @pytest.fixture
    def swept(self, owner, tmp_path):
        return study(owner, tmp_path, costs={"commission_bps": 1, "half_spread_bps": 2})

    @pytest.mark.parametrize("width", [1400, 400])
    def test_shows_its_drawings_on_any_screen(self, person, live_server, swept, width, complaints):
        person.set_viewport_size({"width": width, "height": 900})
        person.goto(live_server.url + reverse("admin:backtests_run_change", args=[swept.pk]))

        assert_drawn(person)
        assert person.evaluate("document.documentElement.scrollWidth") <= width
        area, drawn = person.evaluate(CELL)
        assert area > 100
        assert 250 < drawn < width
        assert complaints == []

    def test_sorts_the_leaders(self, person, live_server, swept):
        person.goto(live_server.url + reverse("admin:backtests_run_change", args=[swept.pk]))
        table = person.locator("#ct-study section", has_text="Leaders").last.locator("table")

        table.locator("th").nth(2).click()

        rising = table.locator("tbody tr").evaluate_all(
            "rows => rows.map(row => Number(row.children[2].dataset.value))"
        )
        assert len(rising) == 9
        assert rising == sorted(rising)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_is_a_report_that_needs_no_network(self, tab, swept, tmp_path, scheme, complaints):
        from backtests import selectors

        path = tmp_path / "report.html"
        path.write_text(selectors.render_report(swept))
        tab.emulate_media(color_scheme=scheme)

        tab.goto(path.as_uri())

        assert_drawn(tab)
        assert tab.evaluate(CELL)[0] > 100
        assert complaints == []


# The words of drawings that reach out of their drawing, or into another word of it.
OVERFLOW = """() => [...document.querySelectorAll("#ct-study svg.ct-drawing")].flatMap(svg => {
  const frame = svg.getBoundingClientRect();
  const words = [...svg.querySelectorAll("text")].map(text => [text, text.getBoundingClientRect()]);
  const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1
    || a.bottom <= b.top + 4 || b.bottom <= a.top + 4;
  const out = words.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1
    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
  const over = words.flatMap(([text, box], at) => words.slice(at + 1)
    .filter(([, other]) => !apart(box, other))
    .map(([other]) => `${text.textContent} over ${other.textContent}`));
  return [...out.map(([text]) => text.textContent), ...over];
})"""


# Tables that are wider than the box that they can be scrolled in, or have none.
BARE = """() => [...document.querySelectorAll(".ct-table, .ct-months")].filter(table => {
  const box = table.closest(".ct-scroll");
  return !box || box.getBoundingClientRect().right > innerWidth
    || box.parentElement.scrollWidth > box.parentElement.clientWidth;
}).map(table => table.textContent.slice(0, 60))"""
# Drawings that have no neighbor in their row, and do not have the row for themselves.
HALF_EMPTY = """() => [...document.querySelectorAll(".ct-drawings figure")].filter(figure => {
  const box = figure.getBoundingClientRect();
  const isAlone = ![...figure.parentElement.children].some(other => other !== figure
    && Math.abs(other.getBoundingClientRect().top - box.top) < 2);
  return isAlone && box.width < figure.parentElement.getBoundingClientRect().width - 2;
}).map(figure => figure.textContent.slice(0, 60))"""


class TestPagesOfFoldsAndComparisons:
    OVER = {"signals.0.slow_bars": {"low": 5, "high": 30, "step": 1}}
    HELD = {"quick": STRATEGY, "a rather long name of one": "buy_and_hold"}
    SECTIONS = {
        "walk_forward": {
            "train_days": 40, "test_days": 20, "purge_days": 3, "embargo_days": 2,
            "search": {"kind": "tpe", "n_trials": 6, "generation": 3, "startup": 3, "over": OVER},
        },
        "cross_validation": {
            "n_groups": 4, "n_test_groups": 2, "purge_days": 3, "embargo_days": 2,
            "search": {"kind": "random", "n_trials": 6, "over": OVER},
        },
        "comparison": {"strategies": HELD, "benchmark": "quick"},
    }  # fmt: skip
    N_DRAWINGS = {"walk_forward": 4, "cross_validation": 5, "comparison": 1}

    @pytest.mark.parametrize("kind", SECTIONS)
    def test_fit_any_screen_and_the_report(
        self, person, live_server, owner, tmp_path, kind, complaints
    ):
        from backtests import selectors

        dataset = bars_dataset(tmp_path, owner, n_days=120)
        run = work_off(queued(owner, dataset.name, kind=kind, **{kind: self.SECTIONS[kind]}))
        path = tmp_path / "report.html"
        path.write_text(selectors.render_report(run))
        page = live_server.url + reverse("admin:backtests_run_change", args=[run.pk])

        for address in (page, path.as_uri()):
            for width in (1400, 400):
                person.set_viewport_size({"width": width, "height": 900})
                person.goto(address)
                assert person.evaluate("document.documentElement.scrollWidth") <= width
                assert person.evaluate(BARE) == []
                assert person.evaluate(HALF_EMPTY) == []
                if kind != "comparison":
                    assert person.locator(".ct-outside").bounding_box()["y"] < 450
                assert person.locator("#ct-study .ct-drawing").count() >= self.N_DRAWINGS[kind]
                assert person.evaluate(OVERFLOW) == []
        assert complaints == []


class TestQueueDialog:
    def test_queues_a_run_and_follows_it_to_its_charts(
        self, person, live_server, owner, tmp_path, complaints
    ):
        bars_dataset(tmp_path, owner)
        person.goto(live_server.url + reverse("admin:backtests_run_changelist"))

        person.get_by_text("Queue a run").first.click()
        person.fill("#dialog textarea[name=spec]", "dataset: tyny\nstrategy: buy_and_hold")
        person.locator("#dialog button[type=submit]").click()
        person.wait_for_selector("#dialog >> text=did you mean 'tiny'?")
        spec = "dataset: tiny\nstrategy: buy_and_hold\ncosts: {commission_bps: 1}"
        person.fill("#dialog textarea[name=spec]", spec)
        person.locator("#dialog button[type=submit]").click()
        person.wait_for_url(re.compile(r"/admin/backtests/run/\d+/change/"))
        assert person.get_by_text("Waiting for a worker").is_visible()

        jobs.execute_run(run_id=Run.objects.get().public_id, worker="test")
        person.wait_for_selector("#ct-equity canvas", timeout=10_000)  # the page loads anew
        assert_drawn(person)
        assert complaints == []

    def test_stands_alone_in_another_tab(self, person, live_server, tmp_path, owner, complaints):
        bars_dataset(tmp_path, owner)
        runs = live_server.url + reverse("admin:backtests_run_changelist")
        person.goto(live_server.url + reverse("admin:backtests_run_queue"))
        background = (
            "getComputedStyle(document.querySelector('#dialog button[type=submit]')).borderRadius"
        )
        assert person.evaluate(background) != "0px"

        person.fill("textarea[name=spec]", "dataset: tyny\nstrategy: buy_and_hold")
        person.locator("#dialog button[type=submit]").click()
        person.wait_for_selector("text=did you mean 'tiny'?")
        person.get_by_text("Cancel").click()
        person.wait_for_url(runs)

        person.goto(live_server.url + reverse("admin:backtests_run_queue"))
        person.fill("textarea[name=spec]", "dataset: tiny\nstrategy: buy_and_hold")
        person.locator("#dialog button[type=submit]").click()
        person.wait_for_url(re.compile(r"/admin/backtests/run/\d+/change/"))
        assert complaints == []


class TestReport:
    def test_draws_its_charts_from_a_file(self, tab, finished, tmp_path, complaints):
        from backtests import selectors

        path = tmp_path / "report.html"
        path.write_text(selectors.render_report(finished))

        tab.goto(path.as_uri())

        assert_drawn(tab)
        assert complaints == []

    def test_follows_the_systems_dark_mode(self, tab, finished, tmp_path):
        from backtests import selectors

        path = tmp_path / "report.html"
        path.write_text(selectors.render_report(finished))
        tab.goto(path.as_uri())
        paper = "getComputedStyle(document.body).backgroundColor"
        light = tab.evaluate(paper)

        tab.emulate_media(color_scheme="dark")

        assert tab.evaluate(paper) != light
        assert_drawn(tab)
