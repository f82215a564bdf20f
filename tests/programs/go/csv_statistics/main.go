package main

import (
	"encoding/csv"
	"fmt"
	"log"
	"os"
	"sort"
	"strconv"
)

func main() {
	file, err := os.Open("data/people.csv")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		log.Fatal(err)
	}
	ages := map[string][]float64{}
	for _, record := range records[1:] {
		age, err := strconv.ParseFloat(record[2], 64)
		if err != nil {
			log.Fatal(err)
		}
		ages[record[1]] = append(ages[record[1]], age)
	}
	cities := make([]string, 0, len(ages))
	for city := range ages {
		cities = append(cities, city)
	}
	sort.Strings(cities)
	for _, city := range cities {
		sum := 0.0
		for _, age := range ages[city] {
			sum += age
		}
		fmt.Printf("%-10s %d %6.2f\n", city, len(ages[city]), sum/float64(len(ages[city])))
	}
	fmt.Printf("%q\n", records[3][0])
}
