"""The folder of a run has one set of options and one data set; a command that is refused leaves it as it was."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reds_jax.choice import Subnetworks
from reds_jax.errors import CheckpointError
from reds_jax.experiments.config import Experiment, Nested
from reds_jax.experiments.folder import RunFolder
from reds_jax.training.owner import owned


def enter(experiment, fingerprint="a" * 64, task="vww"):
    with RunFolder(task, "the command", experiment) as folder:
        folder.check_data(fingerprint, "somewhere")
        folder.accept(fingerprint)


@pytest.fixture
def there(tmp_path):
    experiment = Experiment(output=tmp_path / "run", rivals=("paper",))
    enter(experiment)
    return experiment


def config(experiment):
    return json.loads((experiment.output / "config.json").read_text())


def test_the_folder_is_made_when_everything_is_accepted(tmp_path):
    with RunFolder("vww", "c", Experiment(output=tmp_path / "a" / "b")):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("changes", [
    {}, {"rivals": ("magnitude", "paper")}, {"data": "folder:/moved"},
    {"devices": 4, "coordinator": "host:80", "process_id": 0, "processes": 2},
    {"subnetworks": Subnetworks(before_training=True)}])
def test_the_same_run_goes_on_and_rivals_may_be_added(there, changes):
    enter(replace(there, **changes))
    assert config(there)["options"]["rivals"] == list(changes.get("rivals", there.rivals))


def test_a_run_from_before_norms_could_be_private_goes_on_with_shared_ones(there):
    record = config(there)
    del record["options"]["nested"]["norms"], record["options"]["pretrain"]["compute_dtype"]
    (there.output / "config.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError) as refused:
        enter(replace(there, nested=Nested(norms="private")))
    assert refused.value.got == "--nested.norms private (there shared)"
    enter(there)
    assert config(there)["options"]["nested"]["norms"] == "shared"


def test_a_run_from_before_every_command_kept_compiled_programs_goes_on(there):
    record = config(there)
    record["options"]["compilation_cache"] = "runs/.compilation_cache"
    (there.output / "config.json").write_text(json.dumps(record), encoding="utf-8")
    enter(there)
    assert "compilation_cache" not in config(there)["options"]


def test_a_folder_may_be_moved(there):
    moved = there.output.rename(there.output.with_name("moved"))
    enter(replace(there, output=moved))


@pytest.mark.parametrize(("changes", "named"), [
    ({"nested": Nested(epochs=6, distill=0.5)}, "--nested.distill 0.5 (there 0.0), --nested.epochs 6 (there 5)"),
    ({"rivals": ("magnitude",)}, "--rivals ['magnitude'] (there ['paper'])"), ({"limit": 5}, "--limit 5 (there None)"),
    ({"pretrained": Path("w.npz")}, "--pretrained w.npz (there None)")])
def test_other_options_are_named(there, changes, named):
    before = config(there)
    with pytest.raises(CheckpointError) as refused:
        RunFolder("vww", "c", replace(there, **changes))
    assert refused.value.got == named
    assert "another --output" in refused.value.hint
    assert config(there) == before


def test_another_experiment_and_other_data_are_refused(there):
    with pytest.raises(CheckpointError, match="--task fashion_mnist"):
        enter(there, task="fashion_mnist")
    before = config(there)
    with pytest.raises(CheckpointError, match=r"other data \(--data\); got 'somewhere'"):
        enter(there, fingerprint="b" * 64)
    assert config(there) == before


def test_a_record_that_cannot_be_read_is_not_replaced(there):
    (there.output / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        enter(there)
    assert (there.output / "config.json").read_text() == "{"


def test_a_folder_that_another_process_writes_to(there):
    with owned(there.output), pytest.raises(CheckpointError, match="is writing to the folder"):
        enter(there)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(NotADirectoryError):
        RunFolder("vww", "c", Experiment(output=tmp_path / "run"))
    with pytest.raises(NotADirectoryError):
        enter(Experiment(output=tmp_path / "run" / "below"))


def test_a_run_that_began_meanwhile_is_not_written_over(tmp_path):
    experiment = Experiment(output=tmp_path / "run")
    with RunFolder("vww", "c", experiment) as late:
        enter(replace(experiment, seed=1))
        with pytest.raises(CheckpointError, match="--seed 0"):
            late.accept("a" * 64)
    assert config(experiment)["options"]["seed"] == 1
