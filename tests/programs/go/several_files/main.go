package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println(greeting(os.Args[1:]...), len(os.Args), os.Args[0])
}
