"""What nested training on ImageNet would cost: a model in bytes and operations, ``python benchmarks/imagenet_cost.py --help``.

MobileNetV1 1.0 and ViT-Base/16 with four subnetworks, on 8 and on 64 GPUs of the kind that `gpu_step.py` was recorded on. No
such training was run. What is counted: the programs (products, activations, batch norms, what autodiff keeps, the terms of the
gradient), without an array of theirs. What is measured: the steps and ceilings in ``experiments/gpu``, and decoding on this
machine. What is assumed: `Assumptions`, arguments all of them. How wrong the model is, `left_out` says.

    python benchmarks/imagenet_cost.py --record experiments/imagenet_cost/counts.json   # count, and measure decoding
    python benchmarks/imagenet_cost.py --link-between 25                                # the tables, other assumptions
    python benchmarks/imagenet_cost.py --emitted "DNN L" "CNN S"       # what XLA sends in the step of four devices of this CPU
"""

from __future__ import annotations

import argparse
import io
import json
import math
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import step_report
from jax.extend.core import Literal
from step_networks import CASES, ON_GPU, Case, ViT
from step_variants import OURS, RATE, Job
from train_step import counted, machine, outputs, program_of

from reds_jax.lowering import lowering
from reds_jax.testing.counting import Straight
from reds_jax.training import TrainState
from reds_jax.training.mesh import batch_mesh, replicated
from reds_jax.training.objective import default_objective
from reds_jax.training.step import step_builder

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
IMAGES, BYTES = 1_281_167, 224 * 224 * 3  # ILSVRC 2012, training (Russakovsky et al. 2015); one image as uint8
NETWORKS = {
    "MobileNetV1 1.0": ON_GPU["MobileNetV1 1.0"],
    "ViT-B": Case(partial(ViT, 1000, 12, 768, 12), (224, 224, 3), 1000, 128, 4, 16),
}
KIN = {"MobileNetV1 1.0": "MobileNetV1 1.0", "ViT-B": "ViT-S"}  # whose record says how far the step is from its floor
DTYPES = {"float32": OURS, "bfloat16": f"{OURS}, bfloat16"}
A_NORM = 5  # what XLA sends for one batch norm: see `Communication`
SENDS = ("all-reduce", "all-gather", "collective-permute", "reduce-scatter", "all-to-all")
MOVES = {"add_any", "pad", "reshape", "transpose", "squeeze", "expand_dims", "convert_element_type", "copy", "rev"}


@dataclass(frozen=True)
class Assumptions:
    """What is neither counted nor measured here.

    Args:
        link_inside: bytes that a GPU sends in a second to others of its machine, GB/s. NVIDIA H200 data sheet: NVLink, 900 in
            both directions together.
        link_between: to other machines, GB/s: 400 Gb/s InfiniBand (NDR) for each GPU.
        latency_inside, latency_between: of an all-reduce of a few numbers, microseconds. Not measured; for 1 KiB on four H800
            of one machine a user reports 3.5 (github.com/NVIDIA/nccl/issues/1984), in a loop that does nothing else.
        in_a_machine: GPUs.
        memory: of a GPU, GB. NVIDIA H200 data sheet.
        batch: examples on each GPU in a step; 128 is what was measured.
        epochs_mobilenet, epochs_vit: of training at full width before; nested training takes ``nested_share`` of them.
    """

    link_inside: float = 450.0
    link_between: float = 50.0
    latency_inside: float = 20.0
    latency_between: float = 50.0
    in_a_machine: int = 8
    memory: float = 141.0
    batch: int = 128
    epochs_mobilenet: int = 90
    epochs_vit: int = 300
    nested_share: float = 1 / 3

    def link(self, devices: int, together: int = 1) -> float:
        """GB/s of the slowest way between two of so many devices; ``together`` of a machine send to the next at a time."""
        inside = devices <= self.in_a_machine
        return self.link_inside if inside else min(self.link_inside, together * self.link_between)

    def latency(self, devices: int) -> float:
        """Microseconds."""
        return self.latency_inside if devices <= self.in_a_machine else self.latency_between

    def epochs(self, network: str) -> int:
        return self.epochs_vit if network.startswith("ViT") else self.epochs_mobilenet


@dataclass(frozen=True)
class Counts:
    """Of the program of one nested step; bytes and MACs for one example.

    Args:
        parameters: of the full network.
        terms: numbers that are summed over the examples for the gradient: the parameters of every subnetwork, those in front
            of the first cut product once; at least ``parameters``.
        macs, activation_bytes: as `train_step.floor` counts them.
        norms: batch norms that are computed in the nested step.
        norms_deep: those of the full network alone, one behind the other.
        kept_bytes: what `jax.vjp` keeps for the gradient; XLA may keep less.
    """

    parameters: int
    terms: int
    macs: int
    activation_bytes: int
    norms: int
    norms_deep: int
    kept_bytes: int


def abstract(case: Case, fractions: Sequence[float], batch: int = 1) -> Job:
    """The job with shapes in the place of arrays."""
    x = jax.ShapeDtypeStruct((batch, *case.image), jnp.float32)
    images, labels = (x,), jax.ShapeDtypeStruct((1, batch), jnp.int32)
    return Job(case, jax.eval_shape(case.model.init, jax.random.key(0), x), images, labels, fractions)  # type: ignore[arg-type]


def counts(case: Case, subnetworks: int) -> Counts:
    """Counted in the program; nothing is computed."""
    job = abstract(case, case.fractions(subnetworks))
    nested, alone = program_of(job), program_of(job._replace(fractions=[1.0]))
    kept = [kept_bytes(abstract(case, job.fractions, batch)) for batch in (1, 2)]
    macs, moved = counted(nested)
    return Counts(
        parameters=sum(p.size for p in jax.tree.leaves(job.variables["params"])),
        terms=gradient_terms(abstract(case, job.fractions, 2)), macs=macs, activation_bytes=moved,
        norms=batch_norms(nested), norms_deep=batch_norms(alone), kept_bytes=kept[1] - kept[0])


def batch_norms(program: Straight) -> int:
    """One reciprocal root of [C] each; a layer norm has them for every example."""
    return sum(e.name == "rsqrt" and len(e.shape) == 1 for e in program.equations)


def kept_bytes(job: Job) -> int:
    """Of the arrays that the forward pass keeps for the gradient, parameters with them."""
    def residuals(variables: Any, x: Any) -> list[Any]:
        return jax.tree.leaves(jax.vjp(lambda params: outputs(job, {**variables, "params": params}, x), variables["params"])[1])

    with lowering("lax"):
        jaxpr = jax.make_jaxpr(residuals)(job.variables, job.images[0]).jaxpr
    return sum(v.aval.size * v.aval.dtype.itemsize for v in {id(v): v for v in jaxpr.outvars}.values())


def gradient_terms(job: Job) -> int:
    """The numbers of all arrays that are summed over the examples, and then only moved and added, to make the gradient.

    The job must have two examples at least: over one nothing is summed.
    """

    def loss(params: Any, variables: Any, x: Any) -> jax.Array:
        return jnp.stack([z.sum() for z in outputs(job, {**variables, "params": params}, x)]).sum()

    with lowering("lax"):
        jaxpr = jax.make_jaxpr(jax.grad(loss))(job.variables["params"], job.variables, job.images[0]).jaxpr
    made: dict[Any, tuple[str, list[Any]]] = {}
    sizes: dict[Any, int] = {}

    def read(jaxpr: Any, given: Sequence[Any]) -> list[Any]:
        """The names of the outputs, from those of the inputs; calls are opened."""
        names: dict[Any, Any] = dict(zip(jaxpr.invars, given, strict=True))

        def name(v: Any) -> Any:
            return None if isinstance(v, Literal) else names.setdefault(v, object())

        for e in jaxpr.eqns:
            inner = next((e.params[k] for k in ("jaxpr", "call_jaxpr") if k in e.params), None)
            if inner is not None and e.primitive.name in ("jit", "pjit", "closed_call", "remat", "checkpoint"):
                for v, n in zip(e.outvars, read(getattr(inner, "jaxpr", inner), [name(v) for v in e.invars]), strict=True):
                    names[v] = n
                continue
            for v in e.outvars:
                made[name(v)] = e.primitive.name, [name(i) for i in e.invars]
                sizes[name(v)] = v.aval.size
        return [name(v) for v in jaxpr.outvars]

    def ends(n: Any) -> Iterator[Any]:
        primitive, inputs = made.get(n, ("", []))
        if primitive in MOVES:
            for i in inputs:
                yield from ends(i)
        elif primitive and primitive != "broadcast_in_dim":  # zeros, where a subnetwork has none
            yield n

    return sum(sizes[n] for n in {n for out in read(jaxpr, [object() for _ in jaxpr.invars]) for n in ends(out)})


def decode_rate(seconds: float, seed: int = 0) -> dict[str, float]:
    """Images that one core decodes and resizes in a second of its own time, by Pillow.

    A synthetic JPEG of 500 x 375, noise of amplitude 1 / frequency of about the size of an ImageNet file, is read, decoded and
    resized to 224 x 224.
    """
    from PIL import Image

    rng, (height, width) = np.random.default_rng(seed), (375, 500)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij"))
    frequency[0, 0] = np.inf
    noise = np.stack([np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / frequency, s=(height, width))
                      for _ in range(3)], -1)
    pixels = np.clip(128 + 48 * noise / noise.std(), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    number, begin = 0, time.process_time()
    while time.process_time() - begin < seconds:
        np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))
        number += 1
    return {"images_per_second": number / (time.process_time() - begin), "jpeg_bytes": len(file.getvalue())}


def slowness(record: Mapping[str, Any], dtype: str) -> float:
    """How many times its floor the recorded step takes: measured ms / (products at the peak + activations at the bandwidth)."""
    return step_report.spread(record["variants"][DTYPES[dtype]]["wall_ms"]).median / record["floors"][dtype]["ms"]


def left_out(records: Mapping[str, Mapping[str, Any]], dtype: str) -> dict[str, float]:
    """Predicted / measured step of every recorded network, with the geometric mean of the slowness of the others."""
    of = {name: slowness(record, dtype) for name, record in records.items()}
    return {name: math.prod(s for other, s in of.items() if other != name) ** (1 / (len(of) - 1)) / of[name] for name in of}


def wrong_by(records: Mapping[str, Mapping[str, Any]], dtype: str) -> float:
    """The factor by which the worst of `left_out` is wrong, at least 1."""
    return max(max(r, 1 / r) for r in left_out(records, dtype).values())


@dataclass(frozen=True)
class Range:
    """The least and the most."""

    low: float
    high: float

    def __str__(self) -> str:
        low, high = (f"{v:,.0f}" if v >= 100 else step_report.figures(v) for v in (self.low, self.high))
        return low if low == high else f"{low} to {high}"


def computing(
    network: str, dtype: str, count: Counts, records: Mapping[str, Mapping[str, Any]], assumed: Assumptions
) -> Range:
    """Milliseconds of one step on one device.

    ``t = s (3 * 2 * macs * batch / P + passes * activation_bytes * batch / B)`` with the peak P in operations a second and the
    bandwidth B in bytes a second as recorded, and the `slowness` s of `KIN`. Of a network that was recorded itself, at this
    batch, that is what was measured. Of another it is divided and multiplied by `wrong_by`, and is not below ``s = 1``.
    """
    record = records[KIN[network]]
    of, s = record["floors"][dtype], slowness(record, dtype)
    products = 1e3 * 3 * 2 * count.macs * assumed.batch / (1e9 * of["gflops"])
    least = products + 1e3 * of["passes"] * count.activation_bytes * assumed.batch / (1e9 * of["gigabytes_per_second"])
    factor = 1.0 if KIN[network] == network else wrong_by(records, dtype)
    return Range(max(1.0, s / factor) * least, s * factor * least)


@dataclass(frozen=True)
class Communication:
    """Milliseconds of one step: each a range.

    - ``gradient``: an all-reduce of b bytes over n devices, in a ring, sends ``2 (n - 1) / n * b`` from each:
      ``2 (n - 1) / n * b / link + latency``; between machines rings run at once, over the adapters of all GPUs of a machine
      (NCCL), so there ``link`` is of all of them, and not above ``link_inside``. ``b = 4 parameters`` if what the
      subnetworks add is added first, ``4 terms`` if each is summed over the devices by itself, as XLA does on a CPU
      (`emitted`; on a GPU it was not looked at).
    - ``norms``: a few numbers at a time, so what counts is how often: ``count * latency``. At most `A_NORM` for every norm that
      is computed, as XLA sends on a CPU: the value in the middle of each channel, from which variances are counted, to one
      device and from there to all; two sums forwards, in one; two backwards, in two. With it goes one example of every
      norm's input, ``activation_bytes / link``. At least two for each norm of the full network, where those of the
      subnetworks, which do not wait for each other, go together.
    """

    gradient: Range
    norms: Range

    @classmethod
    def of(cls, count: Counts, devices: int, assumed: Assumptions) -> Communication:
        if devices == 1:
            return cls(Range(0.0, 0.0), Range(0.0, 0.0))
        ring, one = (1e9 * assumed.link(devices, together) for together in (assumed.in_a_machine, 1))
        latency = 1e-6 * assumed.latency(devices)

        def reduced(numbers: int) -> float:
            return 1e3 * (2 * (devices - 1) / devices * 4 * numbers / ring + latency)

        example = count.activation_bytes / one if count.norms else 0.0
        return cls(Range(reduced(count.parameters), reduced(count.terms)),
                   Range(1e3 * 2 * count.norms_deep * latency, 1e3 * (A_NORM * count.norms * latency + example)))

    def beside(self, computing: Range) -> Range:
        """Milliseconds of a step: at least the longer of the two, all overlapped; at most their sum."""
        return Range(max(computing.low, self.gradient.low + self.norms.low),
                     computing.high + self.gradient.high + self.norms.high)


@dataclass(frozen=True)
class Cost:
    """Of one network, type and number of devices.

    Args:
        step: milliseconds, nested.
        images: in a second, of all devices.
        nested_hours, full_hours: of the epochs of nested training, and of training at full width before it.
    """

    computing: Range
    communication: Communication
    step: Range
    images: Range
    nested_hours: Range
    full_hours: Range


def cost(
    network: str, dtype: str, devices: int, count: Counts, records: Mapping[str, Mapping[str, Any]], assumed: Assumptions
) -> Cost:
    """``hours = epochs * floor(images / (n batch)) * step``.

    A step at full width computes as long as the nested one by what the record says of nested / full, in float32 where it does
    not say it of this type; it sends what one subnetwork sends.
    """
    one, sent = computing(network, dtype, count, records, assumed), Communication.of(count, devices, assumed)
    step = sent.beside(one)
    variants = records[KIN[network]]["variants"]
    suffix = f", {dtype}" if dtype != "float32" and f"full, {DTYPES[dtype]}" in variants else ""
    full, nested = (variants[f"{name}{suffix}"]["wall_ms"] for name in (f"full, {OURS}", OURS))
    ratio = step_report.spread([b / a for a, b in zip(full, nested, strict=True)]).median
    alone = replace(count, terms=count.parameters, norms=count.norms_deep)
    whole = Communication.of(alone, devices, assumed).beside(Range(one.low / ratio, one.high / ratio))
    examples, epochs = devices * assumed.batch, assumed.epochs(network)

    def hours(step: Range, epochs: float) -> Range:
        return Range(*(epochs * (IMAGES // examples) * ms / 3.6e6 for ms in (step.low, step.high)))

    return Cost(one, sent, step, Range(1e3 * examples / step.high, 1e3 * examples / step.low),
                hours(step, epochs * assumed.nested_share), hours(whole, epochs))


def efficiency(few: Cost, many: Cost) -> Range:
    """What each of many devices does in the time that one of few takes for the same: ``step(few) / step(many)``.

    At least where computing takes its least and nothing overlaps, at most where it takes its most and all does.
    """
    sent = [(c.communication.gradient, c.communication.norms) for c in (few, many)]
    low = [few.computing.low + gradient.high + norms.high for gradient, norms in sent]
    high = [max(few.computing.high, gradient.low + norms.low) for gradient, norms in sent]
    return Range(low[0] / low[1], high[0] / high[1])


def fits(count: Counts, assumed: Assumptions) -> int:
    """Examples on one device: ``(memory - 16 parameters) / kept_bytes``: parameters, two averages of Adam, a gradient."""
    return math.floor((1e9 * assumed.memory - 16 * count.parameters) / count.kept_bytes)


def read_counts(path: Path = EXPERIMENTS / "imagenet_cost" / "counts.json") -> tuple[dict[str, Counts], dict[str, float]]:
    """Of every network, and what decoding takes, as they were recorded."""
    record = json.loads(path.read_text(encoding="utf-8"))
    return {name: Counts(**of) for name, of in record["networks"].items()}, record["decoding"]


def recorded_steps(folder: Path = EXPERIMENTS / "gpu") -> dict[str, dict[str, Any]]:
    """The records of `gpu_step.py` by network; the last in time."""
    found = [r for path in folder.glob("*/") for r in step_report.read(path)]
    return {r["network"]: r for r in sorted(found, key=lambda r: r["machine"]["date"])}


SIZES = (8, 64)


def tables(
    networks: Mapping[str, Counts], decoding: Mapping[str, float], records: Mapping[str, Mapping[str, Any]],
    assumed: Assumptions,
) -> str:
    """All that the model says, in Markdown."""
    lines = ["How wrong the model is: the step of each recorded network, predicted from the others.", "",
             "| network | products in | measured, times its floor | predicted / measured |", "|---|---|---:|---:|"]
    for dtype in DTYPES:
        for name, ratio in left_out(records, dtype).items():
            lines.append(f"| {name} | {dtype} | {slowness(records[name], dtype):.2f} | {ratio:.2f} |")
    lines += ["", f"One step, {assumed.batch} examples on each GPU:", "",
              "| network | products in | GPUs | computing, ms | gradient, ms | batch norms, ms | step, ms | images/s |",
              "|---|---|---:|---:|---:|---:|---:|---:|"]
    costs = {(name, dtype, n): cost(name, dtype, n, count, records, assumed)
             for name, count in networks.items() for dtype in DTYPES for n in SIZES}
    for (name, dtype, n), of in costs.items():
        sent = of.communication
        lines.append(f"| {name} | {dtype} | {n} | {of.computing} | {sent.gradient} | {sent.norms} | {of.step} | {of.images} |")
    lines += ["", "Training:", "",
              "| network | products in | GPUs | full width: epochs | hours | GPU-hours | nested: epochs | hours | GPU-hours |",
              "|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    for (name, dtype, n), of in costs.items():
        epochs = assumed.epochs(name)
        cells = [f"{e:.0f} | {h} | {Range(n * h.low, n * h.high)}"
                 for e, h in ((epochs, of.full_hours), (epochs * assumed.nested_share, of.nested_hours))]
        lines.append(f"| {name} | {dtype} | {n} | {' | '.join(cells)} |")
    few, many = SIZES
    lines += ["", "What the examples ask for, and what more GPUs give:", "",
              f"| network | products in | efficiency of {many} against {few} | GPUs | uint8, GB/s | cores that decode JPEG |",
              "|---|---|---:|---:|---:|---:|"]
    for (name, dtype, n), of in costs.items():
        each = str(efficiency(costs[name, dtype, few], of)) if n == many else ""
        rates = of.images.low, of.images.high
        lines.append(f"| {name} | {dtype} | {each} | {n} | {Range(*(BYTES * r / 1e9 for r in rates))} "
                     f"| {Range(*(r / decoding['images_per_second'] for r in rates))} |")
    lines += ["", f"Memory of a GPU, {assumed.memory:.0f} GB:", "",
              "| network | parameters | with Adam and a gradient, GB | kept for a gradient, MB an example | examples |",
              "|---|---:|---:|---:|---:|"]
    for name, count in networks.items():
        lines.append(f"| {name} | {count.parameters:,} | {16 * count.parameters / 1e9:.2f} | {count.kept_bytes / 1e6:.0f} "
                     f"| {fits(count, assumed):,} |")
    return "\n".join(lines)


def emitted(case: Case, subnetworks: int, devices: int) -> dict[str, int]:
    """What XLA sends in one nested step of the library on so many devices of this process, read in the compiled program.

    Returns ``calls``, ``bytes`` of all collective operations, and ``permutes``: how many, the bytes of their
    results, how many of them send from one device to another. In the form ``"lax"``, as on a GPU.
    """
    optimizer, batch = optax.adam(RATE), 2 * devices
    mesh = batch_mesh(devices, batch)
    rows = np.arange(batch, dtype=np.int32)[None]
    examples = np.zeros((batch, *case.image), np.float32), (np.arange(batch) % case.classes).astype(np.int32)
    build = step_builder(case.model, optimizer, case.fractions(subnetworks), weights="uniform", sizes=None, distill=0.0,
                         sandwich=None, normalise=None, augment="none", share=True, mesh=mesh)
    state = TrainState.create(case.variables(0), optimizer, subnetworks, jax.random.key(0))
    step: Any = build(default_objective(examples[1]))
    with lowering("lax"):
        text = step.args[0].lower(*replicated((state, *examples, rows), mesh), held=None).compile().as_text()
    sizes, kinds = [], []
    for result, kind in re.findall(rf"^\s*(?:ROOT )?%\S+ = (.*?) ({'|'.join(SENDS)})(?:-start)?\(", text, re.MULTILINE):
        shapes = re.findall(r"[a-z]+(\d+)\[([\d,]*)\]", result)
        sizes.append(sum(int(bits) // 8 * math.prod(int(k) for k in shape.split(",") if k) for bits, shape in shapes))
        kinds.append(kind)
    return {"calls": len(sizes), "bytes": sum(sizes), "permutes": kinds.count("collective-permute")}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in fields(Assumptions):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    parser.add_argument("--decoding", type=float, help="images that a core decodes in a second; by default as recorded")
    parser.add_argument("--record", type=Path, help="count, measure decoding, and write both here")
    parser.add_argument("--emitted", nargs="+", choices={**CASES, **ON_GPU}, metavar="NETWORK",
                        help=f"what XLA sends, beside the model: {', '.join({**CASES, **ON_GPU})}")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    if options.emitted:
        jax.config.update("jax_num_cpu_devices", 4)
        for name in options.emitted:
            case = {**CASES, **ON_GPU}[name]
            print(json.dumps({"network": name, **asdict(counts(case, 4)), "emitted": emitted(case, 4, 4)}), flush=True)
    elif options.record:
        record = {"command": shlex.join(["python", "benchmarks/imagenet_cost.py", *sys.argv[1:]]), "machine": machine(),
                  "decoding": decode_rate(5), "networks": {name: asdict(counts(case, 4)) for name, case in NETWORKS.items()}}
        options.record.parent.mkdir(parents=True, exist_ok=True)
        options.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    else:
        networks, decoding = read_counts()
        if options.decoding is not None:
            decoding["images_per_second"] = options.decoding
        print(tables(networks, decoding, recorded_steps(), Assumptions(**{f.name: getattr(options, f.name)
                                                                         for f in fields(Assumptions)})))


if __name__ == "__main__":
    main()
