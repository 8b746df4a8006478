"""Describe what engines can do, as data that is known before an engine or torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.errors import InputError


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do. Callers ask for capabilities, never for the kind of an engine.

    Attributes:
        iterates: a run has many steps, so that it can be stopped early, and a number of iterations
            or snapshots make sense. Otherwise a run is one step.
        checkpoints: a run can be saved and resumed.
        masks: the photo may have several regions, each in the style of its own painting.
        style_masks: a painting may count in part.
        blends: several paintings may be blended.
        tiles: a picture that does not fit into memory is worked on in tiles.
        temporal: a frame of a film can be held near the frames before it.
        shots: the paintings can be measured once for a whole shot; see
            :class:`impasto.engine.protocol.ShotEngine`.
        shot_statistics: features of a shot can be normalized by the first frame's statistics.
        refines: a run can begin with a given picture, so that a region can be refined.
        batches: ``run_together`` paints several photos of one size at a time.
        reuses_memory: blocks of the same sizes are allocated again and again, so that keeping freed
            memory pays even where memory is short.
    """

    iterates: bool = False
    checkpoints: bool = False
    masks: bool = False
    style_masks: bool = False
    blends: bool = False
    tiles: bool = False
    temporal: bool = False
    shots: bool = False
    shot_statistics: bool = False
    refines: bool = False
    batches: bool = False
    reuses_memory: bool = False

    def check_checkpoint(self, *files: object) -> None:
        """Check that an engine with these capabilities can use the given checkpoint files.

        Raises:
            InputError: one is given (not None), and it cannot.
        """
        if not self.checkpoints and any(file is not None for file in files):
            raise InputError(
                "paints in one pass; it neither saves nor resumes a run", what="this engine"
            )
