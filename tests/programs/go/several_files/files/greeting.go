package main

import "strings"

func greeting(names ...string) string {
	return "Hello, " + strings.Join(names, " and ") + "!"
}
