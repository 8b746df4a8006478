"""Define requests and answers as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from impasto.studio.http.message import JobId, Message
from impasto.studio.http.request.picture_sources import Data, OfDrawing, OfJob, OfStyle, Upload
from impasto.studio.settings import MAX_PICTURES

PUBLIC_NAMES = {
    **{
        f"{name}Message": name
        for name in ("Drawing", "Job", "Links", "Losses", "Progress", "Style")
    },
    **{f"{name}Choice": name for name in ("Canvas", "Engine", "Solver", "Start")},
    **{f"{name}Choice": f"{name}Term" for name in ("Content", "Style", "Palette", "Neighbor")},
    **{f"{name}Choice": f"{name}Term" for name in ("Smoothness", "Photorealism", "Temporal")},
}
"""Names of schemas over HTTP, by the names of their classes where those differ."""


class OfWord(Message):
    """A mask that impasto finds in the photo."""

    word: Annotated[str, Field(max_length=60)]
    """``rect:X,Y,WIDTH,HEIGHT``, ``salient``, ``person``, ``face``, or ``auto:COUNT`` alone."""


Source = Data | Upload | OfJob | OfStyle
MaskSource = Source | OfWord
PaintingSource = Source | OfDrawing
PaintingSources = Annotated[list[PaintingSource], Field(max_length=MAX_PICTURES)]


class JobRequest(Message):
    """A job. In a multipart request, the pictures may be parts instead."""

    recipe: str | dict[str, Any] | None = None
    """A name from /v1/recipes, or a whole recipe. Default: ``draft`` for a draft, else
    ``standard``."""
    set: Annotated[dict[str, Any], Field(max_length=100)] = {}  # noqa: RUF012 -- pydantic copies it
    """Changes of the recipe by dotted key, such as ``style.scale``."""
    draft: bool = False
    """Whether the job goes ahead of all jobs that are not drafts."""
    title: Annotated[str, Field(max_length=200)] = ""
    depth: Literal[8, 16] = 8
    """Bits per channel of the result."""
    keep_metadata: bool = False
    """Whether the metadata of the photo or clip, including its location, is copied into the
    result."""
    photo: Source | None = None
    clip: Source | None = None
    """A clip instead of a photo; all of its frames are painted."""
    preview: bool = False
    """Whether to paint only a contact sheet and the first seconds of the clip."""
    stability: Annotated[float, Field(ge=0, le=1)] = 0.8
    """How steady a film is: 0 paints every frame by itself, 1 reuses as much as possible."""
    styles: PaintingSources | None = None
    """The paintings in their order. Default: the parts named ``style``, ``style_name`` and
    ``style_words``."""
    masks: Annotated[list[MaskSource], Field(max_length=MAX_PICTURES)] | None = None
    """Where each painting goes in the photo, in the order of the paintings."""
    style_masks: Annotated[list[Source | None], Field(max_length=MAX_PICTURES)] | None = None
    """Which part of each painting counts; null: all of it."""
    init: Source | None = None
    """A picture to start from."""


class LossesMessage(Message):
    """Losses of a step."""

    total: float | None = None
    content: float | None = None
    style: float | None = None


class ProgressMessage(Message):
    """How far a job is."""

    iteration: int
    iterations: int
    unit: Literal["step", "frame"] = "step"
    """What an iteration is; in a clip it is a frame."""
    scale: int
    """From 0, which is the coarsest."""
    scales: int
    width: int
    height: int
    losses: LossesMessage
    seconds_left: float


class ProblemDetails(BaseModel):
    """A problem by RFC 9457; ``code`` is stable."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    """The field of the request concerned, such as ``masks``, the key of the recipe, such as
    ``style.scale``, or the setting of the server. null: no single one is."""


class PictureInfo(Message):
    """A picture of a job."""

    name: str
    """The client's name for it."""
    width: int
    height: int
    style_name: str | None = None
    """Name of a painting that ships with impasto, if it is one."""


class ClipInfo(Message):
    """The clip of a job."""

    frames: int
    seconds: float
    preview: bool
    """Whether only a contact sheet and the first seconds are painted."""
    stability: float
    media_type: str
    """Media type of the result."""


class LinksMessage(Message):
    """Addresses of a job; null: there is no such picture yet."""

    self: str
    events: str
    preview: str | None
    result: str | None
    thumbnail: str | None
    sheet: str | None
    """The contact sheet of a clip's preview."""
    photo: str
    """The photo, or the first frame of the clip."""
    styles: list[str]
    masks: list[str]


class JobMessage(Message):
    """A job."""

    id: JobId
    title: str
    state: Literal["queued", "running", "stopped", "done", "failed", "cancelled"]
    draft: bool
    created: str
    """Time by ISO 8601, like the other times."""
    started: str | None
    ended: str | None
    seconds: float
    """Seconds worked so far."""
    position: int | None
    """Number of jobs ahead of it in the queue."""
    progress: ProgressMessage | None
    problem: ProblemDetails | None
    recipe: dict[str, Any]
    depth: int
    keep_metadata: bool
    width: int | None
    height: int | None
    """Size of the result, once there is one."""
    photo: PictureInfo
    """The photo or the clip."""
    clip: ClipInfo | None
    """null: the job has a photo."""
    paintings: list[PictureInfo]
    styles: int
    masks: int
    links: LinksMessage


class JobPage(Message):
    """A part of the list of jobs."""

    jobs: list[JobMessage]
    next: JobId | None
    """Value of ``before`` for the next page. null: this is the last page."""


class NamedRecipe(Message):
    """A recipe that ships with impasto."""

    name: str
    description: str
    recipe: dict[str, Any]


class Recipes(Message):
    """The recipes that ship with impasto."""

    recipes: list[NamedRecipe]


class StyleMessage(Message):
    """A painting that ships with impasto."""

    name: str
    title: str
    url: str
    credit: str


class Styles(Message):
    """The paintings that ship with impasto."""

    styles: list[StyleMessage]


class FoundStyles(Message):
    """Paintings of the library that were found."""

    styles: list[StyleMessage]
    """The best match first."""
    nearest: list[str]
    """If none matches, the titles of the nearest."""


class DrawingMessage(Message):
    """A painting that words describe."""

    words: str
    name: str
    """Name of its file. Equal paintings have equal names."""
    description: str
    """What the words chose, in one line, and which words were not used."""
    technique: str
    colors: list[str]
    ground: str
    seed: int
    unused: list[str]
    url: str


class NamedHash(Message):
    """A file that a picture was made from."""

    name: str
    sha256: str


class Restored(Message):
    """What a finished picture says about itself."""

    recipe: dict[str, Any]
    init: str | None
    """Name of the picture that it started from, which has to be sent as ``init`` again."""
    version: str
    photo: NamedHash
    paintings: list[NamedHash]
    masks: list[NamedHash]


class Health(Message):
    """State of the server."""

    status: Literal["ok", "unhealthy"]
    version: str
    workers: int
    """Number of workers that are alive."""
    device: str
    """Device that they use."""
    upload_limit: int
    """Largest size of a request in bytes."""
    queued: int
    running: int
