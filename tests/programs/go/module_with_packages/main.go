package main

import (
	"fmt"

	"example.com/shop/internal/money"
	"example.com/shop/cart"
)

func main() {
	c := cart.New()
	c.Add("tea", money.Cents(350), 3)
	c.Add("cup", money.Cents(1299), 1)
	fmt.Println(c.Total())
}
