"""The one entrance: functions, pure models as they are, what is no model, and packages that are not installed."""

import re
import subprocess
import sys
from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest
from adapter_checks import close

from reds_jax.adapters import FunctionModel, PureModel, adapt
from reds_jax.errors import InvalidArgumentError

pytestmark = pytest.mark.usefixtures("as_users_write")

X = np.arange(6, dtype=np.float32).reshape(2, 3)
VARIABLES = {"params": {"w": np.ones((3, 2), np.float32)}}


def linear(variables, x):
    return x @ variables["params"]["w"]


def noisy(variables, x, *, deterministic, dropout=True, key=None):
    y = x @ variables["params"]["w"]
    return y if deterministic else y + dropout * (1 if key is None else jax.random.normal(key, y.shape))


def counted(variables, x, train=True):
    return linear(variables, x), {"calls": variables["batch_stats"]["calls"] + 1}


def test_a_function_is_a_model() -> None:
    model, variables = adapt(linear, VARIABLES)
    assert isinstance(model, PureModel)
    close(model(variables, X), (X @ VARIABLES["params"]["w"], {}))
    close(model(variables, {"x": X}, train=True)[0], model(variables, (X,))[0])
    assert model == adapt(linear, VARIABLES)[0]
    assert model != adapt(counted, VARIABLES)[0]


def test_a_function_is_told_what_it_takes() -> None:
    model, variables = adapt(noisy, VARIABLES)
    close(model(variables, X)[0], linear(VARIABLES, X))
    close(model(variables, X, train=True, dropout=False, key=jax.random.key(0))[0], linear(VARIABLES, X))
    key = jax.random.key(0)
    close(model(variables, X, train=True, key=key)[0], noisy(VARIABLES, X, deterministic=False, key=key))


def test_a_function_with_statistics() -> None:
    model = FunctionModel(counted, stateful=True)
    variables = {**VARIABLES, "batch_stats": {"calls": np.zeros((), np.int32)}}
    assert adapt(model, variables)[0] is model
    assert int(model(variables, X, train=True)[1]["calls"]) == 1
    assert int(model(variables, X)[1]["calls"]) == 0


def test_variables_have_one_form() -> None:
    for wrong in (None, {"w": X}, {"params": {}, "cache": {}}):
        with pytest.raises(InvalidArgumentError, match="no variables of a model"):
            adapt(linear, wrong)


def test_what_is_no_model() -> None:
    for wrong in (nn.Dense, 3, "net"):
        with pytest.raises(InvalidArgumentError, match="no model"):
            adapt(wrong, VARIABLES)
    assert isinstance(adapt(partial(linear), VARIABLES)[0], FunctionModel)


@pytest.mark.parametrize("package", ["equinox", "keras"])
def test_a_package_that_is_missing_is_named_with_the_command(package: str) -> None:
    code = f"import sys; sys.modules['{package}'] = None; import reds_jax.adapters.{package}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert re.search(rf"MissingDependencyError: .* needs {package} \(.*\)\. Run: pip install 'reds_jax\[{package}\]'$",
                     result.stderr.strip())


def test_other_frameworks_are_imported_where_they_are_used() -> None:
    code = "import sys, reds_jax.adapters; print([p for p in ('equinox', 'keras') if p in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
