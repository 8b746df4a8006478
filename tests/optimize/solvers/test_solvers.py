"""Solvers on problems whose answer is known."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.canvas.view import Bounds
from impasto.optimize.solvers.solver import SolverProblem
from impasto.optimize.solvers.solver_choice import SOLVERS
from impasto.recipe.tables import SolverChoice
from solvers import MEMORY, NumberCanvas, make_picture_solver

KINDS = {
    "adam": SolverChoice(kind="adam", learning_rate=8, decay=0.5, decay_every=30),
    "lbfgs": SolverChoice(kind="lbfgs", learning_rate=1),
    "lbfgsb": SolverChoice(kind="lbfgsb", restart_every=7),
    "bounded": SolverChoice(kind="bounded"),
}
SHAPE = (1, 3, 4, 5)
GENERATOR = torch.Generator().manual_seed(3)
CENTER = torch.rand(SHAPE, generator=GENERATOR) * 1.6 - 0.3
STIFFNESS = 0.05 + torch.rand(SHAPE, generator=GENERATOR)


def bowl(image):
    """A separable quadratic whose free minimum lies partly outside the box."""
    away = image - CENTER
    total = float((STIFFNESS * away.square()).sum())
    return {"total": total}, 2 * STIFFNESS * away


def valley(image):
    """Rosenbrock's function of neighboring pixels: curved, badly conditioned."""
    x = image.detach().requires_grad_()
    flat = x.flatten()
    a, b = flat[:-1], flat[1:]
    total = (10 * (b - a.square()).square() + (1 - a).square()).sum()
    (gradient,) = torch.autograd.grad(total, x)
    return {"total": float(total.detach())}, gradient


def run(kind, function, iterations, start=None):
    start = torch.full(SHAPE, 0.5) if start is None else start
    solver = make_picture_solver(KINDS[kind], start, function)
    losses = [solver.step()["total"] for _ in range(iterations)]
    picture = solver.picture
    solver.close()
    return picture, losses


@pytest.mark.parametrize("kind", ["adam", "lbfgsb", "bounded"])
def test_finds_the_bounded_minimum(kind):
    picture, _ = run(kind, bowl, 120)
    assert torch.allclose(picture, CENTER.clamp(0, 1), atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_finds_a_minimum_inside_the_box(kind):
    inside = CENTER.clamp(0.1, 0.9)

    def inner_bowl(image):
        away = image - inside
        return {"total": float((STIFFNESS * away.square()).sum())}, 2 * STIFFNESS * away

    picture, _ = run(kind, inner_bowl, 120)
    assert torch.allclose(picture, inside, atol=2e-3)


@pytest.mark.parametrize("kind", ["lbfgsb", "bounded"])
def test_matches_scipy_on_a_curved_valley(kind):
    def whole(x):
        losses, gradient = valley(torch.from_numpy(x.astype(np.float32)).view(SHAPE))
        return losses["total"], gradient.numpy().astype(np.float64).ravel()

    best = minimize(whole, np.full(60, 0.5), jac=True, method="L-BFGS-B", bounds=[(0, 1)] * 60)
    picture, _ = run(kind, valley, 300)
    assert valley(picture)[0]["total"] <= best.fun + 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_never_leaves_the_box(kind):
    def pull(image):
        return {"total": float(-image.sum())}, -torch.ones_like(image) * 50

    solver = make_picture_solver(KINDS[kind], torch.full(SHAPE, 0.9), pull)
    for _ in range(15):
        solver.step()
        assert solver.picture.min() >= 0
        assert solver.picture.max() <= 1
    solver.close()


RANGES = {
    "wide": [Bounds(-2.0, 3.0)],
    "high": [Bounds(4.0, 9.0)],
    "above a floor": [Bounds(lower=1.5)],
    "everywhere": [Bounds()],
    "each its own": [Bounds(-2.0, 0.5), Bounds()],
}


@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("kind", ["lbfgsb", "bounded"])
def test_solvers_stay_within_the_bounds_of_the_canvas_and_use_all_of_them(kind, ranges):
    """The nearest allowed numbers to targets from -4 to 10: any narrower box would be further."""
    targets = [torch.linspace(-4, 10, 12).view(3, 4).roll(i) for i, _ in enumerate(ranges)]
    expected = [t.clamp(b.lower, b.upper) for t, b in zip(targets, ranges, strict=True)]

    def measure(parameters):
        away = [x - target for x, target in zip(parameters, targets, strict=True)]
        total = sum(float(each.square().sum()) for each in away)
        return {"total": total}, [2 * each for each in away]

    start = [torch.full_like(t, max(b.lower, 0.2)) for t, b in zip(targets, ranges, strict=True)]
    problem = SolverProblem(NumberCanvas(ranges), start, measure, MEMORY)
    solver = SOLVERS[kind].make(KINDS[kind], problem)
    for _ in range(30):
        solver.step()
    result = solver.picture
    solver.close()
    assert torch.allclose(result, torch.cat([each.flatten() for each in expected]), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flat_objective_moves_nothing_and_stays_finite(kind):
    def flat(image):
        return {"total": 0.0}, torch.zeros_like(image)

    picture, _ = run(kind, flat, 10)
    assert torch.equal(picture, torch.full(SHAPE, 0.5))


def test_bounded_never_accepts_a_worse_picture():
    _, losses = run("bounded", valley, 60)
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("cut", [1, 5, 7, 13])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_state_goes_on_bit_for_bit(kind, cut, tmp_path):
    whole, losses = run(kind, valley, 25)
    first = make_picture_solver(KINDS[kind], torch.full(SHAPE, 0.5), valley)
    for _ in range(cut):
        first.step()
    torch.save(first.state(), tmp_path / "state")
    first.close()
    second = make_picture_solver(KINDS[kind], torch.zeros(SHAPE), valley)
    second.load(torch.load(tmp_path / "state", weights_only=True))
    rest = [second.step()["total"] for _ in range(25 - cut)]
    assert rest == losses[cut:]
    assert torch.equal(second.picture, whole)
    second.close()


def test_adam_follows_its_formula():
    settings = SolverChoice(kind="adam", learning_rate=5, beta1=0.8, beta2=0.95, epsilon=1e-8)
    solver = make_picture_solver(settings, torch.full(SHAPE, 0.5), bowl)
    x = np.full(SHAPE, 0.5)
    m = v = np.zeros(SHAPE)
    for t in range(1, 6):
        solver.step()
        g = 2 * STIFFNESS.numpy() * (x - CENTER.numpy())
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g**2
        step = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 255e-8)
        x = np.clip(x - 5 / 255 * step, 0, 1)
    assert np.allclose(solver.picture.numpy(), x, atol=1e-6)


def test_adam_averages_its_iterates():
    settings = SolverChoice(kind="adam", learning_rate=5, average=0.7)
    plain = make_picture_solver(
        settings.model_copy(update={"average": 0.0}), CENTER * 0 + 0.5, bowl
    )
    averaged = make_picture_solver(settings, CENTER * 0 + 0.5, bowl)
    mean, weight = torch.zeros(SHAPE), 0.0
    for _ in range(8):
        plain.step()
        averaged.step()
        mean, weight = 0.7 * mean + 0.3 * plain.picture, 0.7 * weight + 0.3
    assert torch.allclose(averaged.picture, mean / weight, atol=1e-6)


def test_adam_clips_the_gradient_norm():
    norms = []

    def steep(image):
        losses, gradient = bowl(image)
        norms.append(float(gradient.norm()))
        return losses, gradient

    settings = SolverChoice(kind="adam", clip_gradient=0.5, epsilon=1.0)
    solver = make_picture_solver(settings, torch.full(SHAPE, 0.5), steep)
    before = solver.picture
    solver.step()
    assert norms[0] > 0.5
    # With an epsilon far above the gradient the step is proportional to the clipped gradient.
    assert float((solver.picture - before).norm()) == pytest.approx(5 / 255 * 0.5 / 255, rel=0.05)


def test_an_error_in_the_objective_reaches_the_caller_of_lbfgsb():
    def broken(image):
        raise ValueError("no")

    solver = make_picture_solver(KINDS["lbfgsb"], torch.full(SHAPE, 0.5), broken)
    with pytest.raises(ValueError, match="no"):
        solver.step()
    solver.close()


def test_states_are_plain_data():
    for settings in KINDS.values():
        solver = make_picture_solver(settings, torch.full(SHAPE, 0.5), bowl)
        solver.step()
        assert copy.deepcopy(solver.state()).keys() == solver.state().keys()
        solver.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_was_taken_stays_as_it_was(kind):
    solver = make_picture_solver(KINDS[kind], torch.full(SHAPE, 0.5), valley)
    pairs = []
    for _ in range(10):
        solver.step()
        pairs.append((solver.picture, solver.picture.clone()))
    solver.close()
    assert all(torch.equal(picture, copy) for picture, copy in pairs)
    assert not torch.equal(pairs[0][0], pairs[-1][0])


def test_a_round_of_lbfgsb_may_end_late_but_never_early():
    def rough(image):
        """A bowl with waves in it, which a line search stumbles over."""
        losses, gradient = bowl(image)
        waves = float(torch.sin(25 * image).sum())
        return {"total": losses["total"] + waves}, gradient + 25 * torch.cos(25 * image)

    every = 3
    settings = SolverChoice(kind="lbfgsb", restart_every=every)
    solver = make_picture_solver(settings, torch.full(SHAPE, 0.5), rough)
    evaluations = []
    for _ in range(40):
        solver.step()
        evaluations.append(len(solver.state()["log"]))
    solver.close()
    rounds = [count for count, after in itertools.pairwise(evaluations) if after == 1]
    assert len(rounds) > 5
    assert min(rounds) == every
    assert max(rounds) > every  # SciPy finishes its line search


def test_adam_carries_its_moments_to_another_size():
    """With a constant slope per pixel, every step has the length of the learning rate; unless the
    moments of the smaller picture, whose gradients were larger, are taken as they are.
    """

    def slope(image):
        return {"total": 0.0}, torch.ones_like(image) / image.numel()

    settings = SolverChoice(kind="adam", learning_rate=2.0, epsilon=1e-12)
    small = make_picture_solver(settings, torch.full(SHAPE, 0.9), slope)
    for _ in range(5):
        small.step()
    start = torch.full((1, 3, 8, 10), 0.9)
    large = make_picture_solver(settings, start, slope)
    large.inherit(small.state())
    large.step()
    assert torch.allclose(start - large.picture, torch.full_like(start, 2 / 255), rtol=1e-4)


def test_bounded_carries_its_curvature_to_another_size():
    """The mean of a smooth bowl: at twice the size the inherited pairs still describe it, and the
    first step with them gains more than the first step without.
    """
    down, across = torch.meshgrid(torch.linspace(0, 1, 16), torch.linspace(0, 1, 20), indexing="ij")
    stiffness = (1 + 30 * down * across).expand(1, 3, -1, -1)

    def bowl(image):
        stiff = stiffness if image.shape[-1] == 20 else stiffness[..., ::2, ::2]
        away = image - 0.5
        return {"total": float((stiff * away.square()).mean())}, 2 * stiff * away / image.numel()

    settings = SolverChoice(kind="bounded")
    small = make_picture_solver(settings, torch.full((1, 3, 8, 10), 0.9), bowl)
    for _ in range(12):
        small.step()
    losses = {}
    for carry in (False, True):
        large = make_picture_solver(settings, torch.full((1, 3, 16, 20), 0.6), bowl)
        if carry:
            large.inherit(small.state())
        large.step()
        losses[carry] = large.step()["total"]
    assert losses[True] < 0.3 * losses[False]


@pytest.mark.parametrize("kind", ["lbfgs", "lbfgsb"])
def test_the_tutorials_solvers_inherit_nothing(kind):
    solver = make_picture_solver(KINDS[kind], torch.full(SHAPE, 0.5), valley)
    solver.step()
    other = make_picture_solver(KINDS[kind], torch.full(SHAPE, 0.5), valley)
    before = copy.deepcopy(other.state())
    other.inherit(solver.state())
    assert str(other.state()) == str(before)
    solver.close()


class Failing(TorchDispatchMode):
    """Memory runs out in one of the operations."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        self.left -= 1
        if self.left == -1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return operation(*arguments, **(named or {}))


def start_solver(kind):
    settings = KINDS["adam" if kind == "laplacian" else kind].model_copy(update={"average": 0.5})
    start = torch.full((1, 3, 16, 16), 0.5)
    target = torch.rand(start.shape, generator=torch.Generator().manual_seed(4)) * 1.4 - 0.2

    def distance(image):
        return {"total": float((image - target).square().sum())}, 2 * (image - target)

    if kind == "laplacian":
        solver = make_picture_solver(settings, start, distance, levels=2)
    else:
        solver = make_picture_solver(settings, start, distance)
    for _ in range(2):
        solver.step()
    return solver


@pytest.mark.parametrize("kind", ["adam", "bounded", "laplacian"])
def test_a_step_whose_memory_runs_out_anywhere_is_as_if_it_had_not_begun(kind):
    whole = start_solver(kind)
    expected = whole.step(), whole.step(), whole.picture
    for place in itertools.count():
        solver, failing = start_solver(kind), Failing(place)
        try:
            with failing:
                solver.step()
        except RuntimeError:
            assert (solver.step(), solver.step()) == expected[:2]
            assert torch.equal(solver.picture, expected[2])
        else:
            break
    assert place > 20


def test_torchs_lbfgs_begins_again_from_its_best_if_memory_runs_out():
    solver = start_solver("lbfgs")
    best = solver.state()["lowest"]
    for place in (3, 12, 25):
        with pytest.raises(RuntimeError, match="allocate"), Failing(place):
            solver.step()
    assert solver.step()["total"] <= best
    assert solver.step()["total"] <= best


def test_lbfgsb_goes_on_if_its_thread_ran_out_of_memory(monkeypatch):
    solver = make_picture_solver(KINDS["lbfgsb"], torch.full(SHAPE, 0.5), bowl)
    first = solver.step()
    solver.close()

    def hungry(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("scipy.optimize.minimize", hungry)
        with pytest.raises(MemoryError):
            solver.step()
    assert solver.step()["total"] < first["total"]
    solver.close()
