# Two commands are enough: `make vww` (install and run the main job) and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Exact versions are tested on Python 3.11; other Pythons take what the ranges of pyproject.toml allow.
PINS   := $(shell $(PYTHON) -c 'import sys; print("-c constraints.txt" if sys.version_info[:2] == (3, 11) else "")')

.PHONY: vww test install lint proofs device bench bench-step bench-solver bench-phases bench-accuracy notebooks docs clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): about 2 GB, a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install $(PINS) --editable '.[dev]'
	touch $@

vww: install  ## four nested subnetworks on the embedded data, from training to report
	$(BIN)/reds vww

test: install  ## every test; at most 10 minutes on 2 cores
	$(BIN)/python -m pytest -n 2 --dist worksteal  # neighbours share what is compiled

lint: install  ## style and types
	$(BIN)/ruff check .
	$(BIN)/pyright

proofs:  ## check the Coq development (Debian: apt-get install coq)
	$(MAKE) -C proofs/coq

# Debian: apt-get install gcc qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-misc gcc-riscv64-unknown-elf
device: install  ## networks of the literature on emulated processors; beside CMSIS-NN with CMSIS=path, its checkout
	$(BIN)/python benchmarks/device.py $(if $(CMSIS),--cmsis '$(CMSIS)')

bench: bench-step bench-solver bench-phases bench-accuracy  ## each beside its peers, into runs; hours, and each can be made alone

bench-step: $(VENV)/.benchmarks  ## the nested training step; no network begins after an hour
	$(BIN)/python benchmarks/train_step.py --results runs/step --total 3600

bench-solver: $(VENV)/.benchmarks  ## the width solver on the literature's networks, and how it grows
	$(BIN)/python benchmarks/knapsack.py
	$(BIN)/python benchmarks/knapsack_growth.py --results runs/knapsack/growth.json

bench-phases: install  ## what surrounds training, memory, and the parts of `make vww`
	$(BIN)/python benchmarks/phases.py stages --rounds 1
	$(BIN)/python benchmarks/phases.py memory --rounds 1
	$(BIN)/python benchmarks/phases.py vww

bench-accuracy: $(VENV)/.benchmarks  ## how long until four subnetworks are accurate (Debian: apt-get install dataset-fashion-mnist)
	$(BIN)/python benchmarks/time_to_accuracy.py --data folder:/usr/share/datasets/fashion-mnist --limit 20000 --epochs 8

$(VENV)/.benchmarks: $(VENV)/.installed
	@echo "Installing PyTorch into $(VENV): about 5 GB with what its Linux wheels bring"
	$(BIN)/python -m pip install $(PINS) --editable '.[benchmarks]'
	touch $@

notebooks: install  ## the notebooks with their outputs, in build/notebooks
	$(BIN)/python docs/notebooks/execute.py --to build/notebooks

docs: install  ## the site, with the notebooks executed, in build/site/index.html; every warning is an error
	$(BIN)/python docs/teaching/build.py --to build/class/docs/teaching
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs . build/site
	@echo build/site/index.html

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
