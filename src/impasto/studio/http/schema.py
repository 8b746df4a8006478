"""What goes over the wire: requests and answers, as the OpenAPI document has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from impasto.studio.settings import MOST_PICTURES

JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Data(Message):
    """A picture in the request itself."""

    data: str
    """The file in base64."""


class Upload(Message):
    """A file of the same multipart request."""

    file: Annotated[int, Field(ge=0, lt=MOST_PICTURES)]
    """Place among the parts of its name, from 0."""


class OfJob(Message):
    """A picture, or the clip, of another job."""

    job: JobId
    what: Annotated[str, Field(pattern=r"^(photo|clip|init|result|preview|(style|mask)/[0-7])$")]


class OfStyle(Message):
    """A shipped painting."""

    style_name: Annotated[str, Field(max_length=40)]


class OfWord(Message):
    """A mask that impasto finds in the photo."""

    word: Annotated[str, Field(max_length=60)]
    """``rect:X,Y,WIDTH,HEIGHT``, ``salient``, ``person``, ``face``, or ``auto:COUNT`` alone."""


Source = Data | Upload | OfJob | OfStyle
MaskSource = Source | OfWord
Sources = Annotated[list[Source], Field(max_length=MOST_PICTURES)]


class JobRequest(Message):
    """What to make. With multipart, the pictures may come as parts instead."""

    recipe: str | dict[str, Any] | None = None
    """A name of /v1/recipes, or a recipe; none: ``draft`` for a draft, else ``standard``."""
    set: Annotated[dict[str, Any], Field(max_length=100)] = {}
    """Fields of the recipe to change, by dotted key, such as ``style.scale``."""
    draft: bool = False
    """Whether the job goes ahead of all that are none."""
    title: Annotated[str, Field(max_length=200)] = ""
    depth: Literal[8, 16] = 8
    """Bits a channel of the result."""
    keep_metadata: bool = False
    """Whether the photo's EXIF and copyright, its position included, go into the result; of a clip,
    what its file says of itself."""
    photo: Source | None = None
    clip: Source | None = None
    """Instead of a photo: every frame of it is painted."""
    preview: bool = False
    """Whether only a contact sheet and the first seconds of the clip are wanted."""
    stability: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Of a clip: 0 paints every frame by itself, 1 keeps all that can be kept."""
    styles: Sources | None = None
    """The paintings in their order; none: those that come as parts."""
    masks: Annotated[list[MaskSource], Field(max_length=MOST_PICTURES)] | None = None
    """Where each painting goes in the photo, in their order."""
    style_masks: Annotated[list[Source | None], Field(max_length=MOST_PICTURES)] | None = None
    """One for each painting, or null."""
    init: Source | None = None
    """A picture to begin with."""


class Losses(Message):
    total: float | None = None
    content: float | None = None
    style: float | None = None


class Progress(Message):
    iteration: int
    iterations: int
    unit: Literal["step", "frame"] = "step"
    """What an iteration is: of a clip, a frame."""
    scale: int
    """From 0, the coarsest."""
    scales: int
    width: int
    height: int
    losses: Losses
    seconds_left: float


class ProblemDetails(BaseModel):
    """RFC 9457; ``code`` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class PictureInfo(Message):
    name: str
    """That the client gave it."""
    width: int
    height: int
    style_name: str | None = None
    """If it is a shipped painting."""


class ClipInfo(Message):
    frames: int
    seconds: float
    preview: bool
    """Whether only a contact sheet and the first seconds are wanted."""
    stability: float
    media_type: str
    """Of the result."""


class Links(Message):
    self: str
    events: str
    preview: str | None
    result: str | None
    thumbnail: str | None
    sheet: str | None
    """The contact sheet of a clip's preview."""
    photo: str
    """Of a clip, its first frame."""
    styles: list[str]
    masks: list[str]


class Job(Message):
    id: JobId
    title: str
    state: Literal["queued", "running", "stopped", "done", "failed", "cancelled"]
    draft: bool
    created: str
    """ISO 8601, like the other times."""
    started: str | None
    ended: str | None
    seconds: float
    """Worked so far."""
    position: int | None
    """Jobs ahead of it in the queue."""
    progress: Progress | None
    problem: ProblemDetails | None
    recipe: dict[str, Any]
    depth: int
    keep_metadata: bool
    width: int | None
    height: int | None
    """Of the result, once there is one."""
    photo: PictureInfo
    """Or the clip."""
    clip: ClipInfo | None
    """None: it is a photo."""
    paintings: list[PictureInfo]
    styles: int
    masks: int
    links: Links


class JobPage(Message):
    jobs: list[Job]
    next: JobId | None
    """What to give as ``before`` for the next page."""


class NamedRecipe(Message):
    name: str
    description: str
    recipe: dict[str, Any]


class Recipes(Message):
    recipes: list[NamedRecipe]


class Style(Message):
    name: str
    title: str
    url: str
    credit: str


class Styles(Message):
    styles: list[Style]


class NamedHash(Message):
    name: str
    sha256: str


class Restored(Message):
    recipe: dict[str, Any]
    init: str | None
    """Name of the picture that it began with, which has to be sent as ``init`` again."""
    version: str
    photo: NamedHash
    paintings: list[NamedHash]
    masks: list[NamedHash]


class Health(Message):
    status: Literal["ok", "ailing"]
    version: str
    workers: int
    """That are alive."""
    device: str
    """That they work on."""
    upload_limit: int
    """Bytes of a request."""
    queued: int
    running: int
