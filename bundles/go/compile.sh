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

needs_go_command() {
    for file in go.mod go.work *_test.go *_linux.go *_amd64.go *_windows.go *_darwin.go; do
        [ ! -e "$file" ] || return 0
    done
    for file in */*.go; do
        [ ! -e "$file" ] || return 0
    done
    # A constraint, an embedded file, or an import of C.
    grep -qE '^(//go:(build|embed)|// \+build|[[:space:]]*(import[[:space:]]+)?"C")' ./*.go
}

if needs_go_command; then
    read -r go <"$prepared/go"
    # The cache is written to, so it is a tree of links to the one that is shared.
    mkdir /tmp/cache
    [ ! -d "$prepared/cache" ] || cp -rs "$prepared/cache/." /tmp/cache
    export GOCACHE=/tmp/cache GOENV=off GOTOOLCHAIN=local GOPROXY=off GOPATH=/tmp/path GOFLAGS=-mod=mod
    # Without a module the files of the folder are the program, as for `go run *.go`.
    package=.
    if [ ! -e go.mod ]; then
        GO111MODULE=off
        export GO111MODULE
    fi
    exec "$go" build -trimpath -ldflags='-s -w' -o "$output" "$package"
fi

# The collector would only cost time in processes that are this short, unless they grow large.
export GOGC=off GOMEMLIMIT=384MiB
"$tools/compile" -o /tmp/main.a -p main -complete -trimpath "$PWD=>." -importcfg "$prepared/importcfg" \
    -pack ./*.go
exec "$tools/link" -o "$output" -importcfg "$prepared/importcfg" -s -w -buildmode=exe /tmp/main.a
