"""A training run on disk: caches, checkpoint, log, sample sheets, and the network so far."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from impasto.encoders.sources import hash_file
from impasto.encoders.weights import load_encoder
from impasto.errors import InputError, format_count
from impasto.image.files.atomic import make_folder, write_atomically
from impasto.image.files.decode import read_picture
from impasto.network.grain import DEVIATION, PERIODS, SIDE
from impasto.network.model import Painter
from impasto.network.network_files import (
    check_network_file,
    encode_paintings,
    network_file,
    read_painter,
    write_painter,
)
from impasto.network.style_code import LAYERS, CodeBook, PictureMoments
from impasto.network.train.batches import Plan
from impasto.network.train.keeping import Log, alone_in, read_state, write_state
from impasto.network.train.sample_sheet import write_samples
from impasto.network.train.trainer import Trainer
from impasto.network.train.training_paintings import SIDES, Paintings, moments_of
from impasto.network.train.training_photos import (
    Photos,
    as_batch,
    fingerprint,
    on_shorter_side,
    pictures_in,
    readable,
)

BOOK_OF = 160
"""Paintings that the code book is fitted on."""
STATE = "state.pt"
WRITTEN = "written.txt"
"""Files that the run wrote its network to, and may write over."""
FIXED = ("batch", "side", "seed", "variants", "doubling", "fitted")
"""Settings that a run keeps: its batches, or what it trains, depend on them."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Session:
    """Where a run reads and writes.

    Attributes:
        photos: a folder of pictures.
        paintings: likewise; or the only ones that the network is for.
        work: folder of everything the run keeps: ``cache/``, ``state.pt``, ``log.jsonl``,
            ``samples/``, ``book.safetensors``.
        output: the network file, rewritten with every checkpoint.
        base: a network file to begin with; none: random weights.
        checkpoint_every, sample_every: steps.
    """

    photos: Path
    paintings: Path | tuple[Path, ...]
    work: Path
    output: Path
    base: Path | None = None
    checkpoint_every: int = 50
    sample_every: int = 1000


def train(
    session: Session, plan: Plan, device: torch.device, say: Say, rank: int = 0
) -> Generator[dict[str, float], None, None]:
    """Begin a run, or go on with the one in the session's folder; yields every step's losses.

    Closing the generator stops the run and keeps where it stands.

    Args:
        session: the folders.
        plan: the settings; a run that goes on may have other weights, rates and numbers of steps,
            but not other pictures.
        device: to train on.
        say: told what is being done before the first step.
        rank: of this process, where several train together; only the first one writes.

    Raises:
        ImageError: a painting that the network is for cannot be read.
        InputError: folders without pictures; the session's folder is another run's, or one is at
            work there.
        WeightsError: the network to begin with is missing or damaged.
        ResourceError: the disk is full.
    """
    run = _identity(session, plan)
    with nullcontext() if rank else alone_in(session.work):
        state = read_state(session.work / STATE, run)
        trainer, photos, paintings = trainer_of(session, plan, device, say, rank)
        if state is not None:
            trainer.restore(state)
            there = "; ask for more steps to continue" if trainer.step >= plan.steps else ""
            say(f"going on from step {trainer.step}{there}")
        yield from _recorded(session, run, trainer, photos, paintings)


def trainer_of(
    session: Session,
    plan: Plan,
    device: torch.device,
    say: Say = lambda _: None,
    rank: int = 0,
) -> tuple[Trainer, Photos, Paintings]:
    """A trainer at step 0, and what is held out; arguments and errors as of :func:`train`."""
    torch.manual_seed(plan.seed)
    painter = Painter() if session.base is None else read_painter(session.base)[0]
    with _first_in_turn(rank):
        data = _data(session, painter, plan, device, say)
    (photos, held_photos), (paintings, held_paintings) = data
    encoder = paintings.encoder
    trainer = Trainer(plan, painter.to(device), encoder, photos, paintings, rank=rank)
    return trainer, held_photos, held_paintings


@contextmanager
def _first_in_turn(rank: int) -> Iterator[None]:
    """What the first of several processes does before the others, which then find its files."""
    if _together() and rank > 0:
        torch.distributed.barrier()
    yield
    if _together() and rank == 0:
        torch.distributed.barrier()


def _together() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _data(
    session: Session, painter: Painter, plan: Plan, device: torch.device, say: Say
) -> tuple[list[Photos], list[Paintings]]:
    """Photos and paintings, to train on and held out; the painter's code book is set."""
    photos = pictures_in(session.photos)
    if isinstance(session.paintings, tuple):  # all are trained on, and judged by
        for path in session.paintings:
            read_picture(path)  # complains of it before any work
        paintings = list(session.paintings), list(session.paintings)
    else:
        paintings = pictures_in(session.paintings)
    given = format_count(len(photos[0]), "photo"), format_count(len(paintings[0]), "painting")
    say(f"{', '.join(given)}; packing what is not packed yet")
    cache = session.work / "cache"
    packed = [Photos.of(paths, cache) for paths in photos]
    if session.base is None:
        painter.book.load_state_dict(_book(session, paintings[0], plan, say))
    book, encoder = deepcopy(painter.book).to(device), load_encoder("vgg19", LAYERS, device=device)
    return packed, [Paintings(paths, cache, encoder, book) for paths in paintings]


def _identity(session: Session, plan: Plan) -> dict[str, Any]:
    """What makes a run this one: to go on with another's state would be to mix them."""
    settings = asdict(plan)

    def all_in(folder: Path) -> str:
        rest, held = pictures_in(folder)
        return fingerprint([*rest, *held])

    given, base = session.paintings, session.base
    return {
        "photos": all_in(session.photos),
        "paintings": fingerprint(given) if isinstance(given, tuple) else all_in(given),
        "weights to begin with": "" if base is None else hash_file(check_network_file(base)),
        "grain": [DEVIATION, SIDE, *PERIODS],
        "processes": torch.distributed.get_world_size() if _together() else 1,
        **{name: settings[name] for name in FIXED},
    }


def _recorded(
    session: Session,
    run: dict[str, Any],
    trainer: Trainer,
    photos: Photos,
    paintings: Paintings,
) -> Generator[dict[str, float], None, None]:
    if trainer.rank > 0:
        yield from trainer.run(trainer.plan.steps)
        return
    log, last = Log(session.work / "log.jsonl", trainer.step), trainer.plan.steps
    if trainer.step >= last:  # the file may be wanted under another name
        save(session, run, trainer)
    for losses in trainer.run(last):
        step = trainer.step
        if step % session.sample_every == 0 or step == last:
            found = trainer.held_out(photos, paintings)
            losses |= {f"held_out_{name}": value for name, value in found.items()}
            write_samples(trainer, photos, paintings, session.work / "samples")
        log.write(losses)
        if step % session.checkpoint_every == 0 or step == last:
            save(session, run, trainer)
        try:
            yield losses
        except GeneratorExit:
            save(session, run, trainer)
            raise


def save(session: Session, run: dict[str, Any], trainer: Trainer) -> None:
    """Write checkpoint and network, each whole or not at all."""
    write_state(session.work / STATE, run, trainer.state())
    about = {**asdict(trainer.plan), "steps": trainer.step}
    if not wrote(session.work, session.output):  # noted first: a kill may come between
        before = _written(session.work)
        lines = "".join(f"{path}\n" for path in [*before, str(session.output.resolve())])
        write_atomically(session.work / WRITTEN, lines.encode())
    own = session.paintings if isinstance(session.paintings, tuple) else ()
    write_painter(trainer.averaged, session.output, about, encode_paintings(own))


def wrote(work: Path, output: Path) -> bool:
    """Whether a file is one that the run in a folder writes its network to."""
    return str(output.resolve()) in _written(work)


def _written(work: Path) -> list[str]:
    note = work / WRITTEN
    return note.read_text().splitlines() if note.exists() else []


def _book(
    session: Session, paintings: Sequence[Path], plan: Plan, say: Say
) -> dict[str, torch.Tensor]:
    """The code book of the run, fitted on some of its paintings if there is none yet; for
    paintings named one by one, too few for a book, impasto's own."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    if isinstance(session.paintings, tuple):
        return read_painter(network_file(None))[0].book.state_dict()

    path = session.work / "book.safetensors"
    if not path.exists():
        say("measuring what paintings are like")
        book = fitted_book(paintings, plan.seed)
        make_folder(session.work)
        write_atomically(path, save(book.state_dict()))
    try:
        return load_file(path)
    except SafetensorError:
        raise InputError(f"{path}: is damaged; without it the run measures anew") from None


def fitted_book(paintings: Sequence[Path], seed: int) -> CodeBook:
    """A code book of some of the paintings, drawn by the seed."""
    book, encoder = CodeBook(), load_encoder("vgg19", LAYERS)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(paintings), generator=generator)[:BOOK_OF].tolist()
    found = []
    for index in chosen:
        picture = on_shorter_side(readable(paintings, index), SIDES[1])
        found.append(moments_of(as_batch(picture.pixels), encoder, book))
    book.fit(
        PictureMoments(
            [torch.cat(layer) for layer in zip(*(m.means for m in found), strict=True)],
            [torch.cat(layer) for layer in zip(*(m.seconds for m in found), strict=True)],
            torch.cat([m.grade for m in found]),
        )
    )
    return book
