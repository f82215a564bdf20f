package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for i := 0; i < 4000; i++ {
		fmt.Fprintf(out, "%04d%096d\n", i, i)
	}
}
