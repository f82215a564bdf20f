// Package cart sums prices.
package cart

import "example.com/shop/internal/money"

type Cart struct{ total money.Cents }

func New() *Cart { return &Cart{} }

func (c *Cart) Add(_ string, price money.Cents, count int) { c.total += price * money.Cents(count) }

func (c *Cart) Total() string { return c.total.String() }
