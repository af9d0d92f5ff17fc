"""flax.nnx modules as pure models: split into a graph and its variables, merged inside the call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from reds_jax.adapters.flags import flag_values, keywords
from reds_jax.adapters.pure import PureModel, Variables, arguments, cannot_draw, dropout_is_on
from reds_jax.adapters.trees import Shapes, at, batch_stats_of, check_shapes, checked_collections, nested, shapes_of
from reds_jax.errors import InvalidArgumentError

Path = tuple[Any, ...]
_NOTES = (nnx.Intermediate, nnx.Perturbation)  # what a module notes on the way; nothing reads it back


@dataclass(frozen=True)
class NnxModel(PureModel):
    """A flax.nnx module, unmodified: ``nnx.Param`` are the params, every other variable but random state is in batch_stats.

    It runs in the mode of ``model.train()`` or ``model.eval()``, and its call is told by the arguments of `LinenModel` where
    it takes them. With ``dropout=False`` the rate of every dropout and attention layer is 0. Made by `reds_jax.adapters.adapt`.
    """

    graphdef: nnx.GraphDef[Any]
    params: tuple[Path, ...]
    batch_stats: tuple[Path, ...]
    streams: tuple[tuple[Path, tuple[int, ...], bool], ...]  # path, shape, whether it is a key (or a count)
    shapes: Shapes
    random: Any = field(compare=False, repr=False)  # the random state of the module as it was given

    def __call__(self, variables: Variables, inputs: Any, *, train: bool = False, dropout: bool | None = None,
                 key: jax.Array | None = None) -> tuple[Any, Any]:
        on = dropout_is_on(train, dropout)
        model = self._merged(variables, self._blank_streams())
        name = type(model).__name__
        model.train() if train else model.eval()
        if not on:
            model.set_attributes(nnx.Dropout, rate=0.0, raise_if_not_found=False)
            model.set_attributes(nnx.MultiHeadAttention, dropout_rate=0.0, raise_if_not_found=False)
        streams = [node for _, node in nnx.iter_graph(model) if isinstance(node, nnx.RngStream)]
        if on and key is not None:
            nnx.reseed(model, policy="match_shape", **_keys(key, streams))
        counts = [stream.count.get_value() for stream in streams]
        args, kwargs = arguments(inputs)
        outputs = model(*args, **kwargs, **flag_values(keywords(type(model).__call__), train, on))
        if key is None or not on:
            for stream, before in zip(streams, counts, strict=True):
                if stream.count.get_value() is not before:
                    raise cannot_draw(f"{name} (the stream {stream.tag!r})", on)
        if not train:
            return outputs, batch_stats_of(variables)
        after = dict(nnx.to_flat_state(nnx.state(model)))
        return outputs, nested((path, _value(after[path])) for path in self.batch_stats)

    def restore(self, variables: Variables) -> nnx.Module:
        """The framework's own module with these variables, in the mode of ``model.eval()``."""
        return self._merged(variables, nested_as_given(self.random))

    def _merged(self, variables: Variables, random: dict[Any, Any]) -> nnx.Module:
        check_shapes(variables, self.shapes)
        trees = ((self.params, variables["params"]), (self.batch_stats, batch_stats_of(variables)))
        states = [nested_as_given([(path, at(tree, path)) for path in paths]) for paths, tree in trees]
        return nnx.merge(self.graphdef, *states, random)

    def _blank_streams(self) -> dict[Any, Any]:
        return nested_as_given([
            (path, jax.random.split(jax.random.key(0), shape) if is_key else jnp.zeros(shape, jnp.uint32))
            for path, shape, is_key in self.streams])


def adapt_nnx(module: nnx.Module, variables: Any = None) -> tuple[NnxModel, Variables]:
    """The pure model of ``module`` and its variables, or the ones given in their place."""
    module = nnx.clone(module)
    module.eval()
    graphdef, params, random, _, rest = nnx.split(module, nnx.Param, nnx.RngState, _NOTES, ...)
    params, rest, random = ([(path, _value(leaf)) for path, leaf in nnx.to_flat_state(state)]
                            for state in (params, rest, random))
    own = {"params": nested(params), "batch_stats": nested(rest)}
    streams = tuple((path, tuple(leaf.shape), jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)) for path, leaf in random)
    model = NnxModel(graphdef, tuple(path for path, _ in params), tuple(path for path, _ in rest), streams, shapes_of(own),
                     random)
    try:
        hash(model)
    except TypeError as error:
        raise InvalidArgumentError(f"{type(module).__name__} cannot be hashed ({error}), which a compiled function needs",
                                   hint="Give its attributes that are no arrays hashable values.") from error
    if variables is not None:
        check_shapes(checked_collections(variables), model.shapes)
    return model, own if variables is None else checked_collections(variables)


def nested_as_given(leaves: Any) -> dict[Any, Any]:
    """The nested dict of (path, leaf) with the keys that nnx has, which are integers in lists."""
    tree: dict[Any, Any] = {}
    for (*above, last), leaf in leaves:
        node = tree
        for key in above:
            node = node.setdefault(key, {})
        node[last] = leaf
    return tree


def _value(leaf: Any) -> Any:
    return leaf.get_value() if isinstance(leaf, nnx.Variable) else leaf


def _keys(key: jax.Array, streams: list[nnx.RngStream]) -> dict[str, Any]:
    """A key for the streams of each name; the stream "dropout" has the one that is given."""
    others = sorted({stream.tag for stream in streams} - {"dropout"})
    return {"dropout": key, **{tag: jax.random.fold_in(key, i) for i, tag in enumerate(others, 1)}}
