"""The studio's HTTP API, asked inside the test; nobody works on its jobs here."""

from __future__ import annotations

import base64
import io
import json
import re

import pytest

pytest.importorskip("fastapi")

from PIL import ExifTags, Image

from conftest import REPOSITORY, synthetic_photo
from impasto.cli.commands.serve_command import build_parser
from impasto.recipe.recipe import list_recipes
from studios import PAINTING, PHOTO, accepted, inside, parts, png, post, refused, studio_of


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """With room for every job of these tests."""
    with inside(tmp_path_factory.mktemp("studio"), max_queue=1000) as client:
        yield client


JSON_JOB = {
    "photo": {"data": base64.b64encode(PHOTO).decode()},
    "recipe": "sketch",
    "set": {"size": 32, "schedule.total": 5},
}


# --- jobs --------------------------------------------------------------------------------------


def test_a_job_of_parts(client):
    answer = post(client, title="my holiday")
    job = accepted(answer)
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["state"], job["title"], job["depth"]) == ("queued", "my holiday", 8)
    assert job["recipe"]["size"] == 32
    assert job["recipe"]["name"] == "sketch"
    assert job["photo"] == {"name": "holiday.png", "width": 64, "height": 48, "style_name": None}
    assert [each["name"] for each in job["paintings"]] == ["wall-0.png"]
    assert client.get(job["links"]["self"]).json() == job
    assert job["links"]["result"] is None


def test_a_job_of_json_is_the_job_of_parts(client):
    body = {
        "photo": {"data": base64.b64encode(PHOTO).decode()},
        "styles": [{"data": base64.b64encode(PAINTING).decode()}],
        "recipe": "sketch",
        "set": {"size": 32, "schedule.total": 5},
    }
    job = accepted(client.post("/v1/jobs", json=body))
    folder = studio_of(client).folder.locate(job["id"])
    assert (folder / "photo").read_bytes() == PHOTO
    assert (folder / "style-0").read_bytes() == PAINTING
    assert job["recipe"] == accepted(post(client))["recipe"]


def test_a_shipped_painting_by_name(client):
    styles = client.get("/v1/styles").json()["styles"]
    assert len(styles) >= 4
    for each in styles:
        assert each["title"]
        assert each["credit"]
        picture = client.get(each["url"])
        assert picture.headers["content-type"] == "image/jpeg"
        assert min(Image.open(io.BytesIO(picture.content)).size) >= 256
    name = styles[-1]["name"]
    job = accepted(post(client, ("style_name", (None, name)), styles=()))
    assert job["paintings"][0]["style_name"] == name
    there = studio_of(client).folder.locate(job["id"]) / "style-0"
    assert there.read_bytes() == picture.content


def test_paintings_of_the_library_are_searched_and_used(client):
    everything = client.get("/v1/library").json()["styles"]
    assert len(everything) >= 18
    match = client.get("/v1/library", params={"text": "星夜"}).json()
    first = match["styles"][0]
    assert (first["name"], match["nearest"]) == ("vangogh-starry-night", [])
    assert "Vincent van Gogh, 1889" in first["credit"]
    missing = client.get("/v1/library", params={"text": "mona lisa"}).json()
    assert (missing["styles"], len(missing["nearest"])) == ([], 3)
    like = client.get(f"{first['url']}/similar").json()["styles"]
    assert len(like) == 6
    assert first["name"] not in {each["name"] for each in like}
    assert client.get("/v1/styles/pond/similar").json()["styles"]
    refused(client.get("/v1/styles/nobody/similar"), "not_found")
    name = "hokusai-great-wave"
    job = accepted(post(client, ("style_name", (None, name)), styles=()))
    assert job["paintings"][0]["style_name"] == name
    there = studio_of(client).folder.locate(job["id"]) / "style-0"
    assert there.read_bytes() == client.get(f"/v1/styles/{name}").content


def test_a_painting_in_words(client, monkeypatch):
    monkeypatch.setattr("impasto.words.word_styles.SIZE", 64)
    words = "蓝色 pixel art, landscape"
    description = client.get("/v1/drawings", params={"words": words}).json()
    assert (description["technique"], description["colors"], description["unused"]) == (
        "pixel",
        ["blue"],
        ["landscape"],
    )
    jobs = [
        accepted(post(client, ("style_words", (None, words)), styles=())),
        accepted(client.post("/v1/jobs", json={**JSON_JOB, "styles": [{"words": words}]})),
    ]
    for job in jobs:
        assert job["paintings"][0]["name"].startswith("pixel-blue-")
        assert job["paintings"][0]["width"] == 64
    one, other = (studio_of(client).folder.locate(job["id"]) / "style-0" for job in jobs)
    assert one.read_bytes() == other.read_bytes()
    picture = client.get(description["url"])
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).size[0] % 64 == 0


@pytest.mark.parametrize("path", ["/v1/drawings", "/v1/drawings/picture"])
def test_unknown_words_are_refused_with_the_nearest(client, path):
    answer = client.get(path, params={"words": "bleu woodcut"})
    assert "bleu: unknown word; the nearest are" in refused(answer, "bad_input")
    assert answer.json()["field"] == "words"
    job = client.post("/v1/jobs", json={**JSON_JOB, "styles": [{"words": "bleu woodcut"}]})
    refused(job, "bad_input")
    refused(post(client, ("style_words", (None, "x" * 501)), styles=()), "bad_input")


def test_paintings_come_in_the_order_that_is_asked_for(client):
    first = accepted(post(client))
    other = png(synthetic_photo(40, 40))
    order = [
        {"file": 1},
        {"job": first["id"], "what": "photo"},
        {"file": 0},
        {"job": first["id"], "what": "style/0"},
    ]
    job = accepted(client.post("/v1/jobs", files=_ordered(order, PAINTING, other)))
    folder = studio_of(client).folder.locate(job["id"])
    files = [(folder / f"style-{n}").read_bytes() for n in range(4)]
    assert files == [other, PHOTO, PAINTING, PAINTING]
    assert [each["name"] for each in job["paintings"]] == [
        "wall-1.png",
        "holiday.png",
        "wall-0.png",
        "wall-0.png",
    ]
    # The earlier job may go: its pictures are the later one's as well.
    assert client.delete(f"/v1/jobs/{first['id']}?forget=true").status_code == 204
    assert (folder / "style-1").read_bytes() == PHOTO


def _ordered(order, *files):
    request = parts(styles=files)
    job = {"recipe": "sketch", "set": {"size": 48}, "styles": order}
    return [each for each in request if each[0] != "job"] + [("job", (None, json.dumps(job)))]


@pytest.mark.parametrize(
    ("styles", "code"),
    [
        ([{"file": 1}], "bad_input"),
        ([{"style_name": "mona lisa"}], "not_found"),
        ([{"job": "0" * 32, "what": "photo"}], "not_found"),
        ([{"job": "../../etc/passwd", "what": "photo"}], "bad_parameter"),
        ([{"file": 0, "job": "0" * 32}], "bad_parameter"),
        ([{"file": 0}] * 9, "bad_parameter"),
        ([{"path": "/etc/passwd"}], "bad_parameter"),
        ([{"url": "http://localhost/"}], "bad_parameter"),
        ([{"data": "not base64!"}], "bad_input"),
        ([], "bad_input"),
    ],
)
def test_a_painting_that_is_not_there(client, styles, code):
    refused(client.post("/v1/jobs", files=_ordered(styles, PAINTING)), code)


def test_what_a_job_has_not_made_yet_cannot_be_used(client):
    first = accepted(post(client))["id"]
    for what in ("result", "style/3", "mask/0", "preview"):
        order = [{"job": first, "what": what}]
        refused(client.post("/v1/jobs", files=_ordered(order, PAINTING)), "no_result")


def test_masks_are_kept_and_shown(client):
    mask = png(synthetic_photo()[..., 0])
    job = accepted(post(client, ("mask", ("m.png", mask)), ("style_mask", ("s.png", mask))))
    assert job["masks"] == 1
    answer = client.get(job["links"]["masks"][0])
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (64, 48)
    black = png(synthetic_photo()[..., 0] * 0)
    assert "is black; white" in refused(post(client, ("mask", ("m.png", black))), "bad_input")
    many = [("mask", ("m.png", mask))] * 3
    assert "3 masks but 1 painting" in refused(post(client, *many), "bad_input")


def test_the_history_comes_in_pages(tmp_path):
    with inside(tmp_path) as client:
        ids = [accepted(post(client))["id"] for _ in range(5)]
        first = client.get("/v1/jobs?limit=3").json()
        second = client.get(f"/v1/jobs?limit=3&before={first['next']}").json()
        listed = [job["id"] for page in (first, second) for job in page["jobs"]]
        assert listed == ids[::-1]
        assert second["next"] is None
        refused(client.get("/v1/jobs?limit=0"), "bad_parameter")
        refused(client.get("/v1/jobs?limit=101"), "bad_parameter")
        refused(client.get(f"/v1/jobs?before={'0' * 32}"), "not_found")


def test_a_draft_goes_ahead(tmp_path):
    with inside(tmp_path) as client:
        slow, other = (accepted(post(client))["id"] for _ in range(2))
        draft = accepted(post(client, draft=True))
        assert draft["position"] == 0
        at = [client.get(f"/v1/jobs/{each}").json()["position"] for each in (slow, other)]
        assert at == [1, 2]


def test_without_a_recipe_it_is_the_standard_one_or_the_draft(client):
    job = {"set": {"size": 48}}
    for fields, name in (({}, "standard"), ({"draft": True}, "draft")):
        request = [*parts()[:-1], ("job", (None, json.dumps(job | fields)))]
        assert accepted(client.post("/v1/jobs", files=request))["recipe"]["name"] == name


# --- idempotency, a full queue -----------------------------------------------------------------


def test_a_key_brings_the_same_job_again(tmp_path):
    key = {"idempotency-key": "holiday-1"}
    with inside(tmp_path, max_queue=2) as client:
        first = accepted(post(client, headers=key))
        again = post(client, headers=key)
        assert again.status_code == 200
        assert again.json()["id"] == first["id"]
        refused(post(client, headers=key, title="another"), "key_reused")
        refused(post(client, headers=key, photo=png(synthetic_photo(40, 40))), "key_reused")
        other = accepted(post(client, headers={"idempotency-key": "holiday-2"}))
        assert other["id"] != first["id"]
        # Also when there is no room for another.
        assert post(client, headers=key).json()["id"] == first["id"]
        assert len(list(studio_of(client).folder.jobs.iterdir())) == 2


def test_a_full_queue_says_when_to_come_back(tmp_path):
    with inside(tmp_path, max_queue=2) as client:
        ids = [accepted(post(client))["id"] for _ in range(2)]
        answer = post(client)
        refused(answer, "queue_full")
        assert 1 <= int(answer.headers["retry-after"]) <= 600
        assert len(list(studio_of(client).folder.jobs.iterdir())) == 2
        client.delete(f"/v1/jobs/{ids[0]}")
        accepted(post(client))
        again = client.post(f"/v1/jobs/{ids[0]}/resume")
        refused(again, "queue_full")
        assert "retry-after" in again.headers


# --- what may be done to a job -----------------------------------------------------------------


def test_cancel_then_remove(client):
    job = accepted(post(client))
    address = job["links"]["self"]
    assert client.delete(address).status_code == 204
    assert client.get(address).json()["state"] == "cancelled"
    assert studio_of(client).folder.locate(job["id"]).exists()
    assert client.delete(address).status_code == 204
    refused(client.get(address), "not_found")
    refused(client.delete(address), "not_found")
    assert not studio_of(client).folder.locate(job["id"]).exists()


def test_forget_is_both_at_once(client):
    job = accepted(post(client))
    assert client.delete(job["links"]["self"] + "?forget=true").status_code == 204
    refused(client.get(job["links"]["self"]), "not_found")


def test_forget_reaches_the_trash(client):
    folder = studio_of(client).folder
    job, other = accepted(post(client)), accepted(post(client))
    for each in (job, other):
        client.delete(each["links"]["self"])  # cancels it
        folder.discard(folder.locate(each["id"]), 0, 0)
        studio_of(client).queue.remove(each["id"])
    address = job["links"]["self"]
    refused(client.delete(address), "not_found")
    assert client.delete(f"{address}?forget=true").status_code == 204
    assert [path.name[-32:] for path in folder.trash.iterdir()] == [other["id"]]
    refused(client.delete(f"{address}?forget=true"), "not_found")


def test_stop_and_resume_of_what_waits(client):
    address = accepted(post(client))["links"]["self"]
    refused(client.post(f"{address}/resume"), "wrong_state")
    assert client.post(f"{address}/stop").json()["state"] == "stopped"
    assert client.post(f"{address}/stop").json()["state"] == "stopped"
    refused(client.get(f"{address}/result"), "no_result")
    assert client.post(f"{address}/resume").json()["state"] == "queued"
    client.delete(address)
    refused(client.post(f"{address}/stop"), "wrong_state")


# --- what there is to choose from --------------------------------------------------------------


def test_the_recipes_and_their_schema(client):
    recipes = client.get("/v1/recipes").json()["recipes"]
    assert [each["name"] for each in recipes] == list(list_recipes())
    for each in recipes:
        job = accepted(post(client, recipe=each["recipe"], set={"size": 40}))
        assert job["recipe"] == each["recipe"] | {"size": 40}
    assert "strength" in client.get("/v1/recipes/schema").json()["properties"]


def test_a_shipped_painting_has_no_other_name(client):
    for name in ("..", "%2e%2e%2fstyles.json", "styles", "pond.jpg", "x" * 41):
        answer = client.get(f"/v1/styles/{name}")
        assert answer.status_code in (404, 405, 422), name


# --- pictures ----------------------------------------------------------------------------------


def turned_photo() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 8.0, 14.0)
    stream = io.BytesIO()
    Image.fromarray(synthetic_photo()).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def test_an_uploaded_picture_is_shown_upright_and_says_nothing_of_where_it_was(client):
    photo = turned_photo()
    assert Image.open(io.BytesIO(photo)).getexif().get_ifd(ExifTags.IFD.GPSInfo)
    job = accepted(post(client, photo=photo))
    assert (job["photo"]["width"], job["photo"]["height"]) == (48, 64)
    answer = client.get(job["links"]["photo"])
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (48, 64)
        assert not image.getexif()


def test_a_picture_that_no_browser_shows_is_shown(client):
    stream = io.BytesIO()
    Image.fromarray(synthetic_photo()).save(stream, "TIFF")
    job = accepted(post(client, photo=stream.getvalue(), styles=(stream.getvalue(),)))
    for link in (job["links"]["photo"], job["links"]["styles"][0]):
        assert client.get(link).headers["content-type"] == "image/jpeg"
    refused(client.get(job["links"]["self"] + "/styles/1"), "no_result")
    refused(client.get(job["links"]["self"] + "/styles/-1"), "bad_parameter")
    refused(client.get(job["links"]["self"] + "/preview"), "no_result")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.png", "cat.png"),
        ("a\tb\x7f.png", "ab.png"),
        ("\u202egpj.exe", "gpj.exe"),
        ("\N{ARTIST PALETTE}" * 200, "\N{ARTIST PALETTE}" * 100),
        ("", "photo"),
    ],
)
def test_the_name_of_a_file_is_for_showing_only(name, expected):
    from impasto.studio.http.request.picture_sources import clean_name

    assert (clean_name(name) or "photo") == expected


# --- pages -------------------------------------------------------------------------------------


def test_the_reference_is_whole_and_from_nowhere_else(client):
    page = client.get("/docs").text
    assert not re.search(r"(src|href)=['\"](https?:)?//", page)
    assert "<script" not in page
    for path in client.get("/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in page
    for name in set(re.findall(r"href='#(\w+)'", page)):
        assert f"id='{name}'" in page, name
    style = client.get(re.search(r'stylesheet" href="([^"]+)"', page)[1])
    assert style.headers["content-type"].startswith("text/css")


NAMES = """
Canvas ClipInfo ContentTerm Data EncoderChoice Engine Health Job JobPage JobRequest Links Losses
NamedHash NamedRecipe NeighborTerm OfJob OfStyle OfWord PaletteTerm PhotorealismTerm PictureInfo
ProblemDetails Progress Recipe Recipes Restored Schedule SmoothnessTerm Solver Start Style StyleTerm
Styles TemporalTerm Upload
"""
OPERATIONS = """
create_v1_jobs_post events_v1_jobs__id__events_get figures_metrics_get health_healthz_get
listed_v1_jobs_get mask_v1_jobs__id__masks__place__get one_v1_jobs__id__get
photo_v1_jobs__id__photo_get preview_v1_jobs__id__preview_get recipes_v1_recipes_get
remove_v1_jobs__id__delete restore_v1_restore_post result_v1_jobs__id__result_get
resume_v1_jobs__id__resume_post schema_v1_recipes_schema_get sheet_v1_jobs__id__sheet_get
stop_v1_jobs__id__stop_post style_v1_jobs__id__styles__place__get style_v1_styles__name__get
styles_v1_styles_get thumbnail_v1_jobs__id__thumbnail_get
"""


def test_the_names_of_the_interface_stay_whatever_the_code_calls_them(client):
    document = client.get("/openapi.json").json()
    schemas = set(document["components"]["schemas"])
    assert schemas >= set(NAMES.split())
    assert not [name for name in schemas if name.endswith("Message")]
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert {each["operationId"] for each in operations} >= set(OPERATIONS.split())
    references = re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document))
    assert set(references) <= schemas
    assert "StyleTerm" in client.get("/v1/recipes/schema").json()["$defs"]


def test_the_figures(tmp_path):
    with inside(tmp_path) as client:
        accepted(post(client))
        for _ in range(3):
            client.get(f"/v1/jobs/{'0' * 32}")
        client.get("/no/such/place")
        client.request("BREW", "/v1/jobs")
        text = client.get("/metrics").text
    assert 'impasto_jobs{state="queued"} 1.0' in text
    assert "impasto_jobs_accepted_total 1.0" in text
    route = 'route="/v1/jobs/{id}",status="404"'
    assert f'impasto_http_requests_total{{method="GET",{route}}} 3.0' in text
    assert "/no/such/place" not in text
    assert "BREW" not in text


def test_health(client):
    answer = client.get("/healthz")
    assert answer.status_code == 503  # nobody works here
    assert answer.json()["status"] == "unhealthy"
    assert answer.json()["upload_limit"] == 300_000


def test_the_documentation_asks_for_what_there_is(client):
    text = (REPOSITORY / "docs" / "studio.md").read_text()
    paths = client.get("/openapi.json").json()["paths"]
    examples = set(re.findall(r"http://127\.0\.0\.1:8484(/v1/[\w/]+)", text))
    assert len(examples) >= 5
    for path in examples:
        assert path.replace("/ID", "/{id}") in paths, path
    flags = set(re.findall(r"`(--[\w-]+)", text)) - {"--set"}
    assert flags <= set(build_parser()._option_string_actions)
