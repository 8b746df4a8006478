"""The studio's page in a real Chromium, with the real server: what is done, and what comes out.

Needs Chromium (`make test` installs Debian's where it may) and Playwright; skipped without them.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("python_multipart")
pytest.importorskip("prometheus_client")

from PIL import Image
from playwright import sync_api as api

from conftest import synthetic_painting, synthetic_photo
from studios import Server, png, serving

pytestmark = pytest.mark.usefixtures("narrow_encoder")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

LONG = 120_000
"""Milliseconds for a picture: a shared machine may be busy."""


class PageServer(Server):
    """A server whose page is looked at."""

    @property
    def url(self) -> str:
        return self.address.partition("#")[0]

    def restart(self, *flags: str) -> None:
        assert self.end() == 0
        self.command += flags
        self.start()

    def get(self, path: str) -> bytes:
        return self.client.get(path).raise_for_status().content

    def jobs(self) -> list[dict]:
        return json.loads(self.get("v1/jobs?limit=100"))["jobs"]

    def read_result(self, job: str) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.result(job))).convert("RGB"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("studio"), "--device", "cpu", of=PageServer) as served:
        yield served


@pytest.fixture(scope="module")
def browser():
    api.expect.set_options(timeout=LONG)
    with api.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@contextlib.contextmanager
def opened(browser, address, expected=None, **options):
    """A page that is ready; it fails if its console has any complaint but the one expected."""
    options = {"viewport": {"width": 960, "height": 640}, **options}
    context = browser.new_context(reduced_motion="reduce", **options)
    page = context.new_page()
    page.set_default_timeout(LONG)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda each: each.type == "error" and complaints.append(each.text))
    page.goto(address)
    page.locator("html[data-ready]").wait_for()
    yield page
    context.close()
    assert [each for each in complaints if not expected or expected not in each] == []


@pytest.fixture
def page(browser, server):
    with opened(browser, server.url) as one:
        yield one


def drop(page, target: str, name: str, data: bytes, kind: str = "image/png") -> None:
    """A file is dragged over the window and let go on one of the places that then appear."""
    page.evaluate(
        """([name, bytes, type]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], name, { type }));
          window.dropped = data;
          const event = (type) => new DragEvent(type, { dataTransfer: data, bubbles: true });
          document.body.dispatchEvent(event("dragenter"));
        }""",
        [name, list(data), kind],
    )
    place = page.locator(f"#targets [data-drop={target}]")
    assert place.is_visible()
    place.evaluate(
        """(place) => place.dispatchEvent(new DragEvent(
             "drop", { dataTransfer: window.dropped, bubbles: true, cancelable: true }))"""
    )


def settle(page, recipe="sketch", size="", steps="3"):
    """As little effort as shows anything."""
    page.select_option("#recipe", recipe)
    page.select_option("#size", size)
    page.fill("#steps", steps)


def choose(page, name="photo.png", painting="pond", **effort):
    """A small photo and a shipped painting."""
    settle(page, **effort)
    page.set_input_files(
        "#photo-input", {"name": name, "mimeType": "image/png", "buffer": png(synthetic_photo())}
    )
    page.click(f"[data-style={painting}]")


def wait_until(page, true) -> None:
    """Give the page time until something outside of it has happened."""
    for _ in range(LONG // 50):
        if true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never happened")


def finished(page) -> str:
    """The id of the picture on the stage, once it is finished."""
    api.expect(page.locator("#status")).to_have_text("Finished")
    return re.search("#job=(.+)", page.url)[1]


def test_a_painting_by_its_name_and_more_like_it(page):
    page.fill("#words", "呐喊")
    page.press("#words", "Enter")
    api.expect(page.locator("#words-said")).to_contain_text("The Scream. Edvard Munch, 1893")
    pick = page.locator("#found [data-style=munch-scream]")
    api.expect(pick).to_have_attribute("aria-pressed", "true")
    page.locator("#found .like").first.click(force=True)
    api.expect(page.locator("#words-said")).to_have_text("Most like The Scream")
    api.expect(page.locator("#found li")).to_have_count(6)
    page.fill("#words", "mona lisa")
    page.click("#words-find")
    api.expect(page.locator("#words-said")).to_contain_text("No match; nearest are ")
    api.expect(page.locator("#found")).to_be_hidden()


def test_a_painting_in_words(browser, server):
    with opened(browser, server.url, "422") as page:
        page.fill("#words", "bleu pixel art")
        page.press("#words", "Enter")
        api.expect(page.locator("#words-said")).to_contain_text(
            "bleu: unknown word; the nearest are"
        )
        page.fill("#words", "blue pixel art, landscape")
        page.click("#words-draw")
        line = page.locator("#words-said")
        api.expect(line).to_have_text(re.compile("^pixel in blue.*not used: landscape$"))
        api.expect(page.locator("#chosen .name")).to_have_text(line.text_content())
        image = page.locator("#chosen img")
        wait_until(page, lambda: image.evaluate("each => each.naturalWidth") == 512)


def read_stage(page) -> tuple[str, int]:
    """The address of what is painted on the stage, and its width in pixels."""
    return tuple(page.locator("#split .after").evaluate("(i) => [i.src, i.naturalWidth]"))


def test_what_is_dropped_is_drafted_and_then_painted(page, server):
    before = {job["id"] for job in server.jobs()}
    settle(page, "standard")
    page.evaluate(  # a draft of so small a photo is there for a moment only
        """() => {
          const status = document.getElementById("status");
          window.heard = [];
          new MutationObserver(() => window.heard.push(status.textContent.toLowerCase()))
            .observe(status, { childList: true });
        }"""
    )
    drop(page, "photo", "hill.png", png(synthetic_photo()))
    api.expect(page.locator("#split .before")).to_be_visible()
    drop(page, "painting", "waves.png", png(synthetic_painting()))
    job = finished(page)
    assert any("draft" in each for each in page.evaluate("heard"))
    jobs = [each for each in server.jobs() if each["id"] not in before]
    assert [each["id"] for each in jobs] == [job], "the draft is no picture of its own"
    (result,) = jobs
    assert result["recipe"]["name"] == "standard"
    assert [result["photo"]["name"], result["paintings"][0]["name"]] == ["hill.png", "waves.png"]
    assert np.abs(server.read_result(job).astype(int) - synthetic_photo()).mean() > 4
    address, width = read_stage(page)
    assert f"/{job}/result" in address
    assert width == 64


def test_it_grows_live_and_can_be_stopped_and_gone_on_with(page, server):
    choose(page, size="256", steps="400")
    api.expect(page.locator("#time")).to_contain_text("left")
    stages = set()
    while len(stages) < 2:
        page.wait_for_timeout(50)
        stages |= {read_stage(page)} - {("", 0)}
    assert all("/preview" in address for address, _ in stages)
    api.expect(page.locator("#chart polyline.total")).to_be_visible()
    page.reload()
    page.locator("html[data-ready]").wait_for()
    api.expect(page.locator("#time")).to_contain_text("left")
    page.click("#stop")
    api.expect(page.locator("#status")).to_contain_text("Stopped")
    job = re.search("#job=(.+)", page.url)[1]
    (stopped,) = [each for each in server.jobs() if each["id"] == job]
    assert stopped["state"] == "stopped"
    assert 0 < stopped["progress"]["iteration"] < stopped["progress"]["iterations"]
    assert server.read_result(job).shape == (192, 256, 3)
    page.click("#resume")
    api.expect(page.locator("#status")).to_contain_text("Painting")
    api.expect(page.locator("#progress")).to_be_visible()
    step = int(re.search(r"step (\d+)", page.inner_text("#time"))[1])
    assert step >= stopped["progress"]["iteration"]
    page.click("#stop")
    api.expect(page.locator("#status")).to_contain_text("Stopped")


def test_a_draft_outlives_a_reload_and_the_picture_follows(page, server):
    reloaded = False

    def before_only_the_draft(route):  # what follows it is never answered
        if reloaded or b'"draft":false' not in (route.request.post_data_buffer or b""):
            route.continue_()

    settle(page, "standard", steps="40")
    page.route("**/v1/jobs", before_only_the_draft)
    drop(page, "photo", "reloaded.png", png(synthetic_photo()))
    page.click("[data-style=pond]")
    api.expect(page.locator("#status")).to_have_text("Draft finished")
    (draft,) = [each["id"] for each in server.jobs() if each["photo"]["name"] == "reloaded.png"]
    reloaded = True
    page.reload()
    page.locator("html[data-ready]").wait_for()
    job = finished(page)
    (result,) = [each for each in server.jobs() if each["photo"]["name"] == "reloaded.png"]
    assert result["id"] == job != draft
    assert (result["recipe"]["name"], result["recipe"]["schedule"]["total"]) == ("standard", 40)


def test_a_network_is_not_asked_for_steps(page, server):
    settle(page, steps="3")
    page.select_option("#recipe", "draft")
    api.expect(page.locator("#steps")).to_be_disabled()
    api.expect(page.locator("#steps")).to_have_value("")
    drop(page, "photo", "quick.png", png(synthetic_photo()))
    page.click("[data-style=pond]")
    job = finished(page)
    recipe = server.job(job)["recipe"]
    assert (recipe["name"], recipe["engine"]["kind"]) == ("draft", "network")
    assert page.inner_text("#time").endswith("1 step")
    page.select_option("#recipe", "sketch")
    api.expect(page.locator("#steps")).to_be_enabled()


def test_what_another_client_began_is_watched_and_not_given_up(browser, server):
    other = server.post(title="", set={"size": 256, "schedule.total": 2000})
    try:
        with opened(browser, server.url) as page:
            api.expect(page.locator("#time")).to_contain_text("left")
            assert other in page.url
            drop(page, "photo", "mine.png", png(synthetic_photo()))
            api.expect(page).to_have_url(re.compile("#studio"))
            page.click("[data-view=gallery]")
            card = page.locator(f"[data-job='{other}']")
            assert card.locator("h2").inner_text() == "holiday, wall-0", "it was given no title"
        assert server.job(other)["state"] in ("queued", "running")
    finally:
        server.client.delete(f"/v1/jobs/{other}").raise_for_status()


def test_what_this_tab_began_is_given_up_for_another_photo(page, server):
    choose(page, size="256", steps="2000")
    api.expect(page.locator("#time")).to_contain_text("left")
    job = re.search("#job=(.+)", page.url)[1]
    page.reload()
    page.locator("html[data-ready]").wait_for()
    drop(page, "photo", "next.png", png(synthetic_photo()))
    wait_until(page, lambda: job not in {each["id"] for each in server.jobs()})


def plays(page, longer: float = 0) -> dict:
    """What is known of the film on the stage, once the browser has read it."""
    film = page.locator("#film video")

    def read():
        return film.evaluate(
            "(v) => [v.readyState, v.videoWidth, v.videoHeight, v.duration, v.src, v.error]"
        )

    film.wait_for()
    wait_until(page, lambda: read()[5] or (read()[0] >= 2 and read()[3] > longer))
    _, *facts, error = read()
    assert not error
    return dict(zip(("width", "height", "seconds", "url"), facts, strict=True))


def test_a_clip_is_previewed_painted_whole_and_played(page, server, tmp_path):
    clips = pytest.importorskip("clips")
    pytest.importorskip("cv2")
    frames = clips.make_pan(12)
    clip = clips.write_clip(tmp_path / "walk.mp4", frames, rate=2).read_bytes()
    settle(page, steps="2")
    drop(page, "photo", "walk.mp4", clip, "video/mp4")
    assert plays(page)["url"].startswith("blob:")  # as it came
    page.click("[data-style=pond]")
    page.wait_for_timeout(800)
    assert not page.locator("#run").is_visible(), "nobody has asked for it yet"
    for hidden in ("#open-masks", "#open-sheet", "#follow"):
        assert not page.locator(hidden).is_visible()
    page.click("#clip-next")
    api.expect(page.locator("#status")).to_have_text("Painting the clip")
    api.expect(page.locator("#time")).to_contain_text("of 18")  # eight of the sheet, five seconds
    api.expect(page.locator("#status")).to_have_text("Preview finished")
    film = plays(page)
    assert "/result" in film["url"]
    assert (film["width"], film["height"], round(film["seconds"])) == (64, 48, 5)
    sheet = page.locator("#film-sheet img")
    api.expect(sheet).to_be_visible()
    assert sheet.evaluate("(i) => i.decode().then(() => i.naturalWidth)") > 4 * 64

    page.click("#clip-next")
    stages = set()
    while len(stages) < 2:
        page.wait_for_timeout(20)
        stages |= {read_stage(page)} - {("", 0)}
    page.click("#stop")
    api.expect(page.locator("#status")).to_contain_text("Stopped")
    part = plays(page)["seconds"]
    assert part < 6
    page.click("#resume")
    api.expect(page.locator("#status")).to_have_text("Finished")
    assert round(plays(page, longer=part)["seconds"]) == 6
    page.click("#download summary")
    assert page.locator("#download [data-format]:visible").all_inner_texts() == ["Film"]
    with page.expect_download() as saved:
        page.click("[data-format=film]")
    assert saved.value.suggested_filename.endswith(".mp4")

    page.click("[data-view=gallery]")
    cards = page.locator(".card", has_text="walk")
    api.expect(cards).to_have_count(2)
    assert "preview of a clip" in cards.nth(1).inner_text()
    cards.nth(1).locator(".open").click()
    api.expect(page.locator("#status")).to_have_text("Preview finished")
    assert round(plays(page)["seconds"]) == 5
    api.expect(page.locator("#clip-next")).to_have_text("Paint the whole clip")


def test_strength_is_followed_down_to_the_photo(page, server):
    choose(page)
    first = finished(page)
    page.locator("#strength").fill("0")
    api.expect(page).not_to_have_url(re.compile(first))
    photo = server.read_result(finished(page))
    assert np.array_equal(photo, synthetic_photo())
    assert not np.array_equal(server.read_result(first), photo)
    slider = page.get_by_role("slider", name="Before and after")
    slider.focus()
    page.keyboard.press("End")
    covered = page.locator("#split .split").evaluate(
        "(f) => getComputedStyle(f).getPropertyValue('--split')"
    )
    assert covered == "100%"


def test_a_painting_stays_in_the_place_that_is_painted_for_it(page, server):
    page.uncheck("#follow")
    choose(page, painting="mosaic")
    page.click("#open-masks")
    page.locator("#brush-soft").fill("0")
    box = page.locator("#mask-canvas").bounding_box()

    def stroke(x, top, bottom):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + top * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + x * box["width"], box["y"] + bottom * box["height"], steps=8)
        page.mouse.up()

    stroke(0.2, 0.3, 0.7)
    stroke(0.9, 0.1, 0.9)
    page.click("#mask-undo")
    page.click("#masks [data-close]")
    page.click("#paint")
    job = finished(page)
    changed = np.abs(server.read_result(job).astype(int) - synthetic_photo()).max(-1)
    assert not changed[:, 32:].any(), "the second stroke was undone"
    assert changed[20:28, 8:17].mean() > 4
    mask = np.asarray(Image.open(io.BytesIO(server.get(f"v1/jobs/{job}/masks/0"))).convert("L"))
    height, width = mask.shape
    assert mask[height // 2, width // 5] == 255
    assert mask[height // 2, width // 2] == 0
    assert mask[0, 0] == 0


def test_paintings_are_blended_by_their_sliders(page, server):
    page.uncheck("#follow")
    choose(page)
    page.get_by_label("Blend in Cut paper").click()
    page.get_by_label("Share of Cut paper").fill("0.5")
    page.locator("#scale").fill("1")
    page.get_by_label("Photo", exact=True).check()
    page.click("#paint")
    job = finished(page)
    (result,) = [each for each in server.jobs() if each["id"] == job]
    assert result["recipe"]["style"]["weights"] == [1, 0.5]
    assert result["recipe"]["style"]["scale"] == 2
    assert result["recipe"]["colors"] == "content"
    page.locator("#recipe-box summary").click()
    text = page.input_value("#recipe-text")
    assert 'base = "sketch"' in text
    assert "weights = [1, 0.5]" in text
    # A finished picture brings all of it back.
    with page.expect_download() as saved:
        page.locator("#download summary").click()
        page.get_by_role("button", name="PNG").click()
    data = Path(saved.value.path()).read_bytes()
    page.reload()
    page.locator("html[data-ready]").wait_for()
    page.goto(server.url + "?fresh")
    page.locator("html[data-ready]").wait_for()
    assert page.locator("#colors input:checked").get_attribute("value") == "style"
    drop(page, "recipe", "found.png", data)
    api.expect(page.locator("#notice")).to_contain_text("restored")
    assert page.locator("#colors input:checked").get_attribute("value") == "content"
    assert page.input_value("#scale") == "1"
    restored = page.input_value("#recipe-text")
    assert set(text.splitlines()) <= set(restored.splitlines())
    drop(page, "photo", "found.png", data)
    api.expect(page.locator("#notice")).to_contain_text("contains its recipe")
    drop(page, "photo", "plain.png", png(synthetic_photo()))
    api.expect(page.locator("#notice"), "it was about the photo before").to_be_hidden(timeout=5000)


def test_the_recipe_text_is_one_for_the_command_line(page, tmp_path):
    from impasto.recipe.recipe import load_recipe

    page.locator("#strength").fill("0.35")
    settle(page, "best", "512", "90")
    page.get_by_label("Matched").check()
    page.locator("#recipe-box summary").click()
    (tmp_path / "mine.toml").write_text(page.input_value("#recipe-text"))
    recipe = load_recipe(tmp_path / "mine.toml")
    changes = {
        "schedule.total": 90,
        "strength": 0.35,
        "colors": "match",
        "size": 512,
        "name": "mine",
    }
    expected = load_recipe("best").with_changes(changes)
    assert recipe.model_dump(exclude={"description"}) == expected.model_dump(
        exclude={"description"}
    )


def test_two_pictures_are_compared_and_one_is_removed(page, server):
    choose(page, name="first.png")
    one = finished(page)
    page.get_by_label("Matched").check()
    api.expect(page).not_to_have_url(re.compile(one))
    other = finished(page)
    page.get_by_role("link", name="Gallery").click()
    for job in (one, other):
        page.locator(f"[data-job='{job}']").get_by_label("Compare").check()
    page.click("#compare-two")
    rows = page.locator("#compare-table tbody tr")
    api.expect(rows.filter(has_text="colors")).to_contain_text("match")
    assert rows.filter(has_text="solver").count() == 0
    page.locator("#compare [data-close]").click()
    page.locator(f"[data-job='{one}']").get_by_role("button", name="Remove").click()
    page.locator("#notice").get_by_role("button", name="Remove").click()
    api.expect(page.locator(f"[data-job='{one}']")).to_have_count(0)
    assert one not in {job["id"] for job in server.jobs()}


def test_a_sheet_of_variations_gives_one_to_paint(page, server):
    page.uncheck("#follow")
    choose(page)
    before = {job["id"] for job in server.jobs()}
    page.evaluate("document.getElementById('sheet-axis').value = 'Colors'")
    page.click("#open-sheet")
    api.expect(page.locator("#sheet-save")).to_be_enabled(timeout=LONG)
    assert page.locator(".cell img:visible").count() == 4
    page.locator(".cell", has_text="Exact").click()
    assert page.locator("#colors input:checked").get_attribute("value") == "luminance"
    api.expect(page.locator("#sheet")).to_be_hidden()
    page.wait_for_timeout(500)
    assert {job["id"] for job in server.jobs()} == before, "drafts of a sheet are not kept"


def test_all_of_it_from_the_keyboard(page, server):
    def tab_to(name: str, most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                """() => { const e = document.activeElement;
                  return [e.id, e.getAttribute("aria-label"), e.textContent, e.dataset.style]; }"""
            )
            if name in [str(each).strip() for each in focused]:
                return
        raise AssertionError(f"Tab does not reach {name}")

    choosers = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))  # noqa: PLW0108
    page.keyboard.press("Tab")
    api.expect(page.locator(".skip")).to_be_focused()
    settle(page, steps="8")
    page.locator(".skip").focus()
    tab_to("photo-input")
    page.keyboard.press("Space")
    wait_until(page, lambda: choosers)
    file = {"name": "keys.png", "mimeType": "image/png", "buffer": png(synthetic_photo())}
    choosers[0].set_files(file)
    tab_to("night")
    page.keyboard.press("Enter")
    job = finished(page)
    api.expect(page.locator("#live")).to_have_text("The picture is finished.")
    page.locator("#stage").focus()
    tab_to("lens")
    page.keyboard.press("Space")
    lens = page.locator("#split .lens")
    api.expect(lens).to_be_focused()

    def glass(column: int) -> np.ndarray:
        """What the lens shows of the pixel in this column, just below the middle."""
        return np.array(
            lens.evaluate(
                """(glass, column) => {
                  const zoom = 3 * glass.width / glass.offsetWidth;
                  const pixel = zoom * glass.parentElement.offsetWidth / 64;
                  const x = glass.width / 2 + (column + 0.5 - 32) * pixel;
                  const y = glass.height / 2 + pixel / 2;
                  return [...glass.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
                }""",
                column,
            )
        )

    row, photo = server.read_result(job)[24], synthetic_photo()[24]
    assert np.abs(glass(31) - photo[31]).max() < 8, "on the left the photo"
    assert np.abs(glass(32) - row[32]).max() < 8, "on the right what was painted"
    assert np.abs(row[32].astype(int) - photo[32]).max() > 16
    before = glass(32)
    for _ in range(10):
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
    assert np.abs(glass(32) - before).max() > 8
    page.keyboard.press("Escape")
    api.expect(lens).to_be_hidden()
    tab_to("open-masks")
    page.keyboard.press("Enter")
    api.expect(page.locator("#mask-canvas")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    tab_to("strength")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    wait_until(page, lambda: server.jobs()[0]["recipe"]["strength"] == 0.8)
    job = finished(page)
    (result,) = [each for each in server.jobs() if each["id"] == job]
    assert result["recipe"]["strength"] == 0.8
    assert result["masks"] == 1
    mask = np.asarray(Image.open(io.BytesIO(server.get(f"v1/jobs/{job}/masks/0"))).convert("L"))
    assert len(np.unique(mask)) > 40, "a soft brush"


@pytest.mark.parametrize("width", [390, 1280])
def test_everything_has_a_name_and_nothing_is_cut(browser, server, width):
    size = {"width": width, "height": 800}
    with opened(browser, server.url, viewport=size, color_scheme="dark") as page:
        assert page.locator("html").get_attribute("data-theme") == "dark"
        choose(page)
        page.get_by_label("Blend in Cut paper").click()
        finished(page)
        for view in ("#gallery", "#studio"):
            page.locator(f"nav a[href='{view}']").click()
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, view
        page.click("#open-masks")
        assert page.locator("#mask-canvas").bounding_box()["width"] <= width
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button,input,select,textarea,a,canvas,img")]
              .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length
                || e.closest("label")
                || e.textContent.trim() || e.alt !== undefined && e.hasAttribute("alt")))
              .map((e) => e.outerHTML)"""
        )
        assert nameless == []


def test_what_is_no_picture_is_told_and_forgiven(browser, server):
    with opened(browser, server.url, expected="415") as page:
        settle(page)
        broken = {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}
        page.set_input_files("#photo-input", broken)
        page.click("[data-style=pond]")
        api.expect(page.locator("#notice")).to_contain_text("broken.png")
        assert page.locator("#run").is_hidden()
        choose(page)
        finished(page)


def test_the_gallery_is_there_after_a_restart_and_behind_a_token(browser, server):
    with opened(browser, server.url) as page:
        page.locator("#strength").fill("0.7")
        choose(page, name="kept.png", painting="woodcut")
        job = finished(page)
    result = server.read_result(job)
    server.restart("--token", "open-sesame")
    with opened(browser, f"{server.url}#token=open-sesame") as page:
        assert "sesame" not in page.url
        page.get_by_role("link", name="Gallery").click()
        card = page.locator(f"[data-job='{job}']")
        api.expect(card).to_contain_text("kept, Woodcut sea")
        thumbnail = card.locator("img").element_handle()
        page.wait_for_function("(image) => image.naturalWidth > 0", arg=thumbnail)
        card.locator(".open").click()
        api.expect(page.locator("#status")).to_have_text("Finished")
        assert page.input_value("#strength") == "0.7"
        pressed = page.locator("[data-style=woodcut]")
        api.expect(pressed).to_have_attribute("aria-pressed", "true")
        with page.expect_download() as saved:
            page.locator("#download summary").click()
            page.get_by_role("button", name="TIFF").click()
        assert np.array_equal(np.asarray(Image.open(saved.value.path())), result)


def test_who_has_no_token_is_asked_for_it(browser, server):
    server.restart("--token", "open-sesame")
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(LONG)
    page.goto(server.url)
    page.get_by_label("Token").fill("close-sesame")
    page.get_by_role("button", name="Log in").click()
    api.expect(page.locator("#login-problem")).to_be_visible()
    page.get_by_label("Token").fill("open-sesame")
    page.keyboard.press("Enter")
    page.locator("html[data-ready]").wait_for()
    api.expect(page.locator("#login")).to_be_hidden()
    page.reload()
    page.locator("html[data-ready]").wait_for()
    context.close()
