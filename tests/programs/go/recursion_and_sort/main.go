package main

import (
	"fmt"
	"math/big"
	"sort"
	"strings"
)

type Tree[T any] struct {
	left, right *Tree[T]
	value       T
}

func (t *Tree[T]) Insert(value T, less func(a, b T) bool) *Tree[T] {
	if t == nil {
		return &Tree[T]{value: value}
	}
	if less(value, t.value) {
		t.left = t.left.Insert(value, less)
	} else {
		t.right = t.right.Insert(value, less)
	}
	return t
}

func (t *Tree[T]) Walk(visit func(T)) {
	if t != nil {
		t.left.Walk(visit)
		visit(t.value)
		t.right.Walk(visit)
	}
}

func ackermann(m, n int) int {
	switch {
	case m == 0:
		return n + 1
	case n == 0:
		return ackermann(m-1, 1)
	}
	return ackermann(m-1, ackermann(m, n-1))
}

func queens(n, row int, columns, left, right uint) int {
	if row == n {
		return 1
	}
	found := 0
	for column := 0; column < n; column++ {
		bit := uint(1) << column
		if columns&bit|left&(1<<(row+column))|right&(1<<(row-column+n)) == 0 {
			found += queens(n, row+1, columns|bit, left|1<<(row+column), right|1<<(row-column+n))
		}
	}
	return found
}

func main() {
	var tree *Tree[string]
	for _, value := range strings.Fields("pear apple fig cherry banana") {
		tree = tree.Insert(value, func(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b })
	}
	tree.Walk(func(value string) { fmt.Print(value, " ") })
	fmt.Println()
	fmt.Println(ackermann(2, 300), queens(8, 0, 0, 0, 0))
	factorial := big.NewInt(1)
	for i := int64(2); i <= 30; i++ {
		factorial.Mul(factorial, big.NewInt(i))
	}
	fmt.Println(factorial)
	type person struct {
		name string
		age  int
	}
	people := []person{{"C", 3}, {"A", 3}, {"B", 1}}
	sort.SliceStable(people, func(i, j int) bool { return people[i].age < people[j].age })
	fmt.Printf("%v %+v\n", people, people[0])
}
