#!/bin/sh
# Compiles the package in the entrypoint's folder: compile.sh PREPARED ENTRYPOINT OUTPUT.
#
# Everything that needs the go command's judgement (modules, packages in folders below, build constraints,
# embedded files, cgo's absence) is left to it; the rest, nearly all programs, needs two processes alone.
set -eu
prepared=$1 entrypoint=$2 output=$3
cd "${entrypoint%/*}"
read -r tools <"$prepared/tools"
export CGO_ENABLED=0

# The nearest folder, from this one upwards, that has a file of this name; nothing when there is none.
folder_with() {
    folder=$PWD
    while [ -n "$folder" ]; do
        if [ -e "$folder/$1" ]; then
            printf '%s\n' "$folder"
            return
        fi
        folder=${folder%/*}
    done
}
module=$(folder_with go.mod)
work=$(folder_with go.work)

imports_c() {
    grep -qE '^[[:space:]]*(import[[:space:]]+)?"C"[[:space:]]*(//.*)?$' ./*.go
}

needs_go_command() {
    [ -z "$module$work" ] || return 0
    # An underscore may begin the name of a system, a processor, or `test`.
    for file in *_*.go */*.go; do
        [ ! -e "$file" ] || return 0
    done
    grep -qE '^(//go:(build|embed)|// \+build)' ./*.go || imports_c
}

if needs_go_command; then
    read -r go <"$prepared/go"
    # The cache is written to, so it is a tree of links to the one that is shared.
    mkdir /tmp/cache
    [ ! -d "$prepared/cache" ] || cp -rs "$prepared/cache/." /tmp/cache
    export GOCACHE=/tmp/cache GOENV=off GOTOOLCHAIN=local GOPROXY=off GOPATH=/tmp/path
    if [ -z "$module$work" ]; then
        # Without a module the files of the folder are the program, as for `go run *.go`.
        export GO111MODULE=off
    elif [ -z "$work" ] && [ ! -d "$module/vendor" ]; then
        # A go.mod that was written by hand may lack what the go command would add to it.
        export GOFLAGS=-mod=mod
    fi
    # With -trimpath it would not find the standard library in the cache, and compile all of it again.
    "$go" build -ldflags='-s -w' -o "$output" . && exit
    code=$?
    ! imports_c || echo 'note: import "C" needs cgo, which is not available: only Go is compiled here' >&2
    exit "$code"
fi

# What the compiler has to say goes where that of the go command goes.
exec >&2
# The collector would only cost time in processes that are this short, unless they grow near GOMEMLIMIT.
export GOGC=off
"$tools/compile" -o /tmp/main.a -p main -complete -trimpath "$PWD=>." -importcfg "$prepared/importcfg" \
    -pack ./*.go
exec "$tools/link" -o "$output" -importcfg "$prepared/importcfg" -s -w -buildmode=exe /tmp/main.a
