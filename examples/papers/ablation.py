#!/usr/bin/env python3
"""LUT Tensor Core, Table 2: what each step of its design gives. Of circuits there is no model here; of the program there is."""
import claims

MODEL, MACHINE = "llama-2-7b", "m2n64k4"
STEPS = [  # of Table 2: mW of an array of 512 weights, W2 A8
    ("UNPU", 23.39), ("+ weight reinterpretation", 17.98), ("+ negation eliminated", 17.37),
    ("+ DFG transformation and fusion", 16.22),
]
HOW = [
    ("tables made anew for every product", "repeated"), ("tables shared, in kernels of their own", "unfused"),
    ("tables fused", "fused"),
]
NO_CIRCUITS = "lookup arrays have one published figure of energy, and no model of their circuits"
CONFIGS = {"prefill 512": 512, "decode": 1}


def joules(answer):
    return answer["total"]["energy"]


def main():
    claim = claims.Claim("ablation", "Steps of the design", "LUT Tensor Core, Table 2: W2 A8")
    for (before, _), (name, _) in list(zip(STEPS, STEPS[1:]))[:2]:
        claim.missing(f"power, {before} / {name.removeprefix('+ ')}", NO_CIRCUITS)
    for config, tokens in list(CONFIGS.items())[-1:] if claims.QUICK else CONFIGS.items():
        steps = []
        for name, how in HOW:
            words = ("--quant", "w2", "--precompute", how)
            values = [claims.one_layer(value, MODEL, MACHINE, *words, batch=1, tokens=tokens)
                      for value in (claims.seconds, joules)]
            claim.row(f"{config}, {name}: time of a layer", "ms", 1e3 * values[0])
            claim.row(f"{config}, {name}: energy of a layer", "mJ", 1e3 * values[1])
            steps.append(values)
        claim.row(f"{config}, energy, made anew / fused", "", steps[0][1] / steps[-1][1], STEPS[2][1] / STEPS[3][1])
        claim.row(f"{config}, time, made anew / fused", "", steps[0][0] / steps[-1][0])
    claim.show(
        "Table 2 is about the circuits of an array: its first two steps shrink them. Xlut has both from the start (symmetric "
        "half tables, negation folded into the codes offline), and the energy of a lookup in m2n64k4 is the last row of "
        "that table, so that nothing can be said here about those steps.",
        "The third step is one of programs, too. Published is the array's power, before / after. Ours is the energy of a whole "
        "layer of LLaMA-2 7B on m2n64k4 by estimate, cores, scratch and memory included: "
        "tables made anew where a product would load them, made once in kernels of their own, and fused with what makes the "
        "activations.")


if __name__ == "__main__":
    main()
