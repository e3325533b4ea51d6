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

# The floors of the compiler, from above: a part includes parts of lower floors only.
above=
for floor in 'driver' 'frontend passes codegen eval estimate explore' 'import schedule target' 'ir quant'; do
    for part in $floor; do
        others=$(echo "$above $floor" | tr -s ' ' '\n' | grep -vxE "($part)?" | paste -sd'|')
        [ -d "compiler/$part" ] || { echo "error: there is no compiler/$part" >&2; failed=1; }
        [ "$others" ] &&
            forbid "compiler/$part" "compiler/($others)/" 'no part of the compiler includes one above it, or beside it'
        [ "$part" = codegen ] || forbid "compiler/$part" 'llvm' 'only compiler/codegen includes LLVM'
    done
    above="$above $floor"
done
for folder in compiler/*/; do
    case " $above " in
    *" $(basename "$folder") "*) ;;
    *) echo "error: $folder stands on no floor" >&2; failed=1 ;;
    esac
done
exit $failed
