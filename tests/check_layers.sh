#!/bin/bash
# Who may include whom: one row per rule. Usage: check_layers.sh SOURCE_FOLDER
cd "$1" || exit 1
failed=0

# forbid FOLDER PATTERN WHY: no C source or header under FOLDER includes PATTERN.
forbid() {
    [ -d "$1" ] || return 0
    if grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]+[\"<]($2)" --include='*.[chly]' "$1"; then
        echo "error: $3" >&2
        failed=1
    fi
}

forbid support  '(compiler|runtime|isa)/'      'support includes nothing of ours'
forbid isa      '(compiler|runtime)/'          'isa depends on support alone'
forbid compiler 'runtime/'                     'the compiler never includes the runtime'
forbid runtime  'compiler/'                    'the runtime never includes the compiler'
forbid runtime  'llvm'                         'the emulator has no LLVM'
forbid isa      'llvm'                         'only compiler/codegen includes LLVM'
forbid support  'llvm'                         'only compiler/codegen includes LLVM'
for part in target driver eval explore frontend import ir passes quant schedule; do
    forbid compiler/$part 'llvm' 'only compiler/codegen includes LLVM'
done
for part in target ir quant import schedule eval; do
    forbid compiler/$part 'compiler/(driver|frontend|passes|codegen)/' 'no floor includes one above it'
done
for part in frontend passes codegen; do
    forbid compiler/$part 'compiler/driver/' 'no floor includes one above it'
done
exit $failed
