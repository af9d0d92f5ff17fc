"""flax.linen modules as pure models. Training and inference are always told explicitly, whatever the module's defaults."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import flax.linen as nn
import jax
from flax import errors as flax_errors
from flax.core import meta, unfreeze

from reds_jax.adapters.flags import INFERENCE, TRAINING, flag_values, keywords
from reds_jax.adapters.pure import PureModel, Variables, arguments, cannot_draw, dropout_is_on
from reds_jax.adapters.trees import COLLECTIONS, Shapes, batch_stats_of, check_shapes, checked_collections, shapes_of
from reds_jax.errors import InvalidArgumentError

SOWN = ("intermediates", "perturbations")  # what a module notes on the way; nothing reads it back


@dataclass(frozen=True)
class LinenModel(PureModel):
    """A flax.linen module, unmodified; the variables are those of ``module.init``.

    Its call is told about training by whichever it takes of ``train``, ``training``, ``is_training`` and, inverted,
    ``deterministic``, ``use_running_average``, ``inference``, ``eval``; or by a field of the module with such a name.

    Args:
        module: its fields must be hashable; lists in them are read as tuples.
        method: the name of the method that is called.
        rngs: the names of the random streams that the module draws from in training.

    Raises:
        InvalidArgumentError: the module takes a ``width``, has unhashable fields, or holds variables.
    """

    module: nn.Module
    method: str = "__call__"
    rngs: tuple[str, ...] = ("dropout",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", _hashable(self.module))
        if "width" in self._keywords():
            raise InvalidArgumentError(f"{type(self.module).__name__} takes a width", hint="A module needs none any more: "
                                       "write it at full width, with plain flax.linen layers.")

    def __call__(self, variables: Variables, inputs: Any, *, train: bool = False, dropout: bool | None = None,
                 key: jax.Array | None = None) -> tuple[Any, Any]:
        on = dropout_is_on(train, dropout)
        self._check(variables, inputs, train)
        module, args, kwargs = self._told(inputs, train, on)
        kwargs |= {"method": self.method}
        rngs = {} if key is None or not on else {stream: _folded(key, stream, i) for i, stream in enumerate(self.rngs)}
        name = type(module).__name__
        try:
            with contextlib.nullcontext() if on else nn.intercept_methods(_without_dropout):
                if not train:
                    return module.apply(variables, *args, **kwargs), batch_stats_of(variables)
                outputs, updated = module.apply(variables, *args, mutable=["batch_stats"], rngs=rngs, **kwargs)
        except flax_errors.InvalidRngError as error:
            if not on or key is None:
                raise cannot_draw(f"{name} ({_first_words(error)})", on) from error
            raise InvalidArgumentError(f"{name} draws from a random stream that is not named ({_first_words(error)})",
                                       got=self.rngs, hint="Name it: LinenModel(module, rngs=(...)).") from error
        except flax_errors.ModifyScopeVariableError as error:
            raise InvalidArgumentError(f"{name} changes its variables in inference ({_first_words(error)})",
                                       hint="Give its call an argument train, and call nn.BatchNorm with "
                                            "use_running_average=not train.") from error
        return outputs, unfreeze(updated["batch_stats"]) if "batch_stats" in updated else batch_stats_of(variables)

    def _keywords(self) -> frozenset[str]:
        return keywords(getattr(type(self.module), self.method))

    def _told(self, inputs: Any, train: bool, dropout: bool) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
        """The module and the arguments of its call, both told about training."""
        ours = {f.name for f in fields(self.module) if isinstance(getattr(self.module, f.name, None), bool)}
        in_fields = ours.intersection((*TRAINING, *INFERENCE))
        values: dict[str, Any] = flag_values(self._keywords() | in_fields, train, dropout)
        module = self.module.clone(**{name: values.pop(name) for name in in_fields}) if in_fields else self.module
        args, kwargs = arguments(inputs)
        return module, args, {**kwargs, **values}

    def _check(self, variables: Variables, inputs: Any, train: bool) -> None:
        leaves, treedef = jax.tree.flatten(jax.eval_shape(lambda: inputs))
        example = (tuple(leaves), treedef)
        needed = _expected(self, example, train)
        if set(shapes_of(variables)) != set(needed):
            known = shapes_of(variables) if self.method != "__call__" else _expected(self, example, not train)
            check_shapes(variables, needed, known)


def adapt_linen(module: nn.Module, variables: Any) -> tuple[LinenModel, Variables]:
    """The pure model of ``module`` and its variables as plain dicts; what ``module.init`` has sown is dropped."""
    if not isinstance(variables, Mapping):
        raise InvalidArgumentError(f"{type(module).__name__} is a flax.linen module, which holds no variables", got=variables,
                                   hint="Pass those of module.init(...).")
    others = sorted(set(variables) - {*COLLECTIONS, *SOWN})
    if others:
        raise InvalidArgumentError(f"{type(module).__name__} has variables in other collections", got=others,
                                   allowed=" and ".join(COLLECTIONS),
                                   hint='Arrays that are not trained belong to self.variable("batch_stats", ...).')
    plain = {name: meta.unbox(unfreeze(variables[name])) for name in COLLECTIONS if name in variables}
    return LinenModel(module), checked_collections(plain)


@functools.lru_cache(maxsize=512)
def _expected(model: LinenModel, example: tuple[tuple[Any, ...], Any], train: bool) -> Shapes:
    """The arrays that the module makes for inputs of these shapes."""
    leaves, treedef = example

    def init(leaves: tuple[Any, ...]) -> Any:
        key = jax.random.key(0)
        module, args, kwargs = model._told(jax.tree.unflatten(treedef, leaves), train, train)
        made = module.init({"params": key, **dict.fromkeys(model.rngs, key)}, *args, method=model.method, **kwargs)
        return meta.unbox({name: unfreeze(made[name]) for name in COLLECTIONS if name in made})

    return shapes_of(jax.eval_shape(init, leaves))


def _without_dropout(next_fun: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
    """Calls flax's dropout and attention layers at rate 0, whatever they are told; inside scan, remat and jit as well."""
    rate = {nn.Dropout: "rate", nn.MultiHeadDotProductAttention: "dropout_rate"}
    field = next((name for layer, name in rate.items() if isinstance(context.module, layer)), None)
    if field is None or context.method_name != "__call__":
        return next_fun(*args, **kwargs)
    with _field(context.module, field, 0.0):
        return next_fun(*args, **kwargs)


@contextlib.contextmanager
def _field(module: nn.Module, name: str, value: Any) -> Iterator[None]:
    """A field of a bound module, which lives for one call, at another value."""
    before = getattr(module, name)
    object.__setattr__(module, name, value)
    try:
        yield
    finally:
        object.__setattr__(module, name, before)


def _hashable(module: nn.Module) -> nn.Module:
    """``module`` with the lists of its fields as tuples where it could not be hashed."""
    for candidate in (module, _frozen(module)):
        with contextlib.suppress(TypeError):
            hash(candidate)
            return candidate
    raise InvalidArgumentError(f"{type(module).__name__} cannot be hashed, which a compiled function needs",
                               hint="Give its fields hashable values (tuples, no arrays), and pass the module without its "
                                    "variables (module.unbind()[0]).")


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return tuple(_frozen(v) for v in value)
    if isinstance(value, nn.Module) and value.scope is None:
        names = [f.name for f in fields(value) if f.init and f.name not in ("parent", "name") and hasattr(value, f.name)]
        return value.clone(**{name: _frozen(getattr(value, name)) for name in names})
    return value


def _folded(key: jax.Array, stream: str, number: int) -> jax.Array:
    return key if stream == "dropout" else jax.random.fold_in(key, number)


def _first_words(error: Exception) -> str:
    return str(error).split(" (http")[0]
