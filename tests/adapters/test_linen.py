"""flax.linen modules as pure models: the framework's own numbers, whatever the module's defaults are."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from adapter_checks import check_pure, check_switch, close, far, images

from reds_jax.adapters import LinenModel, adapt
from reds_jax.errors import InvalidArgumentError

pytestmark = pytest.mark.usefixtures("as_users_write")


def body(x, train):
    x = nn.Conv(8, (3, 3))(x)
    x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
    x = nn.Dropout(0.5, deterministic=not train)(x)
    return nn.Dense(4)(x.mean((1, 2)))


class Train(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool = True):
        return body(x, train)


class Training(nn.Module):
    @nn.compact
    def __call__(self, x, *, training):
        return body(x, training)


class IsTraining(nn.Module):
    @nn.compact
    def __call__(self, x, is_training=True):
        return body(x, is_training)


class Deterministic(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic=False):
        return body(x, not deterministic)


class Running(nn.Module):
    @nn.compact
    def __call__(self, x, use_running_average=False):
        return body(x, not use_running_average)


class Inference(nn.Module):
    @nn.compact
    def __call__(self, x, inference=False):
        return body(x, not inference)


class Eval(nn.Module):
    @nn.compact
    def __call__(self, x, eval=False):
        return body(x, not eval)


class Field(nn.Module):
    train: bool = True

    @nn.compact
    def __call__(self, x):
        return body(x, self.train)


TOLD = {"train": Train, "training": Training, "is_training": IsTraining, "deterministic": Deterministic,
        "use_running_average": Running, "inference": Inference, "eval": Eval}
INVERTED = ("deterministic", "use_running_average", "inference", "eval")


def initial(module, x, **told):
    variables = module.init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, x, **told)
    return jax.tree.map(lambda a: a + 0.1 * jax.random.uniform(jax.random.key(2), a.shape), variables)


@pytest.mark.parametrize("name", TOLD)
def test_each_way_of_telling_about_training_is_the_frameworks_own_call(name: str) -> None:
    module, x, key = TOLD[name](), images(), jax.random.key(3)
    told = {train: {name: train != (name in INVERTED)} for train in (True, False)}
    given = initial(module, x, **told[False])
    model, variables = adapt(module, given)
    close(model(variables, x), (module.apply(given, x, **told[False]), given["batch_stats"]))
    expected, state = module.apply(given, x, **told[True], mutable=["batch_stats"], rngs={"dropout": key})
    close(model(variables, x, train=True, key=key), (expected, state["batch_stats"]))


def test_it_is_pure_and_dropout_is_switched_by_itself() -> None:
    x = images()
    model, variables = adapt(Train(), initial(Train(), x))
    check_pure(model, variables, x)


def test_a_field_of_the_module_that_tells_about_training_is_set() -> None:
    x = images()
    model, variables = adapt(Field(train=True), initial(Field(), x))
    close(model(variables, x)[0], Field(train=False).apply(variables, x))
    far(model(variables, x, train=True, dropout=False)[0], model(variables, x)[0])


def test_deterministic_beside_train_is_about_dropout_alone() -> None:
    class Both(nn.Module):
        @nn.compact
        def __call__(self, x, train, deterministic):
            x = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x))
            return x if deterministic else x + 1

    x = np.ones((3, 2), np.float32)
    model, variables = adapt(Both(), initial(Both(), x, train=False, deterministic=True))
    on, off = (model(variables, x, train=True, dropout=d)[0] for d in (True, False))
    close(on, off + 1)


class Drops(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dropout(0.5, deterministic=not train)(nn.Dense(4)(x))


class Lifted(nn.Module):
    """Dropout behind jit, remat, scan and in attention."""

    @nn.compact
    def __call__(self, x, train=True):
        x = nn.jit(Drops, static_argnums=(2,))()(x, train)
        x = nn.remat(Drops, static_argnums=(2,))()(x, train)

        class Block(nn.Module):
            @nn.compact
            def __call__(self, x, _):
                return Drops()(x, train), None

        x, _ = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True, "dropout": True}, length=2)()(x, None)
        return nn.MultiHeadDotProductAttention(2, dropout_rate=0.5)(x, deterministic=not train)


def test_dropout_is_off_in_lifted_transforms_and_attention() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    module = Lifted()
    variables = jax.jit(lambda x: module.init(jax.random.key(0), x, train=False))(x)
    check_switch(*adapt(module, variables), x)


def test_several_inputs_go_in_by_position_or_by_name() -> None:
    class Two(nn.Module):
        @nn.compact
        def __call__(self, a, b):
            return {"sum": nn.Dense(2)(a) + b}

    a, b = np.ones((2, 3), np.float32), np.ones((2, 2), np.float32)
    model, variables = adapt(Two(), Two().init(jax.random.key(0), a, b))
    close(model(variables, (a, b)), (Two().apply(variables, a, b), {}))
    close(model(variables, {"b": b, "a": a})[0], Two().apply(variables, a, b))


def test_another_method_is_another_model() -> None:
    class Coder(nn.Module):
        def setup(self):
            self.coder, self.decoder = nn.Dense(2), nn.Dense(3)

        def __call__(self, x):
            return self.decoder(self.encode(x))

        def encode(self, x):
            return self.coder(x)

    x = np.ones((2, 3), np.float32)
    variables = Coder().init(jax.random.key(0), x)
    encode = LinenModel(Coder(), "encode")
    close(encode(variables, x)[0], Coder().apply(variables, x, method="encode"))
    assert encode != LinenModel(Coder())


def test_a_head_that_exists_in_training_only() -> None:
    class Auxiliary(nn.Module):
        @nn.compact
        def __call__(self, x, train=True):
            x = nn.Dense(4, name="body")(x)
            y = nn.Dense(2, name="head")(x)
            return (y, nn.Dense(2, name="auxiliary")(x)) if train else y

    x = np.ones((2, 3), np.float32)
    model, variables = adapt(Auxiliary(), initial(Auxiliary(), x))
    assert model(variables, x)[0].shape == (2, 2)
    assert len(model(variables, x, train=True)[0]) == 2
    del variables["params"]["auxiliary"]
    assert model(variables, x)[0].shape == (2, 2)
    with pytest.raises(InvalidArgumentError, match="no array 'params/auxiliary"):
        model(variables, x, train=True)


def test_equal_modules_are_equal_models_and_lists_are_read_as_tuples() -> None:
    def made(width):
        return nn.Sequential([nn.Dense(width), nn.relu, nn.Dense(2)])

    x = np.ones((2, 3), np.float32)
    model, variables = adapt(made(4), made(4).init(jax.random.key(0), x))
    assert model == LinenModel(made(4))
    assert hash(model) == hash(LinenModel(made(4)))
    assert model != LinenModel(made(5))
    close(model(variables, x)[0], made(4).apply(variables, x))


def test_what_is_sown_is_dropped_and_other_collections_are_named() -> None:
    class Other(nn.Module):
        collection: str

        @nn.compact
        def __call__(self, x):
            x = nn.Dense(2)(x)
            if self.collection == "intermediates":
                self.sow("intermediates", "x", x)
                return x
            return x * self.variable(self.collection, "scale", jnp.ones, (2,)).value

    x = np.ones((2, 3), np.float32)
    given = Other("intermediates").init(jax.random.key(0), x, mutable=True)
    assert "intermediates" in given
    model, variables = adapt(Other("intermediates"), given)
    assert set(variables) == {"params"}
    close(model(variables, x)[0], Other("intermediates").apply(variables, x))
    close(model(variables, x, train=True)[1], {})
    with pytest.raises(InvalidArgumentError, match="constants"):
        adapt(Other("constants"), Other("constants").init(jax.random.key(0), x))
    held, variables = adapt(Other("batch_stats"), Other("batch_stats").init(jax.random.key(0), x))
    close(held(variables, x, train=True)[1], variables["batch_stats"])


def test_parameters_with_partitioning_are_plain_arrays() -> None:
    layer = nn.Dense(2, kernel_init=nn.with_partitioning(nn.initializers.ones, (None, "model")))
    x = np.ones((2, 3), np.float32)
    model, variables = adapt(layer, layer.init(jax.random.key(0), x))
    assert variables["params"]["kernel"].shape == (3, 2)
    close(model(variables, x)[0], np.full((2, 2), 3.0))


class TakesWidth(nn.Module):
    @nn.compact
    def __call__(self, x, width=1.0):
        return nn.Dense(2)(x)


class AlwaysTrains(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(2)(x))


class AlwaysDrops(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x + jax.random.normal(self.make_rng("noise"), x.shape)


def test_what_cannot_be_told_is_an_error() -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(InvalidArgumentError, match="takes a width"):
        adapt(TakesWidth(), TakesWidth().init(jax.random.key(0), x))
    with pytest.raises(InvalidArgumentError, match="holds no variables"):
        adapt(Train(), None)
    model, variables = adapt(AlwaysTrains(), AlwaysTrains().init(jax.random.key(0), x))
    with pytest.raises(InvalidArgumentError, match="changes its variables in inference"):
        model(variables, x)
    noisy = LinenModel(AlwaysDrops(), rngs=("noise",))
    for told in ({}, {"train": True, "dropout": False, "key": jax.random.key(0)}):
        with pytest.raises(InvalidArgumentError, match="noise.*where dropout is off"):
            noisy({"params": {}}, x, **told)
    with pytest.raises(InvalidArgumentError, match="stream that is not named"):
        LinenModel(AlwaysDrops())({"params": {}}, x, train=True, key=jax.random.key(0))
    assert noisy({"params": {}}, x, train=True, key=jax.random.key(0))[0].shape == x.shape
    with pytest.raises(InvalidArgumentError, match="hashable"):
        LinenModel(nn.Dense(2, kernel_init=Unhashable()))


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self, *_):
        return jnp.ones((3, 2))
