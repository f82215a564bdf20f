package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type Order struct {
	ID    int               `json:"id"`
	Items []Item            `json:"items"`
	Notes map[string]string `json:"notes,omitempty"`
	Total float64           `json:"total"`
}

type Item struct {
	Name  string  `json:"name"`
	Price float64 `json:"price"`
	Count int     `json:"count"`
}

func main() {
	var orders []Order
	if err := json.NewDecoder(os.Stdin).Decode(&orders); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := range orders {
		for _, item := range orders[i].Items {
			orders[i].Total += item.Price * float64(item.Count)
		}
	}
	out, _ := json.MarshalIndent(orders, "", "  ")
	fmt.Println(string(out))
	var broken Order
	err := json.NewDecoder(strings.NewReader(`{"id": "seven"}`)).Decode(&broken)
	fmt.Println(err)
}
