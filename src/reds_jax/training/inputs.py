"""From examples on the device to what the model reads: gather, augment, normalise; and what is checked before that."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from reds_jax.adapters import PureModel, adapt
from reds_jax.data.normalise import Normalise, read
from reds_jax.data.stream import Stream
from reds_jax.data.tree import Tree, checked, leaves, map_tree, rows, take
from reds_jax.errors import DataError, InvalidArgumentError
from reds_jax.lowering import traced_as
from reds_jax.program.flat import leaf_path
from reds_jax.run import run
from reds_jax.training.objective import Objective, default_objective

Model = Any
"""Whatever `reds_jax.adapters.adapt` takes: a flax.linen, nnx or equinox module, a Keras model, a pure function."""

Normalisation = Callable[[Any], Any]
"""Inputs as the model reads them, on the device; hashable: `reds_jax.data.Normalise`, or any function."""

Augmentation = Callable[[jax.Array, Any], Any]
"""(key, inputs [N, ...]) -> inputs of the same shape and scale; hashable. See `reds_jax.training.augment`."""


@runtime_checkable
class Examples(Protocol):
    """Inputs and targets with N in front: `reds_jax.data.Split`, or anything with these two; targets may be None."""

    @property
    def inputs(self) -> Any: ...

    @property
    def targets(self) -> Any: ...


def pure_model(model: Any, variables: Any) -> PureModel:
    """The model as a hashable pure function, a static argument of compiled functions; models that mean the same are equal.

    Raises:
        InvalidArgumentError: no such model, fields that cannot be hashed, or variables of another model.
    """
    return adapt(model, variables)[0]


def gather(
    inputs: Tree, targets: Tree, indices: Any, normalise: Normalisation | None, *, augment: Augmentation | None = None,
    key: jax.Array | None = None,
) -> tuple[Tree, Tree]:
    """Inputs at ``indices`` as the model reads them, with their targets; targets None are the inputs that are read."""
    taken = take(inputs, indices)
    x = read(taken if augment is None or key is None else augment(key, taken), normalise, like=taken)
    return x, x if targets is None else take(targets, indices)


def holds_arrays(augment: Augmentation | None) -> bool:
    """Whether it is a pytree of arrays, which a compiled function takes as an argument; any other is part of its program."""
    held = jax.tree.leaves(augment)
    return bool(held) and all(isinstance(leaf, np.ndarray | jax.Array) for leaf in held)


def in_32_bits(array: Any) -> jax.Array:
    """On the device; a float of 16 bits becomes one of 32."""
    array = jnp.asarray(array)
    return array.astype(jnp.float32) if jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize < 4 else array


def trainable(params: Any) -> Any:
    """The parameters on the device, each of 32 bits or more; an `InvalidArgumentError` names one that is no float."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise InvalidArgumentError(f"the parameter {leaf_path(path)!r} cannot be trained", got=str(jnp.result_type(leaf)),
                                       allowed="floats", hint="What is not trained belongs into batch_stats.")
    return jax.tree.map(in_32_bits, params)


def check_inputs(inputs: Tree, what: str, normalise: Normalisation | None = None) -> Tree:
    """The inputs, if they are numbers [N, ...] with the same N everywhere, all finite; a device array stays where it is.

    Raises:
        InvalidArgumentError: otherwise, or floats that are no pixels (0 to 1, or below 0) under a `Normalise`, which would
            divide them by 255 once more; the message names the array and the row.
    """
    on_device = all(isinstance(array, jax.Array) for _, array in leaves(inputs))
    try:
        found = checked(map_tree(lambda path, array: np.zeros(array.shape[:1], bool), inputs) if on_device else inputs, what)
    except DataError as error:
        raise InvalidArgumentError(str(error).rstrip(".")) from error
    inputs = inputs if on_device else found
    for path, array in leaves(inputs):
        name = f"{what}[{path}]" if path else what
        if not jnp.issubdtype(array.dtype, jnp.floating):
            continue
        if on_device and not bool((finite := jnp.isfinite(array)).all()):
            row = int(jnp.argmin(finite.reshape(len(array), -1).all(1)))
            raise InvalidArgumentError(f"the {name} have a value that is not finite in row {row}", got=str(array.dtype))
        if isinstance(normalise, Normalise) and ((low := float(array.min())) < 0 or float(array.max()) <= 1):
            raise InvalidArgumentError(
                f"the {name} are normalised already, and Normalise would divide them by 255 once more",
                got=f"{array.dtype} from {low:.4g} to {float(array.max()):.4g}", allowed="pixels from 0 to 255",
                hint="Give the pixels, or leave the normalisation out (normalise=None).")
    return inputs


def check_finite(variables: Any) -> None:
    """An `InvalidArgumentError` that names the first array of the variables with a value that is not finite."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        if isinstance(leaf, Tracer) or not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            continue
        if (bad := ~np.isfinite(np.asarray(leaf))).any():
            raise InvalidArgumentError(
                f"the variable {leaf_path(path)!r} has a value that is not finite", got=f"{int(bad.sum())} of {bad.size}",
                hint="Did a training before diverge? Start from variables that are finite.")


def check_examples(
    objective: Objective | None, model: PureModel, variables: Any, inputs: Tree, targets: Tree, normalise: Normalisation | None,
    what: str,
) -> tuple[Objective, Tree]:
    """The objective, by default that of the targets, and the inputs, if all suit each other. Every entrance asks this, once.

    Args:
        objective: None: `default_objective`.
        model, variables: the network; its outputs at full width are looked at as shapes, nothing is run.
        inputs, targets: of all examples.
        normalise: as in training.
        what: of the examples, for the message, with {} for their part: "training {}".

    Raises:
        InvalidArgumentError: inputs that `check_inputs` refuses, variables that are not finite, numbers that differ, shapes
            that do not belong together (nothing is broadcast), a label that no output stands for, a target that is not
            finite. The message names the value, its row, and what is allowed.
    """
    inputs, what = check_inputs(inputs, what.format("inputs"), normalise), what.format("targets")
    check_finite(variables)
    try:
        targets = None if targets is None else checked(targets, what)
    except DataError as error:
        raise InvalidArgumentError(str(error).rstrip(".")) from error
    if targets is not None and rows(inputs) != rows(targets):
        raise InvalidArgumentError(f"inputs and {what} differ in number", got=(rows(inputs), rows(targets)))
    objective = default_objective(targets) if objective is None else objective
    outputs, x = output_shapes(model, variables, inputs, normalise)
    wanted = x if targets is None else map_tree(lambda path, a: jax.ShapeDtypeStruct((2, *a.shape[1:]), a.dtype), targets)
    try:
        objective.check_form(outputs, wanted)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{what}: {error.what}", got=error.got, allowed=error.allowed, hint=error.hint) from error
    if objective.check is not None and targets is not None:
        objective.check.values(outputs, targets, what)
    return objective, inputs


def check_same_batches(stream: Stream) -> None:
    """Refuse a stream that may give several processes, which share every batch, other batches."""
    if jax.process_count() > 1 and stream.resumes == "epoch":
        raise InvalidArgumentError("the processes cannot know that this stream gives all the same batches", got=stream.name,
                                   allowed="one that tells its state, or Stream(..., deterministic=True)")


def check_split(
    objective: Objective | None, model: PureModel, variables: Any, split: Examples | Stream, normalise: Normalisation | None,
    what: str,
) -> Objective:
    """`check_examples` of a split, or of the first batch of a stream."""
    inputs, targets = split.example if isinstance(split, Stream) else (split.inputs, split.targets)
    return check_examples(objective, model, variables, inputs, targets, normalise, what)[0]


def target_check(
    objective: Objective, model: PureModel, variables: Any, inputs: Tree, normalise: Normalisation | None
) -> Callable[[Tree, str], None]:
    """For the batches of a stream: raises an `InvalidArgumentError` if a value of the targets is not allowed."""
    check, (outputs, _) = objective.check, output_shapes(model, variables, inputs, normalise)
    return (lambda targets, what: None) if check is None else lambda targets, what: check.values(outputs, targets, what)


def output_shapes(model: PureModel, variables: Any, inputs: Tree, normalise: Normalisation | None) -> tuple[Any, Any]:
    """Shapes of the outputs at full width, and of the inputs as they are read, for two examples."""
    two = map_tree(lambda path, a: jax.ShapeDtypeStruct((2, *np.shape(a)[1:]), a.dtype), inputs)
    return _outputs.eval_shape(variables, two, model=model, normalise=normalise, lowering=traced_as())


def outputs_of(model: PureModel, variables: Any, inputs: Tree, normalise: Normalisation | None) -> Any:
    """The outputs at full width, in inference."""
    return _outputs(variables, inputs, model=model, normalise=normalise, lowering=traced_as())[0]


@partial(jax.jit, static_argnames=("model", "normalise", "lowering"))
def _outputs(
    variables: Any, inputs: Tree, *, model: PureModel, normalise: Normalisation | None, lowering: Hashable
) -> tuple[Any, Any]:
    del lowering
    x = read(inputs, normalise)
    return run(model, variables, x)[0], x
