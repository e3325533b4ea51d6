#!/bin/sh
# The main job on the model that ships here: from GGUF file and .lut program to text that emulated
# LUT instructions write, next to the oracle's text and perplexity. Fails where the two disagree.
set -eu
cd "$(dirname "$0")"
out=${LUTRA_DEMO_OUT:-../../build/demo}
prompt=${1:-Once upon a time}
mkdir -p "$out"
text() { "$@" --prompt "$prompt" -n 250 2>"$out/statistics"; }

echo
echo "\$ lutc examples/models/bitnet.lut --weights examples/tiny-lm/tiny-lm.gguf --stats -o tiny-lm.elf"
lutc ../models/bitnet.lut --weights tiny-lm.gguf --stats -o "$out/tiny-lm.elf"
echo
echo "\$ lutrun tiny-lm.elf --prompt \"$prompt\" -n 250"
text lutrun "$out/tiny-lm.elf" >"$out/emulated.txt"
cat "$out/emulated.txt"
echo
cat "$out/statistics"
echo
echo "\$ lutc eval examples/models/bitnet.lut --weights examples/tiny-lm/tiny-lm.gguf --prompt \"$prompt\" -n 250"
text lutc eval ../models/bitnet.lut --weights tiny-lm.gguf >"$out/oracle.txt"
cat "$out/oracle.txt"
echo
echo
echo "how well each predicts examples/tiny-lm/heldout.txt:"
for who in "lutrun $out/tiny-lm.elf" "lutc eval ../models/bitnet.lut --weights tiny-lm.gguf"; do
    printf '  %-10s' "$(set -- $who; [ "$1" = lutrun ] && echo emulated || echo oracle)"
    $who --perplexity heldout.txt --context 256 2>/dev/null | head -1
done
cmp -s "$out/emulated.txt" "$out/oracle.txt" || { echo "the two texts differ" >&2; exit 1; }
