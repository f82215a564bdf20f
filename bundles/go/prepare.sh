#!/bin/sh
# Makes, in the working directory: `importcfg`, where each package of the standard library is for the compiler
# and the linker; `tools`, where those are; and `cache`, the packages that the toolchain came without.
set -eu
go=$1
export GOCACHE="$PWD/cache" GOENV=off GOFLAGS= GOTOOLCHAIN=local GO111MODULE=off CGO_ENABLED=0
export GOPATH="$PWD/path"

"$go" list -export -f '{{if .Export}}packagefile {{.ImportPath}}={{.Export}}{{end}}' std >importcfg.host
# Sandboxes see this directory elsewhere.
sed "s|=$PWD/|=/.soulbox/prepared/|" importcfg.host >importcfg
rm importcfg.host
printf '%s/pkg/tool/%s_%s\n' "$("$go" env GOROOT)" "$("$go" env GOHOSTOS)" "$("$go" env GOHOSTARCH)" >tools
printf '%s\n' "$go" >go
test -s importcfg
