package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
)

var word = regexp.MustCompile(`\pL+(?:'\pL+)?`)

func main() {
	counts := map[string]int{}
	scanner := bufio.NewScanner(os.Stdin)
	lines := 0
	for scanner.Scan() {
		lines++
		for _, found := range word.FindAllString(strings.ToLower(scanner.Text()), -1) {
			counts[found]++
		}
	}
	words := make([]string, 0, len(counts))
	for found := range counts {
		words = append(words, found)
	}
	sort.Slice(words, func(i, j int) bool {
		if counts[words[i]] != counts[words[j]] {
			return counts[words[i]] > counts[words[j]]
		}
		return words[i] < words[j]
	})
	fmt.Println(lines, "lines")
	for _, found := range words[:4] {
		fmt.Printf("%s\t%d\n", found, counts[found])
	}
}
