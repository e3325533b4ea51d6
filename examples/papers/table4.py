#!/usr/bin/env python3
"""LUT Tensor Core, Table 4: what precomputing tables costs in a layer, not counted, in kernels of its own, and fused."""
import json

import claims
import shapes

MODELS = [  # shape, prefill
    ("opt-175b", 2048), ("bloom-176b", 4096), ("llama-2-70b", 4096),
]
PUBLISHED = {  # ms of a layer: none, unfused, fused
    ("opt-175b", 1): (32.38, 38.77, 33.63), ("opt-175b", 1024): (14.99, 17.43, 15.50),
    ("bloom-176b", 1): (107.11, 129.85, 108.38), ("bloom-176b", 1024): (20.99, 26.05, 21.31),
    ("llama-2-70b", 1): (34.68, 37.60, 35.65), ("llama-2-70b", 1024): (11.45, 15.21, 11.75),
}
MACHINES = {"a100-lut4x": 1, "a100-lut8x": 2}  # percent of a layer that fused tables may cost
TABLES = "type=i8,scale=tile"  # a scale of a tile's depth: known block by block, as that of a row is not
OPERATIONS = 12 + 8  # of the table builder for four activations: additions, and products with the inverse scale
BANDWIDTH, L2, PEAK = 1.935e12, 40 << 20, 432 * 16 * 2 * 1.41e9  # bytes/s, bytes, f32 operations/s of an A100
READ, WRITTEN = 4, 2  # bytes of an f32 activation, and of its part of a half table in 8 bits


def widths(model):
    """The widths of the activations that get tables in a layer: of attention's inputs, its output, and the network's."""
    shape = {key.split(".")[-1]: value for key, value in json.loads((shapes.SHAPES / f"{model}.json").read_text()).items()}
    return [shape["embedding_length"]] * 3 + [shape["feed_forward_length"]]


def groups(answer):
    return answer["total"]["table_groups"]


def moved(answer):
    return answer["total"]["memory_read"] + answer["total"]["memory_written"]


def lanes(answer):
    """Operations of vector instructions, as if all of the 32 lanes were used."""
    return 32 * sum(n for kind, n in answer["total"]["classes"].items() if kind.startswith("vector"))


def alone(value):
    """value, without the kernels that do nothing but build tables: what is left where nobody builds tables."""
    def rest(answer):
        extra = [{"total": k} for k in answer["kernels"] if k["name"].startswith("precompute")]
        return value(answer) - sum(map(value, extra))
    return rest


def measure(value, model, machine, options):
    """A value of a layer with tables that are not counted, unfused and fused."""
    ways = {"none": alone(value), "unfused": value, "fused": value}
    return [claims.one_layer(part, model, machine, "--quant", "w2", "--precompute", how, tables=TABLES, **options)
            for how, part in ways.items()]


def costs(claim, case, published, model, machine, options):
    """ms of a layer, and what tables cost it in percent; what it costs unfused in ms, and fused in percent."""
    none, unfused, fused = (1e3 * s for s in measure(claims.seconds, model, machine, options))
    for name, ours, theirs in zip(("none", "unfused", "fused"), (none, unfused, fused), published):
        claim.row(f"{case}: {name}", "ms", ours, theirs)
    claim.row(f"{case}: unfused costs", "%", 100 * (unfused / none - 1), 100 * (published[1] / published[0] - 1))
    claim.row(f"{case}: fused costs", "%", 100 * (fused / none - 1), 100 * (published[2] / published[0] - 1))
    return unfused - none, 100 * (fused / none - 1)


def traffic(claim, case, published, model, machine, options, activations):
    """Bytes and operations that tables add for an activation, beside what the published times allow for."""
    none, unfused, fused = measure(moved, model, machine, options)
    added = [1e-3 * (ms - published[0]) / activations for ms in published[1:]]  # seconds
    claim.row(f"{case}: bytes of memory/activation, unfused", "B", (unfused - none) / activations, added[0] * BANDWIDTH)
    claim.row(f"{case}: bytes of memory/activation, fused", "B", (fused - none) / activations, added[1] * BANDWIDTH)
    none, unfused, _ = measure(lanes, model, machine, options)
    built = measure(groups, model, machine, options)[1] * OPERATIONS
    claim.row(f"{case}: operations/activation, unfused", "", (built + unfused - none) / activations, added[0] * PEAK)


def show(claim, model, machine, batch, tokens, limits):
    """All rows of a case; the cost of fused tables in percent."""
    options = {"batch": batch, "tokens": tokens}
    options["row_block"] = claims.fastest_block(model, machine, "--quant", "w2", tables=TABLES, **options)
    limits.add(claims.forward(model, machine, "--quant", "w2", layers=3, tables=TABLES, **options)["classes"]["linear"]["bound"])
    case, published = f"{model} batch {batch} seq {tokens} {machine}", PUBLISHED[model, batch]
    unfused, percent = costs(claim, case, published, model, machine, options)
    inputs = [batch * tokens * width for width in widths(model)]
    bound = 1e3 * sum(max(0, n * (READ + WRITTEN) - L2) for n in inputs) / BANDWIDTH
    claim.row(f"{case}: unfused costs, beside its traffic", "ms", unfused, bound, "bound of traffic")
    traffic(claim, case, published, model, machine, options, sum(inputs))
    return percent


def main():
    claim = claims.Claim("table4", "What precompute costs", "LUT Tensor Core (arXiv 2408.06003), Table 4: ms of a layer")
    worst, limits = dict.fromkeys(MACHINES, 0.0), set()
    for model, prefill in MODELS[:1] if claims.QUICK else MODELS:
        for machine in MACHINES:
            for batch, tokens in ((1, prefill), (1024, 1)):
                worst[machine] = max(worst[machine], show(claim, model, machine, batch, tokens, limits))
    for machine, most in MACHINES.items():
        claim.goal(f"largest cost of fused tables, {machine}", "%", worst[machine], most)
    claim.missing("area of the table builder", "machines have no areas")
    claim.show(
        "Ours are estimates (lutc estimate, docs/estimate.md) of the programs that lutc compiles, weights w2 with 8-bit tables "
        "that have a scale for each tile of 128 activations; a layer is what the third adds to two. The paper says neither the width of the weights nor what the "
        "products ran on; its layers appear to run at the rates of 16-bit products. "
        f"What limits our layers: {', '.join(sorted(limits))}.",
        "none: every activation is stored where it is computed, as products without tables would read it, and nobody builds "
        "tables: the kernels that do nothing else are left out, and the builder and its stores are free. unfused: a kernel of "
        "its own for each activation. fused: within the norm, the attention or the first half of the network in front, which "
        "stores the tables of an activation (2 bytes) in its place (f32, 4 bytes); scales are those of tiles, since one of a row "
        "is not known before the row is.",
        "The bound of traffic: each activation is read as f32 and its part of the tables written, 6 bytes, less the 40 MB that "
        "l2 may still hold of each, at 1.935 TB/s. The bytes that the published "
        "numbers imply are the time that they add, times that bandwidth, by our count of activations (tables are shared by "
        "products of one input); the "
        "operations they imply are that time at the f32 peak of an A100. Ours: 20 for each group of four that the table "
        "builder is given (twice, since a scale must be known first), and 32 for each vector instruction that is "
        "added.")


if __name__ == "__main__":
    main()
