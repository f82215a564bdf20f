// Package money has amounts.
package money

import "fmt"

type Cents int64

func (c Cents) String() string { return fmt.Sprintf("€%d.%02d", c/100, c%100) }
