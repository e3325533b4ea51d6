#!/bin/sh
# The main job on the model that ships here: ffn.lut and its weights, at 2 and 4 bits, from text to
# executed LUT instructions, compared with the oracle.
set -eu
cd "$(dirname "$0")"
out=${LUTRA_DEMO_OUT:-../../build/demo}
for quant in w2g64 w4g32z ternary; do
    echo
    echo "ffn.lut with weights rounded to $quant, 3 tokens, on machine m2n64k4:"
    python3 ../layers.py ffn.lut --weights ffn.gguf --quant $quant --keep "$out/$quant"
done
echo
echo "Every layer ran as LUT instructions and agrees with the oracle. The programs are in build/demo; look at one with"
echo "    build/bin/lutdump build/demo/w2g64/ffn.elf | less"
echo "and at every stage of its compilation with"
echo "    build/bin/lutc examples/ffn/ffn.lut --weights examples/ffn/ffn.gguf --quant w2g64 --dump-dir build/demo/stages -o build/demo/ffn.elf"
