"""Run a training session with its files: caches, state, log, sample sheets and the network."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from impasto.encoders.weight_sources import hash_file
from impasto.encoders.weights import load_vgg
from impasto.errors import InputError, format_count
from impasto.image.files.atomic import make_folder, write_atomically
from impasto.image.files.decode import read_picture
from impasto.image.files.result_file import ResultFile
from impasto.network.network_files import (
    check_network_file,
    encode_paintings,
    network_file,
    read_painter,
    write_painter,
)
from impasto.network.painter.grain import DEVIATION, PERIODS, SIDE
from impasto.network.painter.model import Painter
from impasto.network.painter.style_code import LAYERS, CodeBook, PictureMoments
from impasto.network.train.batches import TrainingPlan
from impasto.network.train.run_state import TrainingLog, lock_folder, read_state, write_state
from impasto.network.train.sample_sheet import write_samples
from impasto.network.train.stroke_targets import StrokeTargets
from impasto.network.train.stroke_trainer import StrokePlan, StrokeTrainer, make_stroke_trainer
from impasto.network.train.trainer import NetworkTrainer, Trainer
from impasto.network.train.training_paintings import SIDES, Paintings, measure_picture
from impasto.network.train.training_photos import (
    Photos,
    compute_fingerprint,
    read_next_picture,
    resize_shorter_side,
    split_pictures,
    to_batch,
)

BOOK_PAINTINGS = 160
"""Paintings that the code book is fitted to."""
STATE = "state.pt"
OUTPUTS = "written.txt"
"""File that lists where the run has written its network, and may overwrite it."""
FIXED = ("batch", "side", "seed", "variants", "doubling", "fitted")
"""Settings that cannot change when a run continues."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Session:
    """The files of a training run.

    Attributes:
        photos: folder of photos.
        paintings: folder of paintings; or the only paintings that the network is for.
        work: folder of the run's own files: ``cache/``, ``state.pt``, ``log.jsonl``, ``samples/``
            and ``book.safetensors``.
        output: network file, rewritten with every checkpoint.
        overwrite: whether a file that is there already is replaced, also if it is not this run's.
        notice: called with one line if another file is kept, and the network has another name.
        base: network file to start from. None: random weights.
        checkpoint_every: steps between checkpoints.
        sample_every: steps between sample sheets.
    """

    photos: Path
    paintings: Path | tuple[Path, ...]
    work: Path
    output: Path
    base: Path | None = None
    checkpoint_every: int = 50
    sample_every: int = 1000
    overwrite: bool = True
    notice: Say | None = None

    @property
    def own_paintings(self) -> tuple[Path, ...]:
        """The only paintings that the network is for. Empty: it is for any style."""
        return self.paintings if isinstance(self.paintings, tuple) else ()

    def split_paintings(self) -> tuple[list[Path], list[Path]]:
        """Return the paintings for training, and those for evaluation.

        The only paintings that a network is for are used for both.
        """
        if isinstance(self.paintings, tuple):
            return [*self.paintings], [*self.paintings]
        return split_pictures(self.paintings)


def train(
    session: Session,
    plan: TrainingPlan | StrokePlan,
    device: torch.device,
    say: Say,
    rank: int = 0,
) -> Generator[dict[str, float], None, None]:
    """Start a run, or continue the one in the session's folder; yield the losses of every step.

    Closing the generator stops the run and saves its state.

    Args:
        session: the files.
        plan: the settings. A run may continue with other weights, rates and numbers of steps, but
            not with other pictures.
        device: device to train on.
        say: called with one line for each thing done before the first step, and with where the
            network is.
        rank: rank of this process among several; only rank 0 writes.

    Raises:
        ImageError: a painting that the network is for cannot be read.
        InputError: a folder has no pictures, or the work folder belongs to another run or is in
            use.
        WeightsError: the network to start from is missing or damaged.
        ResourceError: the disk is full.
    """
    network_kind = NETWORK_KINDS[type(plan)]
    run = _identify_run(session, plan)
    with nullcontext() if rank else lock_folder(session.work):
        state = read_state(session.work / STATE, network_kind.name, run)
        trainer, photos, paintings = make_trainer(session, plan, device, say, rank)
        if state is not None:
            trainer.restore(state)
            hint = "; ask for more steps to continue" if trainer.step >= plan.steps else ""
            say(f"continuing from step {trainer.step}{hint}")
        yield from _run_and_record(session, run, trainer, photos, paintings, say)


def make_trainer(
    session: Session,
    plan: TrainingPlan | StrokePlan,
    device: torch.device,
    say: Say = lambda _: None,
    rank: int = 0,
) -> tuple[NetworkTrainer[Any, Any], Photos, Any]:
    """Make a trainer at step 0, and load its data.

    Arguments and errors are those of :func:`train`.

    Returns:
        The trainer, and the held-out photos and paintings.
    """
    torch.manual_seed(plan.seed)
    return NETWORK_KINDS[type(plan)].make_trainer(session, plan, device, say, rank)


def _make_stroke_trainer(
    session: Session,
    plan: StrokePlan,
    device: torch.device,
    say: Say,
    rank: int,  # noqa: ARG001 -- the stroke network is trained in one process
) -> tuple[StrokeTrainer, Photos, StrokeTargets]:
    """See :func:`make_trainer`."""
    (photos, held_photos), paintings = _load_pictures(session, say)
    cache = session.work / "cache"
    trainer, held_paintings = make_stroke_trainer(plan, device, photos, paintings, cache)
    return trainer, held_photos, held_paintings


def _make_painter_trainer(
    session: Session, plan: TrainingPlan, device: torch.device, say: Say, rank: int
) -> tuple[Trainer, Photos, Paintings]:
    """See :func:`make_trainer`."""
    painter = Painter() if session.base is None else read_painter(session.base)[0]
    with _run_rank_zero_first(rank):
        data = _load_data(session, painter, plan, device, say)
    (photos, held_photos), (paintings, held_paintings) = data
    encoder = paintings.encoder
    trainer = Trainer(plan, painter.to(device), encoder, photos, paintings, rank=rank)
    return trainer, held_photos, held_paintings


@dataclass(frozen=True)
class NetworkKind:
    """One of the networks that a session can train.

    Attributes:
        name: format of the network's files.
        make_trainer: makes a trainer at step 0 and loads its data; see :func:`make_trainer`.
        facts: what identifies a run, besides its pictures and its plan.
    """

    name: str
    make_trainer: Callable[
        [Session, Any, torch.device, Say, int], tuple[NetworkTrainer[Any, Any], Photos, Any]
    ]
    facts: Mapping[str, Any]


NETWORK_KINDS: Mapping[type, NetworkKind] = {
    TrainingPlan: NetworkKind(
        Trainer.kind, _make_painter_trainer, {"grain": [DEVIATION, SIDE, *PERIODS]}
    ),
    StrokePlan: NetworkKind(StrokeTrainer.kind, _make_stroke_trainer, {}),
}
"""The networks, by the class of their plans."""


@contextmanager
def _run_rank_zero_first(rank: int) -> Iterator[None]:
    """Run a block in the process of rank 0 first; the others then find its files."""
    if _is_distributed() and rank > 0:
        torch.distributed.barrier()
    yield
    if _is_distributed() and rank == 0:
        torch.distributed.barrier()


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _load_data(
    session: Session, painter: Painter, plan: TrainingPlan, device: torch.device, say: Say
) -> tuple[list[Photos], list[Paintings]]:
    """Load photos and paintings, for training and held out, and set the painter's code book.

    Returns:
        Photos for training and held out; paintings for training and held out.
    """
    photos, paintings = _load_pictures(session, say)
    if session.base is None:
        painter.book.load_state_dict(_load_book(session, paintings[0], plan, say))
    book, encoder = deepcopy(painter.book).to(device), load_vgg("vgg19", LAYERS, device=device)
    cache = session.work / "cache"
    return photos, [Paintings(paths, cache, encoder, book) for paths in paintings]


def _load_pictures(session: Session, say: Say) -> tuple[list[Photos], list[list[Path]]]:
    """Pack the photos and list the paintings, each for training and held out."""
    photos = split_pictures(session.photos)
    paintings = session.split_paintings()
    for path in session.own_paintings:
        read_picture(path)  # reports damaged files before any work
    counts = format_count(len(photos[0]), "photo"), format_count(len(paintings[0]), "painting")
    say(f"{', '.join(counts)}; packing new ones into the cache")
    return [Photos.pack(paths, session.work / "cache") for paths in photos], list(paintings)


def _identify_run(session: Session, plan: TrainingPlan | StrokePlan) -> dict[str, Any]:
    """List the facts that identify a run; its state cannot continue with others."""
    settings, base = asdict(plan), session.base
    photos, paintings = split_pictures(session.photos), session.split_paintings()
    return {
        "photos": compute_fingerprint([*photos[0], *photos[1]]),
        "paintings": compute_fingerprint(session.own_paintings or [*paintings[0], *paintings[1]]),
        "weights to begin with": "" if base is None else hash_file(check_network_file(base)),
        **NETWORK_KINDS[type(plan)].facts,
        "processes": torch.distributed.get_world_size() if _is_distributed() else 1,
        **{name: settings[name] for name in FIXED if name in settings},
    }


def _run_and_record(
    session: Session,
    run: dict[str, Any],
    trainer: NetworkTrainer[Any, Any],
    photos: Photos,
    paintings: Any,
    say: Say,
) -> Generator[dict[str, float], None, None]:
    if trainer.rank > 0:
        yield from trainer.run(trainer.plan.steps)
        return
    log, last = TrainingLog(session.work / "log.jsonl", trainer.step), trainer.plan.steps
    network = ResultFile(
        session.output,
        overwrite=session.overwrite,
        notice=session.notice,
        what="the network",
    )
    if is_own_output(session.work, session.output):
        network.adopt()
    keep = partial(save, session, run, trainer, network)
    if trainer.step >= last:  # the output may have another name now
        keep()
    for losses in trainer.run(last):
        step = trainer.step
        if step % session.sample_every == 0 or step == last:
            held_out = trainer.evaluate(photos, paintings)
            losses |= {f"held_out_{name}": value for name, value in held_out.items()}
            write_samples(trainer, photos, paintings, session.work / "samples")
        log.write(losses)
        if step % session.checkpoint_every == 0 or step == last:
            keep()
        try:
            yield losses
        except GeneratorExit:
            keep()
            raise
    say(str(network.path))


def save(
    session: Session,
    run: dict[str, Any],
    trainer: NetworkTrainer[Any, Any],
    network: ResultFile,
) -> None:
    """Write the state and the network of a run, each atomically."""
    write_state(session.work / STATE, trainer.kind, run, trainer.get_state())
    about = {**asdict(trainer.plan), "steps": trainer.step}
    paintings = encode_paintings(session.own_paintings)

    def write(target: Path, /, *, overwrite: bool) -> None:
        outputs = _list_outputs(session.work)
        if not is_own_output(session.work, target):
            # Recorded first, because the process may be killed in between.
            _record_outputs(session.work, [*outputs, str(target.resolve())])
        try:
            write_painter(
                trainer.averaged, target, about, paintings, trainer.kind, overwrite=overwrite
            )
        except InputError:
            _record_outputs(session.work, outputs)
            raise

    network.write(write)


def _record_outputs(work: Path, outputs: Sequence[str]) -> None:
    write_atomically(work / OUTPUTS, "".join(f"{path}\n" for path in outputs).encode())


def is_own_output(work: Path, output: Path) -> bool:
    """Tell whether a file is one to which the run in a folder has written its network."""
    return str(output.resolve()) in _list_outputs(work)


def _list_outputs(work: Path) -> list[str]:
    path = work / OUTPUTS
    return path.read_text().splitlines() if path.exists() else []


def _load_book(
    session: Session, paintings: Sequence[Path], plan: TrainingPlan, say: Say
) -> dict[str, torch.Tensor]:
    """Load the code book of the run, or fit it to some of its paintings.

    A few paintings that are named one by one are not enough for a book; they use that of the
    network that is part of impasto.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    if session.own_paintings:
        return read_painter(network_file(None))[0].book.state_dict()

    path = session.work / "book.safetensors"
    if not path.exists():
        say("fitting the code book to the paintings")
        book = fit_book(paintings, plan.seed)
        make_folder(session.work)
        write_atomically(path, save(book.state_dict()))
    try:
        return load_file(path)
    except SafetensorError:
        raise InputError("is damaged; delete it to fit the code book again", where=path) from None


def fit_book(paintings: Sequence[Path], seed: int) -> CodeBook:
    """Fit a code book to some of the paintings, which the seed chooses."""
    book, encoder = CodeBook(), load_vgg("vgg19", LAYERS)
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randperm(len(paintings), generator=generator)[:BOOK_PAINTINGS].tolist()
    moments = []
    for index in indices:
        picture = resize_shorter_side(read_next_picture(paintings, index), SIDES[1])
        moments.append(measure_picture(to_batch(picture.pixels), encoder, book))
    book.fit(
        PictureMoments(
            [torch.cat(layer) for layer in zip(*(m.means for m in moments), strict=True)],
            [torch.cat(layer) for layer in zip(*(m.seconds for m in moments), strict=True)],
            torch.cat([m.grade for m in moments]),
        )
    )
    return book
