"""Collect the engines that come with impasto, one module each.

Each module has an ``ENTRY`` (:class:`impasto.recipe.engine_registry.EngineEntry`), which the
registry finds by looking through this folder. Modules import what is heavy inside functions,
because recipes are checked without torch.
"""
