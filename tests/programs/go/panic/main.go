package main

import "fmt"

func element(values []int, index int) int { return values[index] }

func main() {
	defer fmt.Println("deferred")
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var missing map[string]int
		missing["x"] = 1
	}()
	fmt.Println(element([]int{1, 2, 3}, 5))
}
