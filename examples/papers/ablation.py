#!/usr/bin/env python3
"""LUT Tensor Core, Table 2: what each step of its design gives; in the array by the area model, in the program by estimate."""
import re

import claims
import lutra

MODEL, MACHINE = "llama-2-7b", "m2n64k4"
STEPS = [  # of Table 2: um2 and mW of an array of 512 weights, W2 A8; and what our model calls it
    ("UNPU", 17271.71, 23.39, "full tables"),
    ("+ weight reinterpretation", 13116.60, 17.98, "half tables"),
    ("+ negation eliminated", 12780.05, 17.37, "indices complemented offline"),
    ("+ DFG transformation and fusion", 11991.29, 16.22, "tables made elsewhere"),
]
HOW = [
    ("tables made anew for every product", "repeated"), ("tables shared, in kernels of their own", "unfused"),
    ("tables fused", "fused"),
]
CONFIGS = {"prefill 512": 512, "decode": 1}


def modelled():
    """um2, as counted, and mW of the array with each step, by its name."""
    listing = lutra.run("lutc", "list", "areas").stdout
    return {name: tuple(map(float, re.search(rf"^{name} +([\d.]+) +[\d.]+ +([\d.]+)$", listing, re.M).groups()))
            for *_, name in STEPS}


def arrays(claim):
    ours = modelled()
    for name, area, _, step in STEPS:
        claim.row(f"array, {name}", "um2", ours[step][0], area)
    for (before, area, power, step), (name, less, weaker, next_step) in zip(STEPS, STEPS[1:]):
        short = name.removeprefix("+ ")
        claim.row(f"area, before / with {short}", "", ours[step][0] / ours[next_step][0], area / less)
        claim.row(f"power, before / with {short}", "", ours[step][1] / ours[next_step][1], power / weaker)
    first, last = STEPS[0], STEPS[-1]
    claim.row("area, all steps", "", ours[first[3]][0] / ours[last[3]][0], first[1] / last[1])


def joules(answer):
    return answer["total"]["energy"]


def programs(claim, config, tokens):
    steps = []
    for name, how in HOW:
        words = ("--quant", "w2", "--precompute", how)
        values = [claims.one_layer(value, MODEL, MACHINE, *words, batch=1, tokens=tokens)
                  for value in (claims.seconds, joules)]
        claim.row(f"{config}, {name}: time of a layer", "ms", 1e3 * values[0])
        claim.row(f"{config}, {name}: energy of a layer", "mJ", 1e3 * values[1])
        steps.append(values)
    claim.row(f"{config}, energy, made anew / fused", "", steps[0][1] / steps[-1][1], STEPS[2][2] / STEPS[3][2])
    claim.row(f"{config}, time, made anew / fused", "", steps[0][0] / steps[-1][0])


def main():
    claim = claims.Claim("ablation", "Steps of the design", "LUT Tensor Core, Table 2: W2 A8")
    arrays(claim)
    for config, tokens in list(CONFIGS.items())[-1:] if claims.QUICK else CONFIGS.items():
        programs(claim, config, tokens)
    claim.show(
        "Areas of arrays are sums of published cells (docs/explore.md), before the factor that gives the last row its published "
        "area; the paper's are synthesized. Power is taken to go with area, as it does in the published rows within 1.5 %, so it "
        "is no prediction of its own. An array that makes its tables has adders for 8-bit activations.",
        "The third step is one of programs, too. Published is the array's power, before / after. Ours is the energy of a whole "
        "layer of LLaMA-2 7B on m2n64k4 by estimate, cores, scratch and memory included: "
        "tables made anew where a product would load them, made once in kernels of their own, and fused with what makes the "
        "activations.")


if __name__ == "__main__":
    main()
