"""A whole engine in one file, to copy: it turns photos into their negatives.

Everything that loads torch is imported inside methods.
"""

from __future__ import annotations

from impasto.recipe.capabilities import Capabilities
from impasto.recipe.engine_registry import EngineEntry


class ToyEngine:
    """See :class:`impasto.engine.protocol.ShotEngine`."""

    precision = "float32"

    def __init__(self, recipe, hardware, cache):
        self.recipe, self.hardware = recipe, hardware
        self.capabilities = recipe.capabilities

    def choose_size(self, photo):
        from impasto.engine.sizes import choose_result_size

        device = self.hardware.device
        return choose_result_size(photo.width, photo.height, self.recipe.size, device)

    def plan(self, inputs):
        from impasto.engine.plan import Plan
        from impasto.engine.sizes import Scale

        inputs.check(self.capabilities)
        width, height = self.choose_size(inputs.photo)
        return Plan(
            width=width,
            height=height,
            scales=(Scale(width, height, 1),),
            tile=0,
            state="device",
            bytes_needed=0,
            bytes_free=None,
            bytes_on_host=0,
            bytes_on_disk=0,
            scratch=None,
            seconds=0.0,
            at_most=False,
            device="cpu",
            precision="float32",
        )

    def run(self, inputs, *, checkpoint=None, resume=None, every_s=None, plan=None):
        self.capabilities.check_checkpoint(checkpoint, resume)
        inputs.check(self.capabilities)
        return self.paint(inputs)

    def paint(self, inputs):
        from impasto.engine.machine.storage import Storage
        from impasto.engine.pixels.tensors import picture_to_tensor
        from impasto.engine.step import Step

        width, height = self.choose_size(inputs.photo)
        storage = Storage(self.hardware.device)
        negative = 1 - picture_to_tensor(inputs.photo, width, height, storage)
        yield Step.make_only(negative, inputs.photo)

    def run_together(self, inputs):
        return [next(self.run(each)) for each in inputs]

    def begin_shot(self, inputs, size, *, freeze_statistics=False):
        return lambda frame: 1 - frame


def check_recipe(recipe):
    if recipe.colors == "luminance":
        raise ValueError("the toy has no luminance")


ENTRY = EngineEntry(
    name="toy",
    summary="paints negatives.",
    capabilities=Capabilities(shots=True),
    make=ToyEngine,
    fields=frozenset(["style.scale"]),
    check_recipe=check_recipe,
    presets={"toy-negative": 'description = "Negatives."\n[engine]\nkind = "toy"\n'},
    module="wheel_of_the_toy",
)
