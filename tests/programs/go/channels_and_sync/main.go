package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

func squares(numbers <-chan int, out chan<- int, group *sync.WaitGroup) {
	defer group.Done()
	for n := range numbers {
		out <- n * n
	}
}

func main() {
	numbers, out := make(chan int), make(chan int, 8)
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go squares(numbers, out, &group)
	}
	go func() {
		for i := 1; i <= 1000; i++ {
			numbers <- i
		}
		close(numbers)
		group.Wait()
		close(out)
	}()
	sum := 0
	for square := range out {
		sum += square
	}
	fmt.Println("sum of squares:", sum)

	var mutex sync.Mutex
	var atomically int64
	guarded := map[int]int{}
	var many sync.WaitGroup
	for i := 0; i < 500; i++ {
		many.Add(1)
		go func(i int) {
			defer many.Done()
			mutex.Lock()
			guarded[i%5]++
			mutex.Unlock()
			atomic.AddInt64(&atomically, 2)
		}(i)
	}
	many.Wait()
	fmt.Println(guarded, atomically)

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	select {
	case <-ctx.Done():
		fmt.Println(ctx.Err(), errors.Is(ctx.Err(), context.DeadlineExceeded))
	case <-time.After(time.Minute):
		fmt.Println("too late")
	}

	var once sync.Once
	for i := 0; i < 3; i++ {
		once.Do(func() { fmt.Println("once") })
	}
}
